"""The gated attention unit: attention and the gated feed-forward layer in one.

    O = (U * A V) W_o,   U = silu(X W_u),  V = silu(X W_v),  Z = silu(X W_z),   A = attention(Q(Z), K(Z))

One head suffices; Q and K are Z scaled and shifted per channel. Two units cost as much as one attention plus
one feed-forward layer. Hua et al. 2022 (FLASH); Su, kexue.fm/archives/8934 and 8990 (2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from kexue.ops.attention import Attention, AttentionMap, SquaredReLU, gated_attention, plain_gated_attention
from kexue.ops.attention.dropout import draw_seeds
from kexue.ops.precision import exact_dtype
from kexue.ops.rotary import Turns, grid_turns, rotary_turns


class GatedAttentionUnit(nn.Module):
    """O = (U * A V) W_o, with rotary positions and without biases: 3 d e + d s + 2 r s parameters.

    r is the number of vectors that the attention makes of Z, 2 for most. Weights begin as N(0, 1 / fan-in) (LeCun),
    scales as 1, offsets as 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        expansion: int = 2,
        key_dim: int = 128,
        attention: Attention | None = None,
        dropout: float = 0.0,
        rotary_base: float | None = 10000.0,
        recompute: bool = True,
    ) -> None:
        """A unit for states of width d = `dim`.

        Args:
            dim: width d of the states.
            expansion: e / d, the width of U and V against the states'.
            key_dim: width s of queries and keys; even.
            attention: how values are mixed; `SquaredReLU()` where left out.
            dropout: share of the weights A set to zero in training.
            rotary_base: base of the rotary angles; None for a unit that does not know where its tokens stand.
            recompute: keep little for the backward pass and compute the rest again; False, for attention maps only,
                keeps everything and allows gradients of gradients and batches of gradients.
        """
        super().__init__()
        inner = expansion * dim
        self.key_dim = key_dim
        self.rotary_base = rotary_base
        self.attention = SquaredReLU() if attention is None else attention
        if not recompute and not isinstance(self.attention, AttentionMap):
            raise ValueError(f"recompute=False needs an attention map, not {self.attention!r}")
        self.input = nn.Linear(dim, 2 * inner + key_dim, bias=False)
        self.scale = nn.Parameter(torch.ones(self.attention.num_roles, key_dim))
        self.offset = nn.Parameter(torch.zeros(self.attention.num_roles, key_dim))
        self.dropout = dropout
        self.recompute = recompute
        self.output = nn.Linear(inner, dim, bias=False)
        for linear in (self.input, self.output):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)

    def forward(
        self,
        x: Float[Tensor, "batch seq dim"],
        mask: Bool[Tensor, "batch seq"] | None = None,
        places: Shaped[Tensor, "seq axes"] | None = None,
        turns: Turns | None = None,
    ) -> Float[Tensor, "batch seq dim"]:
        """Mix the states of each text; `mask` is True for its tokens, all where left out.

        `places` are the tokens' coordinates in a grid, as of the patches of an image; in a text they are left out.
        `turns` spares a stack of units to compute the same rotary turns again: those that `turns` of one returned.
        What comes out at masked places means nothing, and nothing there reaches the other places.
        """
        hidden = self.input(x)
        turns = self.turns(x, places) if turns is None else turns
        output = self.output.weight.to(hidden.dtype)
        rate = self.dropout if self.training else 0.0
        if isinstance(self.attention, AttentionMap) and (not self.recompute or _recorded()):
            return plain_gated_attention(
                hidden, self.scale, self.offset, output, self.attention, turns, mask, rate=rate
            )
        seeds = draw_seeds(len(x), x.device) if rate else None
        return gated_attention(
            hidden, self.scale, self.offset, output, self.attention, turns, mask, rate=rate, seeds=seeds
        )

    def turns(self, x: Float[Tensor, "batch seq dim"], places: Shaped[Tensor, "seq axes"] | None = None) -> Turns:
        """The rotary turns of the tokens of `x`, the same for every text."""
        dtype = exact_dtype(x)
        if self.rotary_base is None:
            return rotary_turns(torch.zeros(1, device=x.device), self.key_dim, dtype=dtype)
        if places is None:
            places = torch.arange(x.shape[1], device=x.device).unsqueeze(-1)
        return grid_turns(places, self.key_dim, base=self.rotary_base, dtype=dtype)


def _recorded() -> bool:
    """Whether a graph is being made of a forward pass alone: one for all shapes cannot go block by block."""
    return torch.compiler.is_compiling() and not torch.is_grad_enabled()
