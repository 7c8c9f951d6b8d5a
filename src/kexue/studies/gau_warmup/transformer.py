"""The Transformer to compare with: post-norm attention and feed-forward layers, rotary positions, plain or DeepNorm.

    x <- norm(a x + F(x))       a = 1, or DeepNorm's a = (2N)^(1/4) with W_v, W_o and both matrices of the feed-forward
                                layer begun at (8N)^(-1/4) of their size, for N layers (Wang et al. 2022)

Weights begin as LeCun's, so that only the form differs from the gated units.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from kexue.ops.rotary import rotary


@dataclass(frozen=True)
class TransformerSizes:
    """Vocabulary, width, layers, width of a head; `deep_norm` or plain."""

    vocab_size: int
    dim: int
    num_layers: int
    head_dim: int = 32
    deep_norm: bool = False

    @property
    def state_gain(self) -> float:
        """a."""
        return (2 * self.num_layers) ** 0.25 if self.deep_norm else 1.0

    @property
    def weight_gain(self) -> float:
        """Of the matrices that decide how large a branch is."""
        return (8 * self.num_layers) ** -0.25 if self.deep_norm else 1.0


class Transformer(nn.Module):
    """Ids long[batch, seq] to logits float[batch, seq, vocab], whose matrix is that of the embeddings."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocab_size, sizes.dim)
        self.norm = nn.LayerNorm(sizes.dim)
        self.layers = nn.ModuleList(
            PostNorm(branch(sizes), sizes) for _ in range(sizes.num_layers) for branch in (SelfAttention, FeedForward)
        )
        nn.init.normal_(self.embedding.weight, std=sizes.dim**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """The logits."""
        x = self.norm(self.embedding(ids))
        for layer in self.layers:
            x = layer(x)
        return x @ self.embedding.weight.mT


class PostNorm(nn.Module):
    """norm(a x + F(x))."""

    def __init__(self, branch: nn.Module, sizes: TransformerSizes) -> None:
        super().__init__()
        self.branch = branch
        self.gain = sizes.state_gain
        self.norm = nn.LayerNorm(sizes.dim)

    def forward(self, x: Tensor) -> Tensor:
        """States to states."""
        out: Tensor = self.norm(self.gain * x + self.branch(x))
        return out


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(s)) V W_o over heads."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.heads = sizes.dim // sizes.head_dim
        self.query_key = lecun(sizes.dim, 2 * sizes.dim)
        self.value = lecun(sizes.dim, sizes.dim, sizes.weight_gain)
        self.output = lecun(sizes.dim, sizes.dim, sizes.weight_gain)

    def forward(self, x: Tensor) -> Tensor:
        """The branch."""
        query, key, value = (self._split(part) for part in (*self.query_key(x).chunk(2, -1), self.value(x)))
        mixed = nn.functional.scaled_dot_product_attention(rotary(query), rotary(key), value)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """gelu(x W) W', four times as wide inside."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.inner = lecun(sizes.dim, 4 * sizes.dim, sizes.weight_gain)
        self.output = lecun(4 * sizes.dim, sizes.dim, sizes.weight_gain)

    def forward(self, x: Tensor) -> Tensor:
        """The branch."""
        out: Tensor = self.output(nn.functional.gelu(self.inner(x)))
        return out


def lecun(fan_in: int, fan_out: int, gain: float = 1.0) -> nn.Linear:
    """A linear map without bias that keeps the variance times gain^2."""
    linear = nn.Linear(fan_in, fan_out, bias=False)
    nn.init.normal_(linear.weight, std=gain * fan_in**-0.5)
    return linear
