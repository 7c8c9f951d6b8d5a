"""A tiny model that knows ten real sentences by heart, as a folder and ready to be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.tiny import fit

from kexue.pipelines.extractor import Extractor


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def extractor(fitted: Path) -> Extractor:
    return Extractor.from_pretrained(fitted, device="cpu")
