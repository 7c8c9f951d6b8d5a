"""An encoder in PyTorch to an ONNX file.

torch.onnx.export traces the encoder with torch.export (`dynamo=True`), for any number of windows of any width; what it
wrote is run beside the encoder on several shapes, and refused where it does not give the same states.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from kexue.encoders.exported import INPUTS, OUTPUT, ExportedEncoder
from kexue.encoders.graph import refuse_many_graphs
from kexue.errors import CheckpointError, OptionError

NEEDED = ("onnx", "onnxruntime", "onnxscript")
SHAPES = ((1, 8), (3, 40), (2, 16))
"""(windows, width) on which the file is compared with the encoder; the second is the one that is traced."""
TOLERANCE = 1e-3
"""Of a state, whose size is about 1; what float32 leaves is a hundred times less."""
LARGEST_FILE = 2**31 - 2**24
"""Bytes of weights up to which they are in the file itself, as a protocol buffer has 2 GB at most."""
OPSET = 23
"""The first in which attention is one operator; in earlier ones it is twenty, and on batches a tenth slower."""


class _States(nn.Module):
    """The call that the rest of the package makes, with tensors alone."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def check_installed() -> None:
    """Raise `OptionError` where what exporting needs is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise OptionError(f"{', '.join(missing)} is missing: pip install 'kexue[onnx-export]'")


@torch.no_grad()
def export_encoder(encoder: PreTrainedModel, path: Path) -> float:
    """Write an encoder in float32 on the CPU; returns the largest difference of a state on `SHAPES`.

    Raises `OptionError` where the encoder cannot be traced for all shapes, or the file gives other states.
    """
    check_installed()
    refuse_many_graphs(encoder)
    size = sum(weight.numel() * weight.element_size() for weight in encoder.state_dict().values())
    try:
        with _only_what_matters():
            program = torch.onnx.export(
                _States(encoder).eval(),
                _inputs(encoder, *SHAPES[1]),
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes={name: {0: "windows", 1: "width"} for name in INPUTS},
                opset_version=OPSET,
                verbose=False,
            )
            program.save(path, external_data=size > LARGEST_FILE)
    except torch.onnx.OnnxExporterError as error:
        raise OptionError(f"this encoder ({encoder.config.model_type}) cannot be exported: {_cause(error)}") from error
    difference = compare(encoder, load_written(encoder, path))
    if not difference <= TOLERANCE:
        raise OptionError(
            f"this encoder ({encoder.config.model_type}) cannot be exported: the file gives states that differ by "
            f"{difference:.2g} from the encoder's"
        )
    return difference


def load_written(encoder: Any, path: Path) -> ExportedEncoder:
    """The file that was written for an encoder; raises `OptionError` where onnxruntime cannot run it."""
    try:
        return ExportedEncoder(path, encoder.config)
    except CheckpointError as error:
        raise OptionError(f"this encoder ({encoder.config.model_type}) cannot be exported: {error}") from error


@torch.no_grad()
def compare(encoder: Any, exported: Any) -> float:
    """The largest difference of a state of a token on `SHAPES`."""
    return max(float(_difference(encoder, exported, *_inputs(encoder, windows, width))) for windows, width in SHAPES)


def _difference(encoder: Any, exported: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    first, second = (
        each(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state for each in (encoder, exported)
    )
    largest: Tensor = (first - second)[attention_mask.bool()].abs().max()
    return largest


def _inputs(encoder: Any, windows: int, width: int) -> tuple[Tensor, Tensor]:
    """Any tokens, each window a little shorter than the one before."""
    generator = torch.Generator().manual_seed(windows * width)
    input_ids = torch.randint(encoder.config.vocab_size, (windows, width), generator=generator)
    lengths = width - torch.arange(windows) * (width // 4)
    return input_ids, (torch.arange(width) < lengths[:, None]).long()


@contextmanager
def _only_what_matters() -> Iterator[None]:
    """Keep back what the exporter says of itself: which packages it does not find, what it will once do otherwise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _cause(error: BaseException) -> str:
    """The first line of what is at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300]
