"""The adaptive solver against equations with known solutions; every sample by itself."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kexue.diffusion.ode import ERROR, NODES, STAGES, State, integrate
from kexue.errors import OptionError


def growing(t: Tensor, state: State) -> State:
    """dy/dt = y cos t, whose solution is y(0) exp(sin t)."""
    return (state[0] * torch.cos(t)[:, None],)


START = (torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64),)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9, 1e-12])
def test_the_error_follows_the_tolerance(tolerance: float):
    state, _ = integrate(growing, START, 0.0, 3.0, rtol=tolerance, atol=tolerance)
    error = float((state[0] - START[0] * math.exp(math.sin(3.0))).abs().max())
    assert error < 10 * tolerance


def test_the_number_of_calls_grows_as_the_fifth_root_of_the_precision():
    calls = [integrate(growing, START, 0.0, 3.0, rtol=tol, atol=tol).num_calls for tol in (1e-5, 1e-10)]
    assert calls[1] / calls[0] == pytest.approx(10, rel=0.5)


def test_the_way_back_leads_to_the_start():
    there = integrate(growing, START, 0.2, 0.9, rtol=1e-10, atol=1e-10).state
    back = integrate(growing, there, 0.9, 0.2, rtol=1e-10, atol=1e-10).state
    torch.testing.assert_close(back[0], START[0], rtol=1e-8, atol=0)


def test_several_tensors_of_different_shapes_move_together():
    def turn(t: Tensor, state: State) -> State:
        return -state[1], state[0]

    one, zero = torch.ones(3, 2, 2, dtype=torch.float64), torch.zeros(3, 2, 2, dtype=torch.float64)
    x, y = integrate(turn, (one, zero), 0.0, 1.0, rtol=1e-9, atol=1e-9).state
    torch.testing.assert_close(x, math.cos(1) * one)
    torch.testing.assert_close(y, math.sin(1) * one)


def test_a_sample_takes_its_own_steps_whatever_it_is_together_with():
    def stiff(t: Tensor, state: State) -> State:
        return (-state[0] * (1 + 99 * state[1]), torch.zeros_like(state[1]))

    speeds = torch.tensor([[0.0], [1.0], [0.3]], dtype=torch.float64)
    values = torch.ones(3, 1, dtype=torch.float64)
    together = integrate(stiff, (values, speeds), 0.0, 1.0).state[0]
    for i in range(3):
        alone = integrate(stiff, (values[i : i + 1], speeds[i : i + 1]), 0.0, 1.0).state[0]
        assert alone.equal(together[i : i + 1])


def test_every_step_is_reported_and_leads_forward():
    seen: list[Tensor] = []
    integrate(growing, START, 0.0, 1.0, on_step=lambda t, state: seen.append(t.clone()))
    assert all((later >= earlier).all() for earlier, later in pairwise(seen))
    assert seen[-1].tolist() == [1, 1]


def test_the_first_step_is_short_where_the_slope_soon_changes():
    """A slope that is small only where it begins would ask for a step that has to be taken back."""

    def swinging(t: Tensor, state: State) -> State:
        return ((0.01 + torch.sin(20 * t.clamp(min=0)))[:, None],)

    times = [0.0]
    one = torch.ones(1, 1, dtype=torch.float64)
    integrate(swinging, (one,), 0.0, 1.0, rtol=1e-3, atol=1e-3, on_step=lambda t, state: times.append(float(t)))
    assert all(earlier < later for earlier, later in pairwise(times))


def test_nothing_to_integrate_leaves_everything_as_it_is():
    assert integrate(growing, START, 0.5, 0.5).state[0].equal(START[0])


@pytest.mark.parametrize(
    "slope",
    [lambda t, state: (state[0] / (1 - t)[:, None] ** 2,), lambda t, state: (state[0] * math.nan,)],
    ids=["explodes", "is not a number"],
)
def test_an_equation_without_solution_is_given_up_with_the_place(slope):
    with pytest.raises(OptionError, match=r"max_calls=500: from t=0 the slowest sample came to t=.* on the way to 1"):
        integrate(slope, START, 0.0, 1.0, max_calls=500)


def test_the_coefficients_meet_the_conditions_of_order_five_and_four():
    last = (*STAGES[-1], 0.0)
    nodes = (0.0, *NODES)
    embedded = [b - e for b, e in zip(last, ERROR, strict=True)]
    for weights, order in ((last, 5), (embedded, 4)):
        for power in range(order):
            moment = sum(w * c**power for w, c in zip(weights, nodes, strict=True))
            assert moment == pytest.approx(1 / (power + 1), abs=1e-14)
    for node, row in zip(NODES, STAGES, strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-14)
