"""Predictor-corrector: a step of another sampler, then Langevin steps that mend the law at the level it reached.

    x <- x + e score + sqrt(2 e) z,        e = 2 (snr sigma_s)^2

On N(0, V) a corrector's own variance is V / (1 - e/(2V)), about V (1 + snr^2 sigma_s^2 / V). Song et al. 2021 take
e = 2 (snr |z| / |score|)^2, for which it is V (1 + snr^2) at every level, the last too, whatever the number of steps:
2.56% too much at their snr of 0.16. With e in proportion to sigma_s^2 the excess is the same amid the noise and is
gone where the data appear, so it falls with the number of steps, at worst as the root of it. And as no norm of a batch
enters, a picture does not depend on those sampled beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kexue.diffusion.grids import UNIFORM, TimeGrid
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler, RowSampler, Step, rows_at
from kexue.diffusion.samplers.sde import ReverseDiffusion
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError

REVERSE_DIFFUSION = ReverseDiffusion()


@dataclass(frozen=True)
class PredictorCorrector(RowSampler):
    """`num_corrections` Langevin steps after each step of `predictor` but the last; one network call each.

    Raises OptionError for an snr that is not above 0 or a negative number of corrections.
    """

    predictor: OneRowSampler = REVERSE_DIFFUSION
    snr: float = 0.16
    num_corrections: int = 1

    grid: ClassVar[TimeGrid] = UNIFORM

    def __post_init__(self) -> None:
        if not self.snr > 0 or self.num_corrections < 0:
            raise OptionError(
                f"a corrector needs snr > 0 and num_corrections >= 0, got {self.snr!r} and {self.num_corrections!r}"
            )

    @property
    def stochastic(self) -> bool:
        """Where something is corrected, or the predictor is."""
        return self.num_corrections > 0 or self.predictor.stochastic

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """The predictor's row, then the corrector's."""
        steps = self.predictor.make_steps(schedule, times)
        between = times[1:-1]
        sigma = schedule.sigma(between)
        langevin = Columns(on_x=1.0, on_eps=-2 * self.snr**2 * sigma, noise=2 * self.snr * sigma)
        corrections = rows_at(schedule, between, langevin)
        mended = [
            step._replace(rows=step.rows + (row,) * self.num_corrections)
            for step, row in zip(steps[:-1], corrections, strict=True)
        ]
        return [*mended, steps[-1]]
