"""The devices that a test runs on: the processor everywhere, a GPU where there is one (`pytest -m gpu`)."""

from __future__ import annotations

import pytest
import torch

ON_GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]


def needs_gpu(test):
    """Mark a test that says nothing without a GPU."""
    for mark in ON_GPU:
        test = mark(test)
    return test
