"""Files are known by their digests, folders file by file; languages are told or left open."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from itertools import islice
from pathlib import Path

import pytest
import torch

from kexue.data import LICENCES, demo_path, packaged_files
from kexue.extraction.formats import read_documents
from kexue.provenance import describe_origin, guess_languages, source_files


def test_a_folder_is_listed_file_by_file_without_what_is_hidden(tmp_path: Path):
    folder = tmp_path / "brat"
    (folder / "b").mkdir(parents=True)
    for name, content in (("b/2.txt", b"two"), ("a.ann", b"one"), (".DS_Store", b"x")):
        (folder / name).write_bytes(content)
    assert source_files("train", folder) == [
        {"role": "train", "name": "brat/a.ann", "bytes": 3, "sha256": hashlib.sha256(b"one").hexdigest()},
        {"role": "train", "name": "brat/b/2.txt", "bytes": 3, "sha256": hashlib.sha256(b"two").hexdigest()},
    ]


def test_a_folder_of_many_files_is_known_by_what_sha256sum_prints_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kexue.provenance.MOST_FILES", 2)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(bytes([number]))
    run = subprocess.run(
        "sha256sum images/* | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert source_files("train", folder) == [
        {"role": "train", "name": "images/ (3 files)", "bytes": 3, "sha256": run.stdout.split()[0]}
    ]


def test_every_set_of_the_package_has_a_licence_and_is_known_by_its_content():
    assert packaged_files().keys() == LICENCES.keys()
    for name, paths in packaged_files().items():
        assert paths
        for path in paths:
            (entry,) = source_files("train", path)
            assert (entry["set"], entry["licence"]) == (name, LICENCES[name])
            assert LICENCES[name].split()[0] in (path.parent / "SOURCE.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["The drug was given to a patient with a rash."], ["en"]),
        (["居里夫人出生于华沙。"], ["zh"]),
        (["キュリー夫人はワルシャワで生まれた。"], ["ja"]),
        (["마리 퀴리는 바르샤바에서 태어났다."], ["ko"]),
        (["The ship is on the sea.", "这艘船在海上航行。"] * 3, ["en", "zh"]),
        (["La petite maison est dans la prairie et le chat dort."], []),
        (["Die Katze schläft auf dem Sofa und der Hund bellt."], []),
        (["Кошка спит на диване."], []),
        (["123 !? 😀"], []),
        ([""], []),
        ([], []),
    ],
)
def test_a_language_is_told_by_its_script_or_left_open(texts: list[str], expected: list[str]):
    assert guess_languages(texts) == expected


@pytest.mark.parametrize(("name", "expected"), [("phee", ["en"]), ("cnshipnet", ["zh"])])
def test_the_languages_of_real_sets(name: str, expected: list[str]):
    documents = read_documents(demo_path(name, "test")).documents
    assert guess_languages(item.text for item in islice(documents, 200)) == expected


def test_versions_machine_and_time_are_those_of_this_process():
    origin = describe_origin({}, content="abc")
    assert origin["versions"]["torch"] == torch.__version__.split("+")[0] or torch.__version__
    assert origin["versions"]["python"] == platform.python_version()
    assert f"{torch.get_num_threads()} thread" in origin["machine"]
    assert origin["begun"].endswith("+00:00") and origin["content"] == "abc" and origin["data"] == []
