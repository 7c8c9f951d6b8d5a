"""First derivatives against the exact Jacobian, and derivatives of any order against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.reference import argmax as reference
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from kexue.distributions.noise import NOISES, Normal
from kexue.distributions.probabilities import expected_max, perturbed_argmax_log_probs, perturbed_argmax_probs

EVERY = pytest.mark.parametrize("law", list(NOISES))


def locations(n: int, scale: float) -> Tensor:
    return torch.from_numpy(np.random.default_rng(n).normal(size=n) * scale).requires_grad_()


def jacobian(loc: Tensor, law: str) -> Tensor:
    rows = torch.eye(len(loc), dtype=loc.dtype)
    probs = perturbed_argmax_probs(loc, NOISES[law]())
    return torch.stack([torch.autograd.grad(probs, loc, row, retain_graph=True)[0] for row in rows])


@EVERY
@pytest.mark.parametrize(("n", "scale"), [(2, 0.5), (6, 0.0), (6, 1.0), (60, 0.7)])
def test_the_gradient_is_that_of_the_exact_jacobian(law: str, n: int, scale: float) -> None:
    loc = locations(n, scale)
    expected = torch.from_numpy(reference.jacobian(loc.detach().numpy(), law))
    torch.testing.assert_close(jacobian(loc, law), expected, rtol=0, atol=1e-10)


@EVERY
def test_the_gradient_in_float32_is_right_to_its_digits(law: str) -> None:
    loc = locations(90, 1.0)
    single = loc.detach().float().requires_grad_()
    weights = torch.linspace(-1, 1, 90)
    (expected,) = torch.autograd.grad(perturbed_argmax_probs(loc, NOISES[law]()) @ weights.double(), loc)
    (found,) = torch.autograd.grad(perturbed_argmax_probs(single, NOISES[law]()) @ weights, single)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=2e-6)


@EVERY
@pytest.mark.parametrize("function", [perturbed_argmax_probs, perturbed_argmax_log_probs, expected_max])
def test_first_and_second_derivatives_agree_with_differences(law: str, function) -> None:  # type: ignore[no-untyped-def]
    noise = NOISES[law]()
    if function is expected_max and not noise.has_mean:
        pytest.skip("no mean")
    loc = locations(4, 0.3)
    assert gradcheck(lambda loc: function(loc, noise), (loc,))
    assert gradgradcheck(lambda loc: function(loc, noise), (loc,))


@pytest.mark.parametrize("law", [name for name, law in NOISES.items() if not law().heavy_tailed])
def test_a_common_shift_changes_no_second_derivative(law: str) -> None:
    loc = locations(3, 0.7).detach()
    hessians = [
        torch.autograd.functional.hessian(lambda loc: perturbed_argmax_probs(loc, NOISES[law]())[0], loc + shift)
        for shift in (0.0, 64.0)
    ]
    torch.testing.assert_close(hessians[1], hessians[0], rtol=0, atol=1e-9)


@EVERY
def test_the_gradient_of_the_log_probability_of_a_deep_class_is_not_lost(law: str) -> None:
    """Where p underflows, dlog p/dloc is still a difference of logarithms."""
    noise = NOISES[law]()
    if noise.sparse:
        pytest.skip("a deep class has probability 0")
    loc = torch.tensor([0.0, -0.4, -1.0, -25.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(perturbed_argmax_log_probs(loc, noise)[3], loc)
    step = 1e-5 * torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        above, below = (perturbed_argmax_log_probs(loc + sign * step, noise)[:, 3] for sign in (1, -1))
    torch.testing.assert_close(gradient, (above - below) / 2e-5, rtol=1e-6, atol=1e-7)


@EVERY
def test_a_class_that_is_absent_gets_no_gradient_and_disturbs_none(law: str) -> None:
    loc = torch.tensor([0.3, -torch.inf, 0.1, -0.2], dtype=torch.float64, requires_grad=True)
    present = torch.tensor([0.3, 0.1, -0.2], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(perturbed_argmax_probs(loc, NOISES[law]())[2], loc)
    (expected,) = torch.autograd.grad(perturbed_argmax_probs(present, NOISES[law]())[1], present)
    assert found[1] == 0
    torch.testing.assert_close(found[[0, 2, 3]], expected)


@pytest.mark.parametrize(("law", "n"), [*((law, 3) for law in NOISES), ("normal", 200), ("exponential", 200)])
def test_transforms_of_functions_give_the_jacobian_and_the_hessian(law: str, n: int) -> None:
    loc = locations(n, 0.4).detach()
    probs = torch.func.jacrev(lambda loc: perturbed_argmax_probs(loc, NOISES[law]()))(loc)
    torch.testing.assert_close(probs, jacobian(loc.requires_grad_(), law))
    per_example = torch.func.vmap(torch.func.grad(lambda loc: perturbed_argmax_log_probs(loc, NOISES[law]())[0]))
    batch = torch.stack([loc.detach(), loc.detach().flip(0)])
    expected = torch.stack([_gradient_of_first(row, law) for row in batch])
    torch.testing.assert_close(per_example(batch), expected)


def _gradient_of_first(loc: Tensor, law: str) -> Tensor:
    loc = loc.clone().requires_grad_()
    return torch.autograd.grad(perturbed_argmax_log_probs(loc, NOISES[law]())[0], loc)[0]


def test_the_second_derivative_of_the_expected_largest_is_the_jacobian() -> None:
    loc = locations(5, 1.0)
    hessian = torch.autograd.functional.hessian(lambda loc: expected_max(loc, Normal()), loc)
    torch.testing.assert_close(hessian, jacobian(loc, "normal"))


def test_half_precision_gets_a_gradient_of_its_own_dtype() -> None:
    loc = torch.randn(30, dtype=torch.bfloat16, requires_grad=True)
    perturbed_argmax_log_probs(loc, Normal())[0].backward()
    assert loc.grad is not None
    assert loc.grad.dtype == torch.bfloat16
