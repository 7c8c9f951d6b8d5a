"""An encoder outside PyTorch: an ONNX file run by onnxruntime, called as the encoder that it was made from.

    (input_ids, attention_mask)  ->  last_hidden_state

That call is all that the rest of the package asks of an encoder when it extracts, so windows, heads, decoding and
confidences are the same for both. Weights beside the file ("external data") are read from its folder only: onnxruntime
refuses a path or a link that leads out of it. No library of operators is ever registered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput

from kexue.errors import CheckpointError, OptionError

INPUTS = ("input_ids", "attention_mask")
"""Both int64[windows, width]."""
OUTPUT = "last_hidden_state"
"""float32[windows, width, dim]."""


class ExportedEncoder(nn.Module):
    """Hidden states of windows through onnxruntime, on the CPU, without gradients.

    Takes as many threads as torch has when it is made.
    """

    def __init__(self, path: Path, config: PretrainedConfig) -> None:
        """Raise `CheckpointError` for a file that cannot be run, `OptionError` where onnxruntime is not installed."""
        super().__init__()
        self.config = config
        self.session = open_session(path)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        given = zip(INPUTS, (input_ids, attention_mask), strict=True)
        (states,) = self.session.run([OUTPUT], {name: tensor.contiguous().numpy() for name, tensor in given})
        return BaseModelOutput(torch.from_numpy(states))


def open_session(path: Path, *, profile: Path | None = None) -> Any:
    """An onnxruntime session of a file; it writes the time of its operators where `profile` begins."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ModuleNotFoundError:
        raise OptionError(f"{path.parent} runs in onnxruntime: pip install 'kexue[onnx]'") from None
    damages = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile, state.NotImplemented)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors: warnings are about what its optimiser would have liked
    # Buffers planned for one shape are of no use to the next, and are kept for every shape that occurs.
    options.enable_mem_pattern = False
    # Threads that wait by spinning take the cores that torch decodes on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (*damages, state.InvalidArgument, state.RuntimeException) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path}: onnxruntime {onnxruntime.__version__} cannot run it: {reason}") from error
    found = tuple(item.name for item in session.get_inputs()), tuple(item.name for item in session.get_outputs())
    if found != (INPUTS, (OUTPUT,)):
        raise CheckpointError(f"{path}: takes {found[0]} and gives {found[1]}, not {INPUTS} and {(OUTPUT,)}")
    return session
