"""What a study ran on, in one line."""

from __future__ import annotations

import platform

import torch

from kexue import provenance


def describe_machine(device: str) -> str:
    """Processor, the GPU if that is what was computed on, threads, versions."""
    return f"{provenance.describe_machine(device)}; Python {platform.python_version()}, torch {torch.__version__}"
