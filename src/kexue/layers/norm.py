"""Norms of states, each of which divides a vector by its size: by root mean square alone, or centred, with gain."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from kexue.ops.rms import rms_norm


class RMSNorm(nn.Module):
    """x over its root mean square, without gain and without parameters, as in RoFormerV2 and GAU-alpha."""

    def __init__(self, dim: int, tiny: float = 1e-6) -> None:
        super().__init__()
        self.dim = dim
        self.tiny = tiny

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Every vector at root mean square 1."""
        return rms_norm(x, self.tiny)

    def extra_repr(self) -> str:
        return f"{self.dim}, tiny={self.tiny}"


NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "rms": RMSNorm,
    "layer": lambda dim, tiny: nn.LayerNorm(dim, eps=tiny),
}
"""By name, what makes a norm of a width and a small number added to the variance."""
