"""Ranges of seeds to shards: the images of the plain engine, resumed, refused where anything else was asked."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexue.diffusion.images import read_images
from kexue.diffusion.samplers import DDIM, Heun
from kexue.errors import OptionError
from kexue.pipelines.bulk_drawing import DrawingOptions, Seeds, draw_folder
from kexue.pipelines.drawing import draw_to_file
from kexue.pipelines.generator import Condition
from kexue.pipelines.generator import Generator as Drawer
from kexue.pipelines.sharded import Done, OneByOne, Total, Work
from tests.pipelines.test_generator import make

HERE = OneByOne("cpu")
OPTIONS = DrawingOptions(DDIM(eta=1.0), 3, seed=5, labels=("ant", "cat"), batch_size=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("generator"))


def draw(model: Path, output: Path, options: DrawingOptions = OPTIONS, **more: Any) -> Total:
    return draw_folder(str(model), output, options, **{"num": 11, "shard_size": 4, "engine": HERE} | more)


def pixels(output: Path) -> Any:
    return np.concatenate([read_images(path).pixels for path in sorted(output.glob("*.npz"))])


def test_the_shards_together_are_the_images_of_the_same_seeds(model: Path, tmp_path: Path):
    assert draw(model, tmp_path / "out") == Total(done=3, pieces=3, items=11, rejected=0)
    plain = draw_to_file(
        Drawer.from_pretrained(model, device="cpu"),
        tmp_path / "plain.npz",
        num=11,
        sampler=DDIM(eta=1.0),
        num_steps=3,
        seed=5,
        condition=Condition([("ant", "cat")[number % 2] for number in range(11)]),
        batch_size=2,
    )
    assert [path.name for path in sorted((tmp_path / "out").glob("*.npz"))] == [
        f"images-0000{index}.npz" for index in range(3)
    ]
    assert (pixels(tmp_path / "out") == plain).all()
    labels = [label for index in range(3) for label in read_images(tmp_path / "out" / f"images-0000{index}.npz").labels]
    assert labels == [(0, 2)[number % 2] for number in range(11)]


def test_a_job_goes_on_where_it_stopped(model: Path, tmp_path: Path):
    seen: list[Seeds] = []

    def first_only(work: Work, pieces: Sequence[Seeds]) -> Generator[Done]:
        seen.extend(pieces)
        yield from HERE(work, pieces[:1])

    with pytest.raises(OptionError, match=r"images 4 to 7 ended every worker that tried them.*2 shards are missing"):
        draw(model, tmp_path / "out", engine=first_only)
    seen.clear()
    with pytest.raises(OptionError):
        draw(model, tmp_path / "out", engine=first_only)
    assert [piece.index for piece in seen] == [1, 2]
    assert draw(model, tmp_path / "out").items == 11
    draw(model, tmp_path / "unbroken")
    assert (pixels(tmp_path / "out") == pixels(tmp_path / "unbroken")).all()


@pytest.mark.parametrize(
    ("options", "more", "named"),
    [
        (replace(OPTIONS, sampler=Heun()), {}, "options"),
        (replace(OPTIONS, seed=6), {}, "options"),
        (replace(OPTIONS, labels=()), {}, "options"),
        (OPTIONS, {"num": 12}, "num"),
        (OPTIONS, {"shard_size": 6}, "shard size"),
    ],
)
def test_other_images_in_the_same_folder_are_refused(
    options: DrawingOptions, more: dict[str, Any], named: str, model: Path, tmp_path: Path
):
    draw(model, tmp_path / "out")
    with pytest.raises(OptionError, match=f"out was begun with another {named}"):
        draw(model, tmp_path / "out", options, **more)


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        (replace(OPTIONS, labels=("dog",)), {}, "unknown class 'dog'"),
        (OPTIONS, {"shard_size": 5}, "--shard-size 5 is no multiple of --batch-size 2"),
    ],
)
def test_mistakes_are_named_before_any_work(
    options: DrawingOptions, more: dict[str, Any], said: str, model: Path, tmp_path: Path
):
    with pytest.raises(OptionError, match=said):
        draw(model, tmp_path / "out", options, **more)
    assert not (tmp_path / "out").exists()
