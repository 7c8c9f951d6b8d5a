"""A tiny encoder and data that many tests train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.tiny import save_data, save_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def plain_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, so that one gradient can be compared with another."""
    return save_encoder(tmp_path_factory.mktemp("encoder"), dropout=0.0)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_data(tmp_path_factory.mktemp("data"))
