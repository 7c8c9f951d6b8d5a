"""What makes the host wait for a GPU, seen without one."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Waits(TorchDispatchMode):
    """Counts the operations for whose result the host has to wait on a GPU."""

    names = ("nonzero", "bincount", "_local_scalar_dense", "unique", "masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.count += any(name in function.overloadpacket.__name__ for name in self.names)
        return function(*arguments, **(keywords or {}))
