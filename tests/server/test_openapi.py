"""schemathesis over the whole OpenAPI document, against the real service: what is answered is what is documented."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kexue.diffusion.checkpoint import save_generator
from tests.server.conftest import tiny_generator
from tests.server.running import running

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

CONFIG = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
positive_data_acceptance.expected-statuses = ["2xx", 503]
negative_data_rejection.expected-statuses = ["4xx", 503]
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> tuple[str, str]:
    """An extractor and a generator."""
    dots = tmp_path_factory.mktemp("served") / "dots"
    save_generator(tiny_generator(), dots)
    return str(model_folder), str(dots)


@pytest.fixture(scope="module")
def address(models: tuple[str, str]) -> Iterator[str]:
    with running(*models, "--latency", "20", module="tests.server.limited") as service:
        yield service.address


def schemathesis(address: str, folder: Path, *options: str) -> None:
    """All phases and all checks over every operation, negative and positive data; raises where one fails."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["run", f"{address}/openapi.json", "--checks", "all", "--mode", "all", "--continue-on-failure"]
    command += [
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "60",
        "--max-response-time",
        "60",
        "--seed",
        "0",
        *options,
    ]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "COLUMNS": "120"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-5000:]
    operations = sum(len(methods) for methods in httpx.get(f"{address}/openapi.json").json()["paths"].values())
    assert f"{operations} selected" in ended.stdout, ended.stdout


def test_every_operation_answers_as_it_is_documented(address: str, tmp_path: Path):
    schemathesis(address, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "10")


@pytest.mark.long
def test_thousands_of_requests_are_answered_as_documented(address: str, tmp_path: Path):
    schemathesis(address, tmp_path, "--max-examples", "1000")


def test_with_keys_every_locked_operation_is_documented_as_such(models: tuple[str, str], tmp_path: Path):
    (tmp_path / "keys").write_text("right\n")
    with running(*models, "--latency", "20", "--api-keys", str(tmp_path / "keys")) as service:
        header = {"authorization": "Bearer right"}
        document = httpx.get(f"{service.address}/openapi.json", headers=header).json()
        assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                answer = httpx.request(method, service.address + path)
                assert (answer.status_code == 401) == ("security" in operation) == ("401" in operation["responses"])
