"""A tiny model that knows ten real sentences by heart, its windows shorter than they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.pipelines.extractor import Extractor
from tests.training.tiny import fit


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def extractor(fitted: Path) -> Extractor:
    return Extractor.from_pretrained(fitted, device="cpu")
