"""Attention of the gated unit: how queries and keys become weights, and how values are mixed, a block at a time.

attention    what every attention can do: mix values, and take gradients back
maps         A = f(c Q K^T): squared ReLU, softmax, Laplace, ...
mixed        quadratic within chunks, linear beyond
linear       Q (K^T V) / n
streamed     A V and its gradients without the matrix A
dropout      of weights, from a counter
gated        the whole unit between its projections
plain        the same as autograd has it
"""

from kexue.ops.attention.attention import Attention, Dropout
from kexue.ops.attention.gated import gated_attention
from kexue.ops.attention.maps import (
    AttentionMap,
    EntropyInvariantSoftmax,
    Laplace,
    NormalizedSquaredReLU,
    Softmax,
    SquaredReLU,
    SquaredReLUOverLength,
)
from kexue.ops.attention.mixed import MixedChunk
from kexue.ops.attention.plain import plain_gated_attention

__all__ = [
    "ATTENTIONS",
    "Attention",
    "AttentionMap",
    "Dropout",
    "EntropyInvariantSoftmax",
    "Laplace",
    "MixedChunk",
    "NormalizedSquaredReLU",
    "Softmax",
    "SquaredReLU",
    "SquaredReLUOverLength",
    "gated_attention",
    "plain_gated_attention",
]

ATTENTIONS: dict[str, type[Attention]] = {
    "squared_relu": SquaredReLU,
    "squared_relu_over_length": SquaredReLUOverLength,
    "normalized_squared_relu": NormalizedSquaredReLU,
    "softmax": Softmax,
    "entropy_invariant_softmax": EntropyInvariantSoftmax,
    "laplace": Laplace,
    "mixed_chunk": MixedChunk,
}
