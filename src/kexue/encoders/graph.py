"""An encoder as one graph for windows of any number and width, which is what compiling and exporting need.

Where a graph held for some shapes only, every batch of a new shape would be compiled anew, for a minute. So a break in
the graph is an error (`fullgraph`), and sizes are symbols in it (`dynamic`); torch makes a graph of its own for a size
of 1 alone, so there are two.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from transformers import PreTrainedModel

from kexue.errors import OptionError
from kexue.layers.gau import GatedAttentionUnit
from kexue.ops.attention import AttentionMap

BACKEND: Any = "inductor"
WIDTH = 16
"""Tokens in the windows that an encoder is compiled with; neither 1 nor as many as there are windows."""


def refuse_many_graphs(encoder: torch.nn.Module) -> None:
    """Raise `OptionError` for an encoder whose operations depend on the length of the text."""
    for module in encoder.modules():
        if isinstance(module, GatedAttentionUnit) and not isinstance(module.attention, AttentionMap):
            raise OptionError(
                f"an encoder with the attention {type(module.attention).__name__} reads a text chunk by chunk: "
                "that is no single graph for all lengths, so it can be neither exported nor compiled"
            )


def compile_encoder(
    encoder: PreTrainedModel, *, width: int, precision: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Compile both graphs now, so that no call waits for it later; `width` is what a window has at most.

    `precision` is the context in which the encoder will be called. Raises `OptionError` where it cannot be compiled.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    refuse_many_graphs(encoder)
    encoder.compile(fullgraph=True, dynamic=True, backend=BACKEND)
    try:
        for windows in (1, 3):
            tokens = torch.zeros(windows, min(WIDTH, width), dtype=torch.long)
            mask = torch.ones_like(tokens)
            # As `extract` has them: a tensor that was made in inference mode would need graphs of its own.
            with torch.inference_mode(), precision():
                given = (each.to(encoder.device).split(windows)[0] for each in (tokens, mask))
                encoder(**dict(zip(("input_ids", "attention_mask"), given, strict=True)))
    except (TorchDynamoException, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OptionError(f"the encoder cannot be compiled here: {reason}; leave out compile") from error
