"""The moving average of the weights against one written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from kexue.training.ema import ExponentialMovingAverage


def walk(model: nn.Module, ema: ExponentialMovingAverage, steps: int) -> list[torch.Tensor]:
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            model.weight += torch.randn_like(model.weight)
        ema.update()
        seen.append(model.weight.detach().clone())
    return seen


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_the_average_is_the_recursion_of_its_docstring(model: nn.Module):
    expected = model.weight.detach().double()
    ema = ExponentialMovingAverage(model, 0.6)
    for step, weights in enumerate(walk(model, ema, 30), start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights
    with ema.applied():
        assert_close(model.weight.double(), expected, rtol=1e-5, atol=1e-6)


def test_after_the_block_the_model_has_its_own_weights_even_after_an_error(model: nn.Module):
    ema = ExponentialMovingAverage(model, 0.9)
    last = walk(model, ema, 3)[-1]
    with pytest.raises(ZeroDivisionError), ema.applied():
        assert not torch.equal(model.weight, last)
        raise ZeroDivisionError
    assert torch.equal(model.weight, last)


def test_a_decay_of_zero_gives_the_weights_themselves(model: nn.Module):
    ema = ExponentialMovingAverage(model, 0.0)
    last = walk(model, ema, 5)[-1]
    with ema.applied():
        assert torch.equal(model.weight, last)


def test_a_saved_average_goes_on_as_if_nothing_had_happened(model: nn.Module, tmp_path: Path):
    ema = ExponentialMovingAverage(model, 0.9)
    walk(model, ema, 4)
    ema.save(tmp_path / "ema.safetensors")
    other = ExponentialMovingAverage(model, 0.9)
    other.load(tmp_path / "ema.safetensors")
    with torch.no_grad():
        model.weight += 1
    ema.update()
    other.update()
    with ema.applied():
        expected = model.weight.detach().clone()
    with other.applied():
        assert torch.equal(model.weight, expected)


def test_frozen_weights_are_not_averaged(model: nn.Module):
    model.bias.requires_grad_(False)
    ema = ExponentialMovingAverage(model, 0.9)
    with torch.no_grad():
        model.bias += 1
    changed = model.bias.clone()
    with ema.applied():
        assert torch.equal(model.bias, changed)
