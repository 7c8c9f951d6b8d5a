"""What is trained: gated units and Transformers of equal parameters, N branches each, the norm after every sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM
from kexue.layers.initialization import INITIALIZATIONS
from kexue.studies.gau_warmup.transformer import Transformer, TransformerSizes


@dataclass(frozen=True)
class Shape:
    """Of a network: vocabulary, width, number of branches that are added to the state."""

    vocab_size: int
    dim: int
    depth: int


@dataclass(frozen=True)
class Contender:
    """A network by its shape, and the share of the training over which the learning rate rises."""

    name: str
    make: Callable[[Shape], nn.Module]
    warm_up: float = 0.0


class Units(nn.Module):
    """The GAU encoder as a masked language model, ids to logits."""

    def __init__(self, attention: str, initialization: str, shape: Shape) -> None:
        super().__init__()
        config = GAUConfig(
            vocab_size=shape.vocab_size,
            hidden_size=shape.dim,
            num_hidden_layers=shape.depth,
            key_dim=shape.dim // 2,
            attention=attention,
            initialization=initialization,
            hidden_dropout=0.0,
            attention_dropout=0.0,
        )
        self.model = GAUForMaskedLM(config)

    def forward(self, ids: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.model(ids).logits
        return logits


def units(attention: str, initialization: str) -> Contender:
    """Gated units, no warm-up."""
    name = f"GAU, {attention.replace('_', ' ')}, {initialization.replace('_', ' ')}"
    return Contender(name, partial(Units, attention, initialization))


def _transformer(shape: Shape, *, deep_norm: bool = False) -> nn.Module:
    return Transformer(TransformerSizes(shape.vocab_size, shape.dim, shape.depth // 2, deep_norm=deep_norm))


PLAIN, WARM_UP, DEEP_NORM = "Transformer", "Transformer, warm-up", "Transformer, DeepNorm"
CONTENDERS = (
    units("squared_relu", "lecun"),
    units("softmax", "lecun"),
    units("entropy_invariant_softmax", "depth_scaled"),
    Contender(PLAIN, _transformer),
    Contender(WARM_UP, _transformer, warm_up=0.25),
    Contender(DEEP_NORM, partial(_transformer, deep_norm=True)),
)
"""At every depth."""
BEGINNINGS = tuple(
    units(attention, name) for attention in ("squared_relu", "softmax") for name in INITIALIZATIONS if name != "lecun"
)
"""At one depth: what the initialisation does."""
