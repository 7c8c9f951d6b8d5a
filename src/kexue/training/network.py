"""Settings of a transformers model for the time of its training, and the learning rate that it begins with."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from kexue.encoders.loading import is_preset


def choose_attention(model: PreTrainedModel, device: torch.device) -> None:
    """On a CPU `eager` in place of `sdpa`: a quarter faster in training, where dropout rules out fused kernels."""
    if device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation("eager")


def enable_gradient_checkpointing(model: PreTrainedModel) -> None:
    """Keep less for the backward pass and compute it again."""
    # The first name is that of transformers 5.20 and later, which warns at the other one.
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    next(getattr(model, name) for name in names if hasattr(model, name))()


def default_learning_rate(name: str, width: int) -> float:
    """1e-3 from scratch; 3e-4 for a pretrained encoder of 384, less for wider ones: 7.5e-5 for 768 (docs/log.md)."""
    return 1e-3 if is_preset(name) else 3e-4 * (384 / width) ** 2
