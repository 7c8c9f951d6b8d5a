"""The versions of constraints.txt fit the ranges of pyproject.toml, and the scripts can be run."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
SCRIPTS = ["install", "lint", "check", "test", "bench", "demo", "site"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    stated = [line for line in lines if line and not line.startswith("#")]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+)", line) for line in stated]
    assert all(found), "every line is name==version, the name in its normal form"
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_every_requirement_is_pinned_within_its_range(line: str):
    requirement = Requirement(line)
    if requirement.name == "kexue":
        assert requirement.extras <= EXTRAS.keys()
        return
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_no_pin_names_one_build_for_one_machine():
    assert not [name for name, version in pins().items() if "+" in version]


@pytest.mark.parametrize("script", [*(f"scripts/{name}" for name in SCRIPTS), ".ci/run"])
def test_a_script_is_executable_short_and_stops_at_the_first_error(script: str):
    text = (ROOT / script).read_text("utf-8")
    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail" in text
    assert len(text.splitlines()) <= 30
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_ci_runs_the_test_command_of_the_readme():
    assert (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1] == "make test"


def test_a_python_that_is_too_old_is_refused_with_what_to_do(tmp_path: Path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    run = subprocess.run(
        [ROOT / "scripts" / "install"], env=os.environ | {"PYTHON": str(old)}, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "needs Python 3.11 or newer" in run.stderr
    assert "3.9.2" in run.stderr
    assert "PYTHON=python3.12" in run.stderr
