"""Where rounding decides the result: compute in float32 at least, whatever autocast says.

In bfloat16 a score of 20 is known to 0.06 only, which is 6% of its probability; a loss or a threshold on such
a score is noise. Heads and losses therefore leave autocast and compute in float32 (float64 stays float64).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def exact_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 where any tensor is float64, else float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which operations on the device of `tensor` keep the dtype of their inputs."""
    return torch.autocast(tensor.device.type, enabled=False)
