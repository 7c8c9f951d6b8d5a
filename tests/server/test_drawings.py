"""A generator in a service draws one request after the other."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from kexue.diffusion.samplers import DDIM
from kexue.server.drawings import Drawing, GeneratorHost, GivenUpError


class Slow:
    """Draws black images when it is let; remembers how many each drawing was to have."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.began = threading.Event()
        self.may = threading.Event()

    def sample(self, num: int, *, callback: Any, **options: Any) -> Tensor:
        self.drawn.append(num)
        self.began.set()
        assert self.may.wait(10)
        callback(SimpleNamespace(index=0, num_steps=2, preview=torch.zeros(num, 1, 2, 2)))
        return torch.zeros(num, 1, 2, 2)

    def pixels(self, images: Tensor) -> Any:
        return images.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_a_drawing_that_is_given_up_leaves_the_others_in_the_queue_alone():
    generator, shown = Slow(), []
    host = GeneratorHost("slow", generator, latency=100.0)

    def drawing(num: int) -> Drawing:
        return Drawing(num, DDIM(), 2, show=lambda step, images: shown.append((len(images), step)))

    them = [drawing(num) for num in (1, 2, 3, 4)]
    (first,) = host.batcher.submit(them[:1])
    assert generator.began.wait(10)
    others = host.batcher.submit(them[1:])
    them[2].given_up.set()
    generator.may.set()
    with pytest.raises(GivenUpError):
        others[1].result(10)
    assert [len(future.result(10)) for future in (first, others[0], others[2])] == [1, 2, 4]
    assert generator.drawn == [1, 2, 3, 4]
    assert shown == [(1, 1), (2, 1), (4, 1)]
    host.close()
