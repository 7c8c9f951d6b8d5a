"""No damaged picture or array breaks the readers: it is named and left out, or the file is refused with its path."""

from __future__ import annotations

import io
import pickle
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from kexue import files
from kexue.diffusion.images import ImageSet, read_images
from kexue.diffusion.images import parquet as parquet_reader
from kexue.errors import DataError
from tests.hostile import Explosive, damage_bytes

FEW, MANY = 60, 3000
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    "GIF": {"save_all": True, "append_images": [Image.new("RGB", (12, 8))]},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {},
    "AVIF": {},
    "JPEG2000": {},
    "PPM": {},
    "TGA": {"compression": "tga_rle"},
    "ICO": {"sizes": [(8, 8)]},
    "PCX": {},
    "SGI": {},
    "DDS": {},
    "QOI": {},
    "ICNS": {},
}
HAVE = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **OPTIONS[kind])
    return buffer.getvalue()


def attack(kind: str, num: int, folder: Path, seed: int) -> ImageSet:
    """A folder of one whole picture and many damaged ones."""
    if kind in HAVE and not features.check(HAVE[kind]):
        pytest.skip(f"this Pillow does not know {kind}")
    whole = encoded(kind)
    Image.fromarray(PIXELS).save(folder / "whole.png")
    for index in range(num):
        (folder / f"{index}.img").write_bytes(damage_bytes(whole, random.Random(f"{seed} {kind} {index}")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a decoder that fails may leave its own view open
        return read_images(folder, size=(8, 12), mode="RGB")


def check(images: ImageSet, num: int) -> None:
    """Every picture is there or named with a reason, and the whole one is whole."""
    skipped = {entry.name for entry in images.skipped}
    assert len(images) + len(skipped) == num + 1
    assert not skipped & set(images.names)
    assert all(entry.reason for entry in images.skipped)
    assert np.array_equal(images.pixels[images.names.index("whole.png")], PIXELS)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_damaged_picture_is_read_or_named_with_the_reason(kind: str, tmp_path: Path):
    check(attack(kind, FEW, tmp_path, seed=0), FEW)


@pytest.mark.long
@pytest.mark.parametrize("kind", OPTIONS)
def test_thousands_of_damaged_pictures_are_read_or_named(kind: str, tmp_path: Path):
    check(attack(kind, MANY, tmp_path, seed=1), MANY)


def test_no_picture_starts_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def start(*arguments: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("subprocess.check_call", start)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", start)
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    Image.fromarray(PIXELS).save(tmp_path / "b.png", "EPS")
    images = read_images(tmp_path)
    assert [(entry.name, entry.reason) for entry in images.skipped] == [("b.png", "is not an image")]


def test_more_pixels_than_there_is_memory_for_are_refused_with_the_remedy(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    with pytest.raises(DataError, match=r"1 images of 40000000 x 40000000 x 3 are .* GB.*give a smaller size"):
        read_images(tmp_path, size=40_000_000)


# --- arrays and tables ---


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def arrays(folder: Path) -> Path:
    classes = {"labels": np.array([0, 1, 1]), "label_names": np.array(["ant", "bee"])}
    return write_npz(folder / "a.npz", images=np.zeros((3, 8, 8), np.uint8), max_value=16, **classes)


def array(folder: Path) -> Path:
    np.save(folder / "a.npy", np.zeros((3, 8, 8, 3), np.uint8))
    return folder / "a.npy"


def uncompressed(folder: Path) -> Path:
    np.savez(folder / "a.npz", images=np.zeros((3, 8, 8), np.uint8), labels=np.array(["x", "y", "z"]))
    return folder / "a.npz"


def table(folder: Path) -> Path:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    images = [{"bytes": encoded("PNG"), "path": None}] * 3
    parquet.write_table(arrow.table({"image": images, "label": [0, 1, 1]}), folder / "a.parquet", compression="none")
    return folder / "a.parquet"


def attack_file(make: Callable[[Path], Path], num: int, folder: Path, seed: int) -> tuple[int, int]:
    path = make(folder)
    whole, read, refused = path.read_bytes(), 0, 0
    assert len(read_images(path, size=8)) == 3
    for index in range(num):
        content = damage_bytes(whole, random.Random(f"{seed} {index}"))
        path.unlink()  # a mapped file must not shrink
        path.write_bytes(content)
        try:
            images = read_images(path, size=8)
            assert images.pixels.shape[1:3] == (8, 8) and len(images.names) == len(images)
            read += 1
        except DataError as error:
            assert error.path is not None and Path(error.path) == path
            refused += 1
        except Exception as error:
            raise AssertionError(f"{path.name}, seed {seed}, number {index}: {content[:2000]!r}") from error
    return read, refused


FILES = [arrays, array, uncompressed, table]


@pytest.mark.parametrize("make", FILES)
def test_a_damaged_file_of_images_is_read_or_refused_with_its_path(make: Callable[[Path], Path], tmp_path: Path):
    _, refused = attack_file(make, 150, tmp_path, seed=0)
    assert refused


@pytest.mark.long
@pytest.mark.parametrize("make", FILES)
def test_thousands_of_damaged_files_of_images_are_read_or_refused(make: Callable[[Path], Path], tmp_path: Path):
    attack_file(make, 10_000, tmp_path, seed=1)


def test_an_array_whose_header_says_more_than_the_file_holds_allocates_nothing(tmp_path: Path):
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 64, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    with pytest.raises(DataError, match=r"a\.npy: cannot be read as arrays"):
        read_images(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", (tmp_path / "a.npy").read_bytes())
    with pytest.raises(DataError, match=r"a\.npz: cannot be read as arrays"):
        read_images(tmp_path / "a.npz")


def test_an_archive_that_expands_without_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_npz(tmp_path / "a.npz", images=np.zeros((5000, 32, 32), np.uint8))
    monkeypatch.setattr(files, "MOST", 2**20)
    with pytest.raises(DataError, match=r"a\.npz: expands to 5,120,\d+ bytes"):
        read_images(path)


def test_a_table_with_more_rows_than_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"image": arrow.nulls(10**6, arrow.binary())}), path)
    monkeypatch.setattr(parquet_reader, "row_entries", lambda *arguments: pytest.fail("it was read"))
    with pytest.raises(DataError, match="says that it holds 1,000,000 rows"):
        read_images(path)


def test_no_pickle_is_ever_loaded(tmp_path: Path):
    proof = tmp_path / "written"
    objects = np.array([Explosive(proof)], dtype=object)
    pickle.loads(pickle.dumps(objects))
    assert proof.exists()  # so it would have been
    proof.unlink()
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", images=np.zeros((1, 4, 4), np.uint8), labels=objects)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(objects))
    (tmp_path / "d.npz").write_bytes(pickle.dumps(objects))
    for name in ("a.npy", "b.npz", "c.npy", "d.npz"):
        with pytest.raises(DataError, match=name):
            read_images(tmp_path / name)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0.5])}, "kind float64"),
        ({"labels": np.array([[1]])}, "labels of shape .1, 1."),
        ({"max_value": 0}, "max_value must be within 1"),
        ({"max_value": np.array([1, 2])}, "max_value must be one whole number"),
    ],
)
def test_odd_facts_beside_the_images_are_refused(changes: dict[str, Any], message: str, tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", **{"images": np.zeros((1, 4, 4), np.uint8), **changes})
    with pytest.raises(DataError, match=message):
        read_images(path)


def test_a_single_name_without_a_list_is_a_name(tmp_path: Path):
    facts = {"labels": np.array([0]), "label_names": np.array("ant")}
    path = write_npz(tmp_path / "a.npz", images=np.zeros((1, 4, 4), np.uint8), **facts)
    assert read_images(path).label_names == ("ant",)
