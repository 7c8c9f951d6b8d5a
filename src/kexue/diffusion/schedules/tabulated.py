"""Any chain x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) eps as a schedule: t = i / N, data at t = 0.

    log alpha(i/N) = sum_{j <= i} log(1 - beta_j) / 2

Between two steps log alpha is a cubic whose slope at each step is the mean of the falls around it, limited so that it
never rises (Fritsch and Carlson 1980): linear betas stay linear, and beta(t) has no jumps for adaptive solvers to
stumble over. Where the last step leaves no signal (beta_N = 1), alpha itself falls evenly to 0.

Networks trained on such a chain have seen the N times only, the first being t = 1/N; diffusers calls it timestep 0,
and its timestep k is t = (k + 1) / N. Ho et al. 2020; Su, kexue.fm/archives/9119 (2022).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kexue.diffusion.schedules.variance_preserving import VariancePreserving
from kexue.errors import OptionError


@dataclass(frozen=True)
class TabulatedVP(VariancePreserving):
    """A schedule of which a table of betas is given."""

    @abstractmethod
    def table(self) -> Tensor:
        """The betas: float64[num_steps]."""

    def log_alpha(self, t: Tensor) -> Tensor:
        """The cubic of the step that t is in."""
        table = self._segments(t.device)
        place = t.to(torch.float64) * len(table)
        step = place.detach().floor().clamp(0, len(table) - 1).long()
        u = place - step
        start, first, fall, last = table[step].unbind(-1)
        ends = fall.isinf()
        first, fall, last = (torch.where(ends, 0.0, number) for number in (first, fall, last))
        cubic = u * (first + u * (3 * fall - 2 * first - last + u * (first + last - 2 * fall)))
        return start + torch.where(ends, torch.log1p(-torch.where(ends, u, 0.0)), cubic)

    @property
    def t_min(self) -> float:
        """The first step."""
        return 1 / len(self.table())

    @property
    def t_first(self) -> float:
        """The first step."""
        return self.t_min

    def _segments(self, device: torch.device) -> Tensor:
        """Per step log alpha where it starts, its slope there, its fall, its slope where the step ends: on a device."""
        if device not in self._tables:
            self._tables[device] = segments(log_alphas(self.table())).to(device)
        return self._tables[device]

    @cached_property
    def _tables(self) -> dict[torch.device, Tensor]:
        return {}


@dataclass(frozen=True, repr=False)
class DiscreteBetas(TabulatedVP):
    """The betas given, Ho's where left out.

    Raises OptionError where one is not within (0, 1); the last may be 1.
    """

    betas: Sequence[float] = ()

    def __post_init__(self) -> None:
        betas = self.betas if len(self.betas) else linear_betas()
        object.__setattr__(self, "betas", tuple(map(float, betas)))
        for i, beta in enumerate(self.betas):
            if not 0 < beta < 1 and (i, beta) != (len(self.betas) - 1, 1.0):
                raise OptionError(f"betas have to be above 0 and below 1 (the last may be 1); betas[{i}] is {beta!r}")
        super().__post_init__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.betas)} betas from {self.betas[0]:.3g} to {self.betas[-1]:.3g})"

    def table(self) -> Tensor:
        """As given."""
        return torch.tensor(self.betas, dtype=torch.float64)


def log_alphas(betas: Tensor) -> Tensor:
    """log alpha [num_steps + 1] at t = 0, 1/N, ..., 1."""
    return torch.nn.functional.pad(torch.log1p(-betas.to(torch.float64)).cumsum(0) / 2, (1, 0))


def segments(values: Tensor) -> Tensor:
    """Start, slope there, fall, slope at the end of each step of a falling table [n + 1]: [n, 4].

    A step that falls to -inf has slopes of 0, which say nothing.
    """
    falls = values.diff()
    finite = falls[falls.isfinite()]
    edge = slopes(finite)
    missing = (0, len(falls) - len(finite))
    first, last = (torch.nn.functional.pad(ends, missing) for ends in (edge[:-1], edge[1:]))
    return torch.stack((values[:-1], first, falls, last), dim=-1)


def slopes(falls: Tensor) -> Tensor:
    """The slopes [n + 1] at the ends of steps that fall by `falls` [n], exact where the falls grow evenly."""
    if len(falls) < 2:
        return falls[:1].repeat(2)
    inner = (falls[1:] + falls[:-1]) / 2
    outer = [(3 * falls[end] - falls[beside]).div(2).reshape(1) for end, beside in ((0, 1), (-1, -2))]
    smallest = torch.cat((falls[:1], torch.maximum(falls[1:], falls[:-1]), falls[-1:]))
    return torch.cat((outer[0], inner, outer[1])).clamp(3 * smallest, torch.zeros_like(smallest))


def linear_betas(num_steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Ho et al. 2020: float64[num_steps]."""
    return torch.linspace(first, last, num_steps, dtype=torch.float64)


def scaled_linear_betas(num_steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> Tensor:
    """Rombach et al. 2022: float64[num_steps]."""
    return torch.linspace(first**0.5, last**0.5, num_steps, dtype=torch.float64).square()


def cosine_betas(num_steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """Nichol and Dhariwal 2021, cut at `largest`: float64[num_steps]."""
    t = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    log_alpha = torch.log(torch.cos((t + offset) / (1 + offset) * (torch.pi / 2)).clamp(min=0))
    return (-torch.expm1(2 * log_alpha.diff())).clamp(max=largest)
