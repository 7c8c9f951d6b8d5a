"""How much memory a step keeps for its gradient, counted tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def kept_bytes(step: Callable[[], object], own: Iterable[Tensor]) -> int:
    """Bytes of all tensors that a forward pass keeps, each storage once, but for those of `own`."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    places = {tensor.untyped_storage().data_ptr() for tensor in own}
    return sum(size for place, size in kept.items() if place not in places)
