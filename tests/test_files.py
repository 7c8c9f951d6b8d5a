"""What is written beside its place: it appears whole or not at all, and what goes wrong is told of that place."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from kexue.files import atomic_folder, atomic_write


def test_a_place_that_is_a_folder_is_named_and_not_the_file_beside_it(tmp_path: Path):
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(IsADirectoryError) as error, atomic_write(tmp_path / "out.jsonl") as file:
        file.write("new")
    assert (error.value.filename, error.value.filename2) == (str(tmp_path / "out.jsonl"), None)
    assert ".partial" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("make", ["mkstemp", "mkdtemp"])
def test_a_folder_that_may_not_be_written_is_told_of_the_output(
    make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(dir: Path, prefix: str, suffix: str) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}abc{suffix}")

    monkeypatch.setattr(tempfile, make, refuse)
    write = atomic_write if make == "mkstemp" else atomic_folder
    with pytest.raises(PermissionError) as error, write(tmp_path / "out"):
        pass
    assert str(error.value) == f"[Errno 13] Permission denied: '{tmp_path / 'out'}'"


def test_a_file_of_a_folder_is_named_as_it_would_be_in_its_place(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error, atomic_folder(tmp_path / "model") as folder:
        (folder / "network" / "config.json").write_text("{}")
    assert error.value.filename == str(tmp_path / "model" / "network" / "config.json")


def test_what_goes_wrong_elsewhere_keeps_its_own_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error, atomic_write(tmp_path / "out"):
        (tmp_path / "none").read_text()
    assert error.value.filename == str(tmp_path / "none")
    with pytest.raises(BlockingIOError), atomic_write(tmp_path / "out"):
        raise BlockingIOError
