"""The same on every device: what a device computes against float64 on the processor, with nothing left on the other.

`pytest -m gpu tests/distributions` runs them on a GPU.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from kexue.distributions import (
    NOISES,
    Noise,
    PerturbedArgmax,
    Relaxed,
    cross_entropy,
    expected_error,
    expected_max,
    fenchel_young,
    perturbed_argmax_log_probs,
    perturbed_argmax_probs,
)
from kexue.errors import OptionError

LAWS = {name: law() for name, law in NOISES.items()}
CASES = [((5,), 1.0), ((3, 40), 1.0), ((2, 3000), 0.02), ((2, 3000), 1.0), ((1, 40_000), 3.0)]
each_law = pytest.mark.parametrize("noise", LAWS.values(), ids=LAWS)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device there is."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


def locations(shape: tuple[int, ...], scale: float) -> Tensor:
    """Exact in float32, two of them tied and one absent."""
    loc = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    loc[..., 1], loc[..., 2] = loc[..., 0], -torch.inf
    return loc


def value_and_gradient(function, loc: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    leaf = loc.clone().requires_grad_()
    value = function(leaf, noise)
    weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view_as(value).to(loc.device)
    (gradient,) = torch.autograd.grad((value.masked_fill(value < -700, 0.0) * weights).sum(), leaf)
    return value.detach(), gradient


@each_law
@pytest.mark.parametrize(("shape", "scale"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_float64_on_the_processor(
    noise: Noise, shape: tuple[int, ...], scale: float, dtype: torch.dtype, device: torch.device
) -> None:
    loc, fine = locations(shape, scale), dtype == torch.float64
    for function in (perturbed_argmax_probs, perturbed_argmax_log_probs):
        expected, expected_gradient = value_and_gradient(function, loc.double(), noise)
        value, gradient = value_and_gradient(function, loc.to(device, dtype), noise)
        assert value.device == gradient.device == loc.to(device).device and value.dtype == dtype
        counts = expected > -700
        tolerance = 1e-11 if fine else 1e-6
        assert_close(value.cpu().double()[counts], expected[counts], atol=tolerance, rtol=tolerance)
        size = float(expected_gradient.abs().max().clamp(min=1e-3))
        assert_close(gradient.cpu().double(), expected_gradient, atol=size * (1e-9 if fine else 1e-4), rtol=1e-4)


@each_law
def test_losses_draws_and_second_derivatives_stay_on_the_device(noise: Noise, device: torch.device) -> None:
    loc = (0.3 * locations((3, 5), 1.0)[:, [0, 3, 4]]).double().to(device).requires_grad_()
    target = torch.tensor([0, 2, 1], device=device)
    losses = [expected_error] + [fenchel_young] * noise.has_mean + [cross_entropy] * (not noise.sparse)
    for loss in losses:
        expected = loss(loc.detach().cpu(), target.cpu(), noise)
        assert_close(loss(loc, target, noise).detach().cpu(), expected, atol=1e-11, rtol=0)
    assert torch.autograd.gradgradcheck(lambda row: expected_error(row, target[0], noise), loc[0])
    law = PerturbedArgmax(loc, noise)
    draws = law.sample((2000,), torch.Generator(device).manual_seed(0))
    assert draws.device == law.rsample((2,), Relaxed(0.5)).device == loc.device
    frequencies = torch.nn.functional.one_hot(draws, 3).double().mean(0)
    assert_close(frequencies, law.probs.detach(), atol=0.07, rtol=0)  # six standard errors


@each_law
def test_half_precision_and_autocast_are_computed_in_float32(noise: Noise, device: torch.device) -> None:
    loc = locations((3, 40), 1.0).to(device, torch.bfloat16)
    expected = perturbed_argmax_probs(loc.double().cpu(), noise).float()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        probs = perturbed_argmax_probs(loc, noise)
    assert probs.dtype == torch.float32
    assert_close(probs.cpu(), expected, atol=1e-6, rtol=0)


def test_wrong_locations_are_refused_on_every_device(device: torch.device) -> None:
    for value in (torch.nan, torch.inf):
        with pytest.raises(OptionError, match=r"NaN|inf"):
            expected_max(torch.tensor([0.0, value], device=device), LAWS["normal"])
