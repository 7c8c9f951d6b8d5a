"""What a study ran on, in one line."""

from __future__ import annotations

import platform

import torch

from kexue.provenance import processor


def describe_machine() -> str:
    """Processor, threads, versions."""
    threads = torch.get_num_threads()
    gpu = f"{torch.cuda.get_device_name()}; " if torch.cuda.is_available() else ""
    return (
        f"{gpu}{processor()}, {threads} thread{'s' if threads > 1 else ''}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
