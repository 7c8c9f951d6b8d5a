"""The trace of a Jacobian J of which only products v J are to be had.

    exact           sum_i e_i J e_i                                                   one product per dimension
    Hutchinson      mean over probes of v J v,   v of random signs                    unbiased; exact for a diagonal J
    Hutch++         trace of Q J Q + mean over probes of v P J P v,   P = 1 - Q Q     Q spans the largest part of J

Signs rather than Gaussian probes, as the diagonal then adds no variance (Hutchinson 1989). Hutch++ (Meyer et al.
2021) pays where a few directions make most of J. Every probe is kept fixed along a path, so the path stays smooth,
and has a column of its own, so the spread of the columns is the error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.errors import OptionError

Products = Callable[[Tensor], Tensor]
"""v[num, batch, dim] -> v J, of the same shape."""


class Trace(ABC):
    """A way to get a trace; `columns` independent estimates of it."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """How many estimates; 1 where it is exact."""

    @abstractmethod
    def probes(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """What is drawn once for a path that begins at x[batch, dim]: [num, batch, dim]."""

    @abstractmethod
    def __call__(self, products: Products, probes: Tensor) -> Tensor:
        """The estimates: [batch, columns]."""


@dataclass(frozen=True)
class ExactTrace(Trace):
    """Every dimension in turn, `at_once` of them together."""

    at_once: int = 256

    @property
    def columns(self) -> int:
        """1."""
        return 1

    def probes(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The unit vectors."""
        return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None].expand(-1, len(x), -1)

    def __call__(self, products: Products, probes: Tensor) -> Tensor:
        """The trace."""
        parts = [_quadratic(v, products(v)).sum(0) for v in probes.split(self.at_once)]
        return torch.stack(parts).sum(0)[:, None]


@dataclass(frozen=True)
class Hutchinson(Trace):
    """`num_probes` vectors of random signs; two at least, as one says nothing about its error."""

    num_probes: int = 8

    def __post_init__(self) -> None:
        _at_least_two(self.num_probes)

    @property
    def columns(self) -> int:
        """num_probes."""
        return self.num_probes

    def probes(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Random signs."""
        return random_signs(self.num_probes, x, generator)

    def __call__(self, products: Products, probes: Tensor) -> Tensor:
        """One estimate per probe."""
        return _quadratic(probes, products(probes)).T


@dataclass(frozen=True)
class HutchPP(Trace):
    """A space of `rank` directions exactly, the rest by `num_probes` vectors of random signs."""

    rank: int = 8
    num_probes: int = 8

    def __post_init__(self) -> None:
        _at_least_two(self.num_probes)

    @property
    def columns(self) -> int:
        """num_probes."""
        return self.num_probes

    def probes(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Normal vectors for the space and random signs for the rest.

        Two vectors of signs may be the same; the space they span would then turn with the rounding, and no solver
        could follow.
        """
        if self.rank >= x.shape[1]:
            raise OptionError(f"rank={self.rank} is the trace of all {x.shape[1]} dimensions; use ExactTrace()")
        device = x.device if generator is None else generator.device
        sketch = torch.randn((self.rank, *x.shape), generator=generator, device=device)
        return torch.cat((sketch.to(x.device, x.dtype), random_signs(self.num_probes, x, generator)))

    def __call__(self, products: Products, probes: Tensor) -> Tensor:
        """The exact part plus one estimate of the rest per probe."""
        sketch, signs = probes[: self.rank], probes[self.rank :]
        basis = torch.linalg.qr(products(sketch).permute(1, 2, 0)).Q.permute(2, 0, 1)
        rest = signs - torch.einsum("kbd,kbe,nbe->nbd", basis, basis, signs)
        turned = products(torch.cat((basis, rest)))
        inside = _quadratic(basis, turned[: self.rank]).sum(0)
        return inside[:, None] + _quadratic(rest, turned[self.rank :]).T


def random_signs(num: int, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Vectors of -1 and 1: [num, *x.shape]."""
    device = x.device if generator is None else generator.device
    draws = torch.randint(0, 2, (num, *x.shape), generator=generator, device=device)
    return (2 * draws - 1).to(x.device, x.dtype)


def _quadratic(v: Tensor, product: Tensor) -> Tensor:
    """v J v: [num, batch], summed in float64."""
    return torch.einsum("nbd,nbd->nb", v.double(), product.double())


def _at_least_two(num_probes: int) -> None:
    if num_probes < 2:
        raise OptionError(f"num_probes is {num_probes}; the standard error needs 2 at least")
