"""Time grids: as many steps as asked for, in order, where the papers and diffusers put them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.diffusion.grids import (
    GRIDS,
    Given,
    Karras,
    Leading,
    Linspace,
    Trailing,
    UniformAngle,
    UniformLogSNR,
    UniformTime,
    check_times,
)
from kexue.diffusion.schedules import EDM, SCHEDULES, VE, DiscreteBetas, LinearVP, ZeroTerminalSNR
from kexue.errors import OptionError

COUNTS = (1, 2, 3, 10, 50, 501, 997, 1000, 1009, 3001)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_gives_any_number_of_steps_that_fall_from_the_noise_to_the_data(grid: str, schedule: str):
    chosen = SCHEDULES[schedule]()
    if grid in ("log_snr", "karras") and float(chosen.alpha(torch.ones(()))) == 0:
        with pytest.raises(OptionError, match="no finite level"):
            GRIDS[grid]().times(chosen, 10)
        return
    for num_steps in COUNTS:
        times = GRIDS[grid]().times(chosen, num_steps)
        assert times.dtype == torch.float64
        assert times.shape == (num_steps + 1,)
        assert bool((times.diff() < 0).all())
        assert 0.98 * (1 - 1 / num_steps) <= float(times[0]) <= 1
        assert float(times[-1]) == 0


@given(num_steps=st.integers(1, 4000), num_train=st.integers(1, 1200))
@settings(deadline=None, max_examples=60)
def test_spacings_never_visit_a_time_twice_nor_leave_the_schedule(num_steps: int, num_train: int):
    for grid in (Leading, Linspace, Trailing):
        if grid is Linspace and num_train == 1 and num_steps > 1:
            continue
        times = grid(num_train).times(LinearVP(), num_steps)
        check_times(times)
        assert len(times) == num_steps + 1


@pytest.mark.parametrize("num_steps", [1, 2, 5, 10, 50, 300, 501, 600, 1000])
def test_spacings_are_those_of_diffusers_where_they_are_sound(num_steps: int):
    num_train = 1000

    def ours(grid: type) -> np.ndarray:
        return np.round(grid(num_train).times(DiscreteBetas(), num_steps)[:-1].numpy() * num_train - 1)

    assert np.array_equal(ours(Trailing), np.round(np.arange(num_train, 0, -num_train / num_steps)) - 1)
    if num_steps > 1:
        assert np.array_equal(ours(Linspace), np.linspace(0, num_train - 1, num_steps).round()[::-1])
    if num_train % num_steps == 0:
        assert np.array_equal(ours(Leading), (np.arange(num_steps) * (num_train // num_steps))[::-1])


def test_a_whole_chain_visits_every_trained_time():
    expected = torch.arange(1000, -1, -1, dtype=torch.float64) / 1000
    for grid in (UniformTime(), Leading(), Linspace(), Trailing()):
        torch.testing.assert_close(grid.times(DiscreteBetas(), 1000), expected, rtol=0, atol=1e-14)


def test_no_network_is_called_below_the_first_trained_time_unless_a_spacing_is_asked_for_more():
    for grid in (UniformTime(), UniformTime(power=2), UniformAngle(), Karras(), UniformLogSNR()):
        for num_steps in (10, 1000, 3000):
            assert float(grid.times(DiscreteBetas(), num_steps)[-2]) >= 1e-3 * (1 - 1e-12)


def test_karras_is_the_formula_of_the_paper():
    schedule, num_steps = EDM(), 18
    i = torch.arange(num_steps, dtype=torch.float64)
    sigma = (80 ** (1 / 7) + i / (num_steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(schedule.sigma(Karras().times(schedule, num_steps)[:-1]), sigma, rtol=1e-9, atol=0)


def test_log_snr_angle_and_power_are_equal_steps_of_what_they_are_named_after():
    for schedule in (LinearVP(), VE()):
        for grid, level in (
            (UniformLogSNR(end=0.01), schedule.log_snr),
            (UniformAngle(data_std=0.3, end=0.01), lambda t: (schedule.sigma(t) / schedule.alpha(t) / 0.3).atan()),  # noqa: B023
            (UniformTime(power=2, end=0.01), torch.sqrt),
        ):
            steps = level(grid.times(schedule, 30)).diff()
            torch.testing.assert_close(steps, steps.mean().expand(30), rtol=1e-7, atol=1e-12)


def test_angles_have_a_start_where_there_is_no_signal():
    times = UniformAngle().times(ZeroTerminalSNR(), 10)
    assert float(times[0]) == 1
    assert bool((times.diff() < 0).all())


@pytest.mark.parametrize("num_steps", [0, -3, 2.5, True, "10", None])
@pytest.mark.parametrize("grid", GRIDS)
def test_what_is_no_number_of_steps_is_refused(grid: str, num_steps: object):
    with pytest.raises(OptionError, match="number of steps"):
        GRIDS[grid]().times(LinearVP(), num_steps)


@pytest.mark.parametrize(("start", "end"), [(1.1, 0.0), (0.5, 0.5), (0.2, 0.3), (1.0, -0.1), (float("nan"), 0.0)])
def test_a_grid_outside_the_schedule_is_refused(start: float, end: float):
    with pytest.raises(OptionError, match="0 <= end < start <= 1"):
        UniformTime(start=start, end=end)


@pytest.mark.parametrize(
    "values", [[1.0], [0.5, 0.5, 0.0], [0.2, 0.7, 0.0], [1.2, 0.5, 0.0], [1.0, float("nan"), 0.0], [0.0, 0.5, 1.0]]
)
def test_times_of_ones_own_have_to_fall_within_the_schedule(values: list[float]):
    with pytest.raises(OptionError):
        Given(values).times(LinearVP(), 2)


def test_times_of_ones_own_are_taken_as_they_are():
    assert Given([0.9, 0.4, 0.0]).times(LinearVP(), 2).tolist() == [0.9, 0.4, 0.0]
    with pytest.raises(OptionError, match="3 steps need 4"):
        Given([0.9, 0.4, 0.0]).times(LinearVP(), 3)
