"""The page of licences lists what is installed, and nothing in it forbids what kexue's own licence allows."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from tests.contracts.test_installation import ROOT, pins

PAGE = (ROOT / "docs" / "licences.md").read_text("utf-8")
ROWS = {name: (version, kind) for name, version, kind in re.findall(r"^\| ([\w-]+) \| (\d\S*) \| (.+) \|$", PAGE, re.M)}
JOINED = {"AND", "OR", "WITH"}
FREE = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC"),
    *("LLVM-exception", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/licences as a module."""
    loader = SourceFileLoader("licences", str(ROOT / "scripts" / "licences"))
    spec = spec_from_loader("licences", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "version"), pins().items())
def test_a_pinned_package_is_listed_with_its_licence(name: str, version: str, script: ModuleType):
    assert ROWS[name][0] == version
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return  # a peer of the benchmarks
    if installed.version.partition("+")[0] == version:
        assert script.licence(installed) == ROWS[name][1]


def test_every_licence_allows_what_that_of_kexue_allows():
    assert not {word for _, kind in ROWS.values() for word in kind.split()} - FREE - JOINED


def test_every_data_set_in_the_package_is_on_the_page_with_the_licence_of_its_source():
    folders = [path.parent for path in (ROOT / "src" / "kexue" / "data").glob("*/SOURCE.md")]
    rows = re.findall(r"^\| .+ \| (.+) \| .*`(src/kexue/data/\w+)`", PAGE, re.M)
    listed = {Path(folder).name: kind for kind, folder in rows}
    assert listed.keys() == {folder.name for folder in folders}
    for folder in folders:
        text = " ".join((folder / "SOURCE.md").read_text("utf-8").split())
        assert re.search(rf"\b{listed[folder.name]}\b", text), folder.name
