"""A service of tiny untrained models, asked as a client asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kexue.diffusion.checkpoint import GeneratorCheckpoint
from kexue.diffusion.denoisers import GAUDenoiser
from kexue.diffusion.prediction import V
from kexue.extraction.checkpoint import save_checkpoint
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.generator import Generator
from tests.extraction.tiny import tiny_checkpoint
from tests.training.generation.tiny import SIZES

fastapi = pytest.importorskip("fastapi", reason="the serve extra is not installed")

from starlette.testclient import TestClient  # noqa: E402

from kexue.server.app import create_app  # noqa: E402
from kexue.server.drawings import GeneratorHost  # noqa: E402
from kexue.server.hosts import AnyHost, ExtractorHost  # noqa: E402
from kexue.server.settings import Settings  # noqa: E402

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extractor as a folder."""
    folder = tmp_path_factory.mktemp("served") / "people"
    save_checkpoint(tiny_checkpoint(), folder)
    return folder


def tiny_generator() -> GeneratorCheckpoint:
    """An untrained generator of three classes."""
    torch.manual_seed(0)
    network = GAUDenoiser.from_config(GAUDenoiser(SIZES).config | {"num_classes": 3})
    return GeneratorCheckpoint(network, parameterization=V(), label_names=("ant", "bee", "cat"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(latency=..., ...) -> a client of a service of an extractor `people` and a generator `dots`."""
    opened: list[TestClient] = []

    def make(**changes: Any) -> TestClient:
        settings = Settings(**changes)
        hosts: dict[str, AnyHost] = {
            "people": ExtractorHost("people", Extractor(tiny_checkpoint(), device="cpu"), latency=settings.latency),
            "dots": GeneratorHost("dots", Generator(tiny_generator(), device="cpu"), latency=settings.latency),
        }
        client = TestClient(create_app(hosts, settings), raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)
