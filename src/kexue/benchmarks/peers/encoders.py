"""Encoders of peers as stacks over embedded tokens float[batch, seq, dim], each built as its users build it.

    FLASH-pytorch    GAU and FLASH of lucidrains (MIT), pre-norm, squared ReLU, with its own position bias
    bert4torch       GAULayer of Tongjilibo (MIT), post-norm, entropy-invariant softmax, as its GAU-alpha
    SDPA GAU         the unit as one would write it in torch, post-norm, with scaled_dot_product_attention and autograd
    RoFormer, BERT   of transformers (Apache-2); RoFormer has eager attention only, BERT takes that of torch (SDPA)

None has dropout. Two gated units have as many parameters as one Transformer layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel, RoFormerConfig, RoFormerModel

from kexue.ops.rotary import rotary

HEAD_DIM = 64


@dataclass(frozen=True)
class Size:
    """Width, number of gated units (a Transformer gets half as many layers), the longest text."""

    dim: int = 384
    num_units: int = 12
    longest: int = 2048


class Stack(nn.Module):
    """Layers one after the other."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def flash_gau(size: Size) -> nn.Module:
    """FLASH-pytorch's quadratic unit."""
    from flash_pytorch import GAU

    return Stack([GAU(dim=size.dim) for _ in range(size.num_units)])


def flash(size: Size) -> nn.Module:
    """FLASH-pytorch's mixed chunk unit, chunks of 256."""
    from flash_pytorch import FLASH

    return Stack([FLASH(dim=size.dim) for _ in range(size.num_units)])


def bert4torch_gau(size: Size) -> nn.Module:
    """bert4torch's unit with the options of its GAU-alpha."""
    return Stack([_Bert4torchUnit(size.dim) for _ in range(size.num_units)])


class _Bert4torchUnit(nn.Module):
    """Gives its layer the mask and the positions that it cannot do without."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        from bert4torch.layers import GAULayer

        self.layer = GAULayer(
            hidden_size=dim,
            intermediate_size=2 * dim,
            attention_key_size=128,
            hidden_act="swish",
            attention_probs_dropout_prob=0.0,
            dropout_rate=0.0,
            bias=False,
            weight=False,
            norm_mode="rmsnorm",
            p_bias="rotary",
            normalization="softmax_plus",
            eps=1e-12,
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, seq, _ = x.shape
        mask = torch.ones(batch, 1, 1, seq, device=x.device)
        positions = torch.arange(seq, device=x.device).unsqueeze(0)
        out: Tensor = self.layer(hidden_states=x, attention_mask=mask, position_ids=positions)["hidden_states"]
        return out


def sdpa_gau(size: Size) -> nn.Module:
    """The softmax unit in plain torch."""
    return Stack([_PlainUnit(size.dim) for _ in range(size.num_units)])


class _PlainUnit(nn.Module):
    """norm(x + GAU(x)); values are wider than keys, for which torch has a fused kernel on some devices only."""

    def __init__(self, dim: int, key_dim: int = 128) -> None:
        super().__init__()
        self.widths = [2 * dim, 2 * dim, key_dim]
        self.input = nn.Linear(dim, sum(self.widths), bias=False)
        self.scale = nn.Parameter(torch.ones(2, key_dim))
        self.offset = nn.Parameter(torch.zeros(2, key_dim))
        self.output = nn.Linear(2 * dim, dim, bias=False)
        self.norm = nn.RMSNorm(dim, elementwise_affine=False)

    def forward(self, x: Tensor) -> Tensor:
        u, v, z = nn.functional.silu(self.input(x)).split(self.widths, dim=-1)
        query, key = (
            rotary(z * scale + offset).to(v.dtype) for scale, offset in zip(self.scale, self.offset, strict=True)
        )
        parts = (part.unsqueeze(1) for part in (query, key, v))
        mixed = nn.functional.scaled_dot_product_attention(*parts).squeeze(1)
        out: Tensor = self.norm(x + self.output(u * mixed))
        return out


class _Transformer(nn.Module):
    """An encoder of transformers, without its word embeddings in the parameters' count and without pooler."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.model.pooler = None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(inputs_embeds=x).last_hidden_state
        return out


def bert(size: Size) -> nn.Module:
    """BERT with torch's fused attention."""
    config = BertConfig(**_sizes(size))
    return _Transformer(BertModel._from_config(config, attn_implementation="sdpa"))


def roformer(size: Size) -> nn.Module:
    """RoFormer, whose attention is eager."""
    return _Transformer(RoFormerModel(RoFormerConfig(embedding_size=size.dim, **_sizes(size))))


def _sizes(size: Size) -> dict[str, int | float]:
    return {
        "vocab_size": 2,
        "hidden_size": size.dim,
        "num_hidden_layers": size.num_units // 2,
        "num_attention_heads": size.dim // HEAD_DIM,
        "intermediate_size": 4 * size.dim,
        "max_position_embeddings": size.longest,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }


PEERS: dict[str, tuple[str, Callable[[Size], nn.Module]]] = {
    "FLASH-pytorch GAU": ("flash_pytorch", flash_gau),
    "FLASH-pytorch FLASH": ("flash_pytorch", flash),
    "bert4torch GAU": ("bert4torch", bert4torch_gau),
    "SDPA GAU": ("torch", sdpa_gau),
    "RoFormer": ("transformers", roformer),
    "BERT, SDPA": ("transformers", bert),
}
"""By name, the package it needs and what makes it."""


def installed_peers() -> Mapping[str, Callable[[Size], nn.Module]]:
    """Those whose package is installed."""
    return {name: make for name, (package, make) in PEERS.items() if find_spec(package) is not None}
