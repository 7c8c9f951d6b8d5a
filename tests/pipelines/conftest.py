"""The tiny model that knows ten sentences by heart, to be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.pipelines.extractor import Extractor


@pytest.fixture
def extractor(fitted: Path) -> Extractor:
    return Extractor.from_pretrained(fitted, device="cpu")
