"""Images: what is read is what lies in the file, in the form asked for; bad ones are named; written is whole."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from kexue.diffusion.images import (
    ImageSet,
    PixelScale,
    read_images,
    write_gif,
    write_images,
    write_npz,
)
from kexue.diffusion.images.form import ImageForm
from kexue.diffusion.images.hub import table_source
from kexue.diffusion.images.writing import WRITERS, arrange_grid
from kexue.errors import DataError, OptionError

DATA = Path(str(resources.files("kexue"))) / "data"


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# --- pixels and numbers ---


@given(max_value=st.integers(1, 255))
def test_every_pixel_value_survives_the_way_to_numbers_and_back(max_value: int):
    pixels = np.arange(max_value + 1, dtype=np.uint8).reshape(1, 1, -1, 1)
    scale = PixelScale(max_value)
    x = scale.encode(pixels)
    assert x.shape == (1, 1, 1, max_value + 1)
    assert x.flatten()[0] == -1
    assert x.flatten()[-1] == pytest.approx(1)
    assert (scale.decode(x) == pixels).all()


def test_channels_come_first_for_the_network_and_last_in_files():
    pixels = noise(2, 4, 5, 3)
    x = PixelScale().encode(pixels)
    assert x.shape == (2, 3, 4, 5)
    assert x[1, 2, 3, 4] == pytest.approx(pixels[1, 3, 4, 2] / 127.5 - 1)


def test_numbers_outside_the_range_are_cut_off_not_wrapped():
    x = torch.tensor([-7.0, 7.0, float("inf")]).reshape(1, 1, 1, 3)
    assert PixelScale().decode(x).flatten().tolist() == [0, 255, 255]


@settings(deadline=None)
@given(max_value=st.integers(1, 255))
def test_the_bins_of_a_scale_are_its_levels(max_value: int):
    scale = PixelScale(max_value)
    levels = scale.encode(np.arange(max_value + 1, dtype=np.uint8).reshape(1, 1, -1, 1)).double().flatten()
    torch.testing.assert_close(levels.diff(), torch.full((max_value,), scale.bins.width).double(), atol=1e-6, rtol=0)
    everywhere = scale.bins.log_prob(levels, torch.zeros(()).double(), torch.tensor(3.0).double()).exp().sum()
    assert float(everywhere) == pytest.approx(1)


def test_a_scale_that_no_byte_can_hold_is_refused():
    with pytest.raises(OptionError, match=r"1 \.\.\. 255, a whole number, got 256"):
        PixelScale(256)


# --- form ---


def test_transparent_places_show_the_background_and_half_transparent_ones_mix_with_it():
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [255, 0, 0, 128]]], np.uint8)
    form = ImageForm((1, 3), "RGB", "#0000ff")
    transparent, opaque, mixed = form.apply(Image.fromarray(rgba))[0].astype(int)
    assert transparent.tolist() == [0, 0, 255]
    assert opaque.tolist() == [255, 0, 0]
    assert np.abs(mixed - [128, 0, 127]).max() <= 1


def test_where_transparency_is_kept_invisible_colours_are_the_background():
    rgba = np.array([[[9, 9, 9, 0], [200, 0, 0, 77]]], np.uint8)
    kept = ImageForm((1, 2), "RGBA", "white").apply(Image.fromarray(rgba))
    assert kept.tolist() == [[[255, 255, 255, 0], [200, 0, 0, 77]]]


def test_a_palette_with_a_transparent_colour_is_laid_on_the_background():
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.info["transparency"] = 0
    assert ImageForm((1, 2), "RGB", "white").apply(image).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bits_of_grey_are_divided_not_cut_off():
    image = Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16))
    assert ImageForm((1, 4), "L").apply(image).flatten().tolist() == [0, 1, 128, 255]


def test_the_middle_of_a_wide_picture_is_kept():
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200
    assert (ImageForm((4, 4)).apply(Image.fromarray(wide)) == 200).all()
    assert (ImageForm((2, 2)).apply(Image.fromarray(wide))[:, :, 0] > 150).all()


def test_a_camera_that_lay_on_its_side_is_turned_upright():
    image = Image.fromarray(noise(4, 6, 3))
    image.getexif()[0x0112] = 6  # to be turned by 90 degrees
    assert (ImageForm((6, 4)).apply(image) == np.rot90(np.asarray(image), -1)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "RBG"}, "Did you mean 'RGB'"),
        ({"background": "blurple"}, "unknown background 'blurple'"),
        ({"size": (0, 4)}, "at least one pixel"),
    ],
)
def test_a_wrong_form_is_refused_with_what_is_allowed(options: dict, message: str):
    with pytest.raises(OptionError, match=message):
        ImageForm(**{"size": (4, 4)} | options)


# --- reading ---


def test_a_folder_is_read_in_order_and_its_sub_folders_are_classes(tmp_path: Path):
    for label in ("dog", "cat"):
        for index in range(2):
            save(tmp_path / label / f"{index}.png", noise(6, 5, 3, seed=len(label) + index))
    images = read_images(tmp_path)
    assert images.names == ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
    assert images.label_names == ("cat", "dog")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.shape == (3, 6, 5)
    assert (images.pixels[3] == noise(6, 5, 3, seed=4)).all()


def test_images_beside_the_sub_folders_mean_that_there_are_no_classes(tmp_path: Path):
    save(tmp_path / "a" / "0.png", noise(4, 4))
    save(tmp_path / "1.png", noise(4, 4))
    images = read_images(tmp_path)
    assert images.labels is None
    assert images.shape == (1, 4, 4)


def test_bad_files_are_named_with_the_reason_and_the_rest_is_read(tmp_path: Path):
    good = save(tmp_path / "good.png", noise(40, 40, 3))
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:1500])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("not meant to be an image")
    (tmp_path / ".hidden.png").write_text("neither")
    images = read_images(tmp_path)
    assert images.names == ("good.png",)
    assert {skipped.name for skipped in images.skipped} == {"text.png", "cut.png", "empty.jpg"}
    assert "skipped 3" in images.summary()
    assert "text.png (is not an image)" in images.summary()
    assert (images.pixels[0] == noise(40, 40, 3)).all()


def test_a_picture_as_large_as_a_bomb_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "bomb.png", noise(40, 40))
    save(tmp_path / "good.png", noise(8, 8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    images = read_images(tmp_path, size=8)
    assert images.names == ("good.png",)
    assert "decompression bomb" in images.skipped[0].reason


@pytest.mark.parametrize("files", [{}, {"a.png": "no image"}, {"readme.txt": "no image"}])
def test_a_folder_without_a_readable_image_is_refused(tmp_path: Path, files: dict[str, str]):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for size, mode in ((None, None), (8, "L")):
        with pytest.raises(DataError, match="has no readable image"):
            read_images(tmp_path, size=size, mode=mode)


def test_different_sizes_are_refused_unless_one_is_given(tmp_path: Path):
    save(tmp_path / "a.png", noise(8, 8))
    save(tmp_path / "b.png", noise(12, 8))
    with pytest.raises(DataError, match=r"2 sizes, such as 8 x 8 \(1\), 12 x 8 \(1\): say which size .* --set size=8$"):
        read_images(tmp_path)
    assert read_images(tmp_path, size=4).pixels.shape == (2, 4, 4, 1)
    save(tmp_path / "c.png", noise(12, 8))
    with pytest.raises(DataError, match=r"--set size=\[12,8\]$"):
        read_images(tmp_path)


def test_one_coloured_picture_makes_the_set_coloured(tmp_path: Path):
    save(tmp_path / "a.png", noise(8, 8))
    save(tmp_path / "b.png", noise(8, 8, 3))
    assert read_images(tmp_path).shape == (3, 8, 8)
    assert read_images(tmp_path, mode="L").shape == (1, 8, 8)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 3), (5, 6, 7, 4)])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_are_read_as_they_are(tmp_path: Path, shape: tuple[int, ...], suffix: str):
    pixels = noise(*shape)
    path = tmp_path / f"x{suffix}"
    np.savez(path, images=pixels, y=np.array([2, 0, 2, 1, 1])) if suffix == ".npz" else np.save(path, pixels)
    images = read_images(path, mode="RGBA" if shape[-1] == 4 else None)
    if shape[-1] != 4:
        assert (images.pixels == pixels.reshape(images.pixels.shape)).all()
    else:
        visible = pixels[..., 3] > 0
        assert (images.pixels[visible] == pixels[visible]).all()
    assert (images.labels is not None) == (suffix == ".npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4))}, "must be uint8.*got float64"),
        ({"images": np.zeros((2, 3, 4, 4, 1), np.uint8)}, "must be uint8"),
        ({"images": np.zeros((2, 3, 4, 4), np.uint8), "labels": np.zeros(3, int)}, "2 images but labels of shape"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "no array named 'images', only a, b"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "max_value": np.zeros(2)}, "max_value must be one whole number"),
        ({"images": np.array([object()])}, "cannot be read as arrays"),
        (
            {"x": np.zeros((1, 4, 4), np.uint8), "y": np.array([3]), "label_names": np.array(["a"])},
            "has a label 3, but labels are numbers of the 1 names",
        ),
    ],
)
def test_arrays_of_another_form_are_refused_with_the_reason(tmp_path: Path, arrays: dict, message: str):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "x.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str):
    (tmp_path / f"x{suffix}").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DataError, match="cannot be read as"):
        read_images(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_parquet_file_is_read_as_the_hub_writes_it(tmp_path: Path, wrapped: bool):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pixels = noise(3, 5, 5, 3)
    cells = [encoded(image) for image in pixels]
    table = arrow.table(
        {"image": [{"bytes": cell, "path": None} for cell in cells] if wrapped else cells, "label": [1, 0, 1]}
    )
    features = {"info": {"features": {"label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "x.parquet")
    images = read_images(tmp_path / "x.parquet")
    assert (images.pixels == pixels).all()
    assert images.label_names == ("ant", "bee")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 0, 1]


def test_a_row_without_an_image_is_skipped_and_a_missing_column_refused(tmp_path: Path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"img": [encoded(noise(4, 4)), None], "kind": ["a", "b"]}), tmp_path / "x.parquet")
    images = read_images(tmp_path / "x.parquet", label_column="kind")
    assert images.label_names == ("a",)
    assert images.skipped[0].name == "x.parquet[1]"
    with pytest.raises(DataError, match=r"unknown column 'kid'\. Did you mean 'kind'"):
        read_images(tmp_path / "x.parquet", label_column="kid")
    parquet.write_table(arrow.table({"text": ["a"]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match="no column image or img or images, only text"):
        read_images(tmp_path / "y.parquet")


def test_a_hub_data_set_is_read_through_its_package():
    datasets = pytest.importorskip("datasets")
    pixels = noise(3, 5, 5, 3)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": encoded(image), "path": None} for image in pixels], "label": [0, 1, 1]}
    source = table_source(datasets.Dataset.from_dict(rows, features), None, "hub:a/b")
    assert source.label_names == ("x", "y")
    assert [entry.label for entry in source.entries] == [0, 1, 1]
    assert (np.asarray(source.entries[2].open()) == pixels[2]).all()


def test_without_its_package_the_hub_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(OptionError, match="pip install datasets"):
        read_images("hub:a/b")


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "no such folder or file"), ("x.tar", "folder or a file .parquet")]
)
def test_what_is_no_source_is_refused(tmp_path: Path, name: str, message: str):
    (tmp_path / "x.tar").touch()
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / name)


def test_the_digits_of_the_package_are_those_of_scikit_learn():
    digits = read_images(DATA / "digits" / "digits.npz")
    assert digits.scale == PixelScale(16)
    assert digits.summary() == "1,797 images of 8 x 8 x 1, 10 classes"
    published = pytest.importorskip("sklearn.datasets").load_digits()
    assert (digits.pixels[..., 0] == published.images).all()
    assert digits.labels is not None
    assert (digits.labels == published.target).all()


def test_the_tiles_of_the_package_are_those_of_the_shared_data(shared_data: Path):
    tiles = read_images(DATA / "tiles" / "tiles.npz", mode="RGBA", background="black")
    groups = [line.split("\t")[0] for line in (shared_data / "dcss_tiles32" / "index.tsv").read_text().splitlines()[1:]]
    published = np.load(shared_data / "dcss_tiles32" / "dcss_tiles32_rgba.npz")["images"]
    published[published[..., 3] == 0] = 0
    kept = np.isin(groups, ["mon", "dc-mon", "item"]) & ((published[..., 3] > 0).mean((1, 2)) >= 0.15)
    assert (tiles.pixels == published[kept]).all()
    assert tiles.label_names == ("item", "monster")
    assert tiles.labels is not None
    assert (tiles.labels == (np.array(groups)[kept] != "item")).all()


def test_held_out_images_are_not_among_the_rest_and_stay_the_same():
    images = ImageSet(noise(50, 2, 2, 1), tuple(map(str, range(50))), np.arange(50))
    rest, held_out = images.split(10, seed=3)
    assert (len(rest), len(held_out)) == (40, 10)
    assert set(rest.names) | set(held_out.names) == set(images.names)
    assert held_out.labels is not None
    assert [str(label) for label in held_out.labels] == list(held_out.names)
    assert images.split(10, seed=3)[1].names == held_out.names
    assert images.split(10, seed=4)[1].names != held_out.names


# --- writing ---


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_read_again(tmp_path: Path, channels: int, suffix: str):
    pixels = noise(5, 9, 9, channels)
    pixels[..., 3:] |= 1  # a fully transparent pixel has no colour to keep
    path = tmp_path / f"images{suffix}"
    write_images(path, pixels)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    again = read_images(path, mode=mode) if suffix != ".png" else read_images(tmp_path, mode=mode)
    expected = pixels if suffix != ".png" else arrange_grid(pixels)[None]
    assert (again.pixels == expected).all()


def test_labels_and_the_value_of_white_survive_an_npz(tmp_path: Path):
    pixels = noise(3, 4, 4, 1) % 17
    write_npz(tmp_path / "x.npz", pixels, labels=np.array([1, 0, 1]), label_names=["a", "b"], max_value=16)
    again = read_images(tmp_path / "x.npz")
    assert (again.pixels == pixels).all()
    assert again.scale == PixelScale(16)
    assert again.label_names == ("a", "b")


def test_a_grid_shows_every_image_at_its_place_and_the_rest_white():
    pixels = noise(5, 40, 40, 3)
    grid = arrange_grid(pixels, columns=3, gap=1, enlarge=2)
    assert grid.shape == (1 + 2 * 81, 1 + 3 * 81, 3)
    fourth = grid[82:162, 1:81]
    assert (fourth[::2, ::2] == pixels[3]).all()
    assert (fourth[1::2, 1::2] == pixels[3]).all()
    assert (grid[82:, 163:] == 255).all()


def test_a_gif_moves_through_all_frames_and_holds_the_last(tmp_path: Path):
    frames = [np.full((4, 8, 8, 1), value, np.uint8) for value in (0, 100, 200)]
    write_gif(tmp_path / "x.gif", frames, seconds=0.3, hold=2.0)
    with Image.open(tmp_path / "x.gif") as image:
        shown = [
            (frame.info["duration"], frame.convert("L").getpixel((5, 5))) for frame in ImageSequence.Iterator(image)
        ]
    assert [duration for duration, _ in shown] == [100, 100, 2000]
    assert [value for _, value in shown] == pytest.approx([0, 100, 200], abs=2)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "x.png"
    write_images(path, noise(2, 4, 4, 1))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_images(path, noise(2, 4, 4, 5))  # no picture has five channels
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_single_files_never_replace_what_a_folder_holds(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(OptionError, match="is not empty"):
        write_images(tmp_path, noise(2, 4, 4, 1))
    assert (tmp_path / "precious.txt").exists()


def test_an_unknown_ending_is_refused(tmp_path: Path):
    with pytest.raises(OptionError, match=r"x\.bmp.*NAME\.png"):
        write_images(tmp_path / "x.bmp", noise(1, 4, 4, 1))


def test_reading_images_imports_neither_diffusers_nor_torchvision():
    code = "import sys, kexue.diffusion.images; print('diffusers' in sys.modules or 'torchvision' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
