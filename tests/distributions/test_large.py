"""Many classes: exact to 50,000, with memory that does not grow with nodes times classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.reference import argmax as reference
from torch import Tensor

from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.distributions.noise import NOISES, Normal
from kexue.distributions.probabilities import expected_max, perturbed_argmax_log_probs, perturbed_argmax_probs

FAST = ("gumbel", "normal", "logistic", "exponential", "negated_exponential")
"""Laws whose time per class does not grow with the number of nodes."""
SLOW = tuple(law for law in NOISES if law not in FAST)
SCALES = (0.0, 0.01, 0.5, 2.0, 100.0)


def locations(n: int, scale: float) -> Tensor:
    """Distinct, exact in float32."""
    loc = np.random.default_rng(0).normal(size=n) * scale
    return torch.from_numpy(loc.astype(np.float32).astype(np.float64))


def check(law: str, n: int, scale: float, num: int = 100) -> None:
    """n classes at `num` locations in equal numbers, shuffled: many for us, few for the reference."""
    distinct, noise = locations(num, scale), NOISES[law]()
    index = torch.from_numpy(np.random.default_rng(1).permutation(np.arange(n) % num))
    expected = torch.from_numpy(reference.log_probs(distinct.numpy(), law, np.full(num, n / num)))[index]
    loc, held = distinct[index], expected > -700
    probs = perturbed_argmax_probs(loc, noise)
    torch.testing.assert_close(probs, expected.exp(), rtol=0, atol=1e-12)
    assert probs.sum().item() == pytest.approx(1, abs=1e-13)
    torch.testing.assert_close(perturbed_argmax_log_probs(loc, noise)[held], expected[held], rtol=1e-7, atol=1e-9)
    single = perturbed_argmax_probs(loc.float(), noise).double()
    torch.testing.assert_close(single, expected.exp(), rtol=0, atol=1e-6)
    log_single = perturbed_argmax_log_probs(loc.float(), noise).double()
    torch.testing.assert_close(log_single[held], expected[held], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("law", FAST)
@pytest.mark.parametrize("scale", SCALES)
def test_fifty_thousand_classes_are_as_exact_as_two(law: str, scale: float) -> None:
    check(law, 50_000, scale)


@pytest.mark.slow
@pytest.mark.parametrize("num", [20, pytest.param(100, marks=pytest.mark.long)])  # the reference takes seconds for 100
@pytest.mark.parametrize("law", SLOW)
@pytest.mark.parametrize("scale", [0.0, 0.01, pytest.param(0.5, marks=pytest.mark.long), 2.0, 100.0])
def test_and_so_they_are_with_the_other_laws(law: str, scale: float, num: int) -> None:
    check(law, 50_000, scale, num)


@pytest.mark.parametrize("law", FAST)
@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_sums_over_many_classes_do_not_lose_digits_in_float32(law: str, scale: float) -> None:
    loc = locations(50_000, scale)
    expected = perturbed_argmax_log_probs(loc, NOISES[law]())
    found, held = perturbed_argmax_log_probs(loc.float(), NOISES[law]()).double(), expected > -700
    torch.testing.assert_close(found.exp(), expected.exp(), rtol=0, atol=5e-7)
    torch.testing.assert_close(found[held], expected[held], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "scale"),
    [
        pytest.param(law, scale, marks=pytest.mark.long if scale == 0.5 or (law, scale) == ("student_t", 100.0) else ())
        for law in SLOW
        for scale in SCALES[1:]
    ],
)
def test_kinked_and_heavy_laws_take_fifty_thousand_distinct_locations(law: str, scale: float) -> None:
    """In float32 as in float64, which is compared with quadrature class by class elsewhere; in order; in seconds."""
    loc, noise = locations(50_000, scale), NOISES[law]()
    probs, log_probs = perturbed_argmax_probs(loc, noise), perturbed_argmax_log_probs(loc, noise)
    torch.testing.assert_close(log_probs.exp(), probs, rtol=0, atol=1e-13)
    assert probs.sum().item() == pytest.approx(1, abs=1e-13)
    assert bool((probs[loc.argsort()].diff() >= -1e-16).all())
    torch.testing.assert_close(perturbed_argmax_probs(loc.float(), noise).double(), probs, rtol=0, atol=1e-6)
    held = log_probs > -700
    single = perturbed_argmax_log_probs(loc.float(), noise).double()
    torch.testing.assert_close(single[held], log_probs[held], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("law", FAST)
def test_the_gradient_through_points_is_that_of_the_classes_themselves(law: str) -> None:
    """The same classes as one row of many, where points stand for them, and through the exact Jacobian."""
    loc = locations(400, 1.0).requires_grad_()
    weights = torch.from_numpy(np.random.default_rng(1).normal(size=400))
    (found,) = torch.autograd.grad(perturbed_argmax_probs(loc, NOISES[law]()) @ weights, loc)
    expected = torch.from_numpy(reference.jacobian(loc.detach().numpy(), law)) @ weights
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("function", [perturbed_argmax_probs, perturbed_argmax_log_probs])
@pytest.mark.parametrize("law", FAST)
def test_forward_and_backward_need_at_most_six_times_the_input(law: str, function) -> None:  # type: ignore[no-untyped-def]
    loc = torch.randn(64, 50_000, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def step() -> None:
        loc.grad = None
        function(loc, NOISES[law]()).amax(-1).sum().backward()

    step()
    assert peak_bytes(step) < 6 * loc.numel() * 4


@pytest.mark.parametrize("law", FAST)
def test_a_large_batch_gives_what_its_rows_give(law: str) -> None:
    scales = torch.arange(1.0, 6)[:, None]
    loc = scales * torch.randn(5, 30_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    probs, potential = perturbed_argmax_probs(loc, NOISES[law]()), expected_max(loc, NOISES[law]())
    for row in range(5):
        torch.testing.assert_close(probs[row], perturbed_argmax_probs(loc[row], NOISES[law]()), rtol=0, atol=1e-12)
        torch.testing.assert_close(potential[row], expected_max(loc[row], NOISES[law]()), rtol=0, atol=1e-10)


def test_absent_classes_among_many_change_nothing() -> None:
    loc = locations(2000, 1.0)
    absent = torch.cat([loc, torch.full((500,), -torch.inf, dtype=torch.float64)])
    found = perturbed_argmax_log_probs(absent, Normal())
    torch.testing.assert_close(found[:2000], perturbed_argmax_log_probs(loc, Normal()), rtol=1e-11, atol=1e-11)
    assert bool((found[2000:] == -torch.inf).all())
