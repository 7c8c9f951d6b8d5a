"""A Ray of two CPUs that runs in the background."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """One for all tests; it claims to have a GPU, which nobody computes on."""
    module = pytest.importorskip("ray", reason="the ray extra is not installed")
    os.environ.setdefault("RAY_worker_niceness", "0")
    small = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 2**27}
    module.init("local", num_cpus=2, num_gpus=1, **small)
    yield module
    module.shutdown()
