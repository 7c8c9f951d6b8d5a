"""The maps of others that our laws are compared with are right themselves."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize
from torch.testing import assert_close

from kexue.studies.distributions.rivals import entmax15, entmax15_loss, sparsemax, sparsemax_loss

MAPS = [sparsemax, entmax15]
LOSSES = [(sparsemax, sparsemax_loss), (entmax15, entmax15_loss)]
OMEGAS = {sparsemax: lambda p: ((p**2).sum() - 1) / 2, entmax15: lambda p: 4 / 3 * ((p**1.5).sum() - 1)}


def scores(*shape: int, seed: int = 0, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("map_", MAPS)
@pytest.mark.parametrize("seed", range(5))
def test_a_map_solves_the_problem_that_defines_it(map_, seed: int):
    s = scores(5, seed=seed)
    omega = OMEGAS[map_]
    found = minimize(
        lambda p: omega(p.clip(0)) - p @ s.numpy(),
        [0.2] * 5,
        method="SLSQP",
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert_close(map_(s), torch.from_numpy(found.x), atol=1e-5, rtol=0)


def test_sparsemax_of_an_example_done_by_hand():
    assert_close(sparsemax(torch.tensor([-2.0, 0.0, 0.5])), torch.tensor([0.0, 0.25, 0.75]))


@pytest.mark.parametrize("map_", MAPS)
def test_a_map_gives_probabilities_whatever_the_shift_and_the_number_of_ties(map_):
    for s in (scores(4, 7), scores(4, 7, scale=100.0), torch.zeros(3, 50, dtype=torch.float64), scores(2, 1)):
        p = map_(s)
        assert (p >= 0).all()
        assert_close(p.sum(-1), torch.ones_like(p.sum(-1)))
        assert_close(map_(s + 1000.0), p, atol=1e-9, rtol=0)


@pytest.mark.parametrize("map_", MAPS)
def test_the_gradient_of_a_map_is_the_limit_of_its_differences(map_):
    assert torch.autograd.gradcheck(map_, scores(3, 6).requires_grad_())


@pytest.mark.parametrize(("map_", "loss"), LOSSES)
def test_the_gradient_of_a_loss_is_the_probabilities_less_the_target(map_, loss):
    s, target = scores(4, 6).requires_grad_(), torch.tensor([0, 5, 2, 2])
    assert torch.autograd.gradcheck(lambda s: loss(s, target), s)
    (gradient,) = torch.autograd.grad(loss(s, target).sum(), s)
    assert_close(gradient, map_(s.detach()) - torch.nn.functional.one_hot(target, 6))


@pytest.mark.parametrize(("loss", "lead"), [(sparsemax_loss, 1.0), (entmax15_loss, 2.0)])
def test_a_loss_is_zero_from_the_lead_at_which_the_rest_gets_nothing(loss, lead: float):
    target = torch.tensor(0)
    assert loss(torch.tensor([lead, 0.0, 0.0]).double(), target).abs() < 1e-12
    assert loss(torch.tensor([lead - 0.1, 0.0, 0.0]).double(), target) > 1e-4
