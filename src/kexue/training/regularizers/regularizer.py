"""What is added to the loss of a batch, computed from further passes over it or from what others say of it.

    loss of a step = loss of the batch + sum of the penalties of the regularisers

A regulariser is a frozen dataclass with one method, `penalty(step)`. A `Step` is a batch on its way through the model:
it can run again from a moved entrance, the place where discrete input has become numbers (the output of the embedding;
x_t of an image). No weight is touched and no gradient is set to zero on the way, and all of a step is one loss with one
backward pass, so accumulation, several processes and mixed precision know nothing of it. Whatever is drawn comes
from torch's own random state, which a checkpoint holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

Inputs = dict[str, Tensor]


class Said(Protocol):
    """What a model says of a batch before it is decoded: what two passes, or two models, are compared by."""

    def halves(self) -> tuple[Self, Self]:
        """Of the first half of the batch, and of the second."""

    def detached(self) -> Self:
        """The same, through which no gradient flows."""
        ...

    def scaled(self, by: float) -> Self:
        """All scores times a number."""
        ...

    def divergence(self, other: Self, kind: str) -> Tensor:
        """How far apart they are, a number: a mean over the batch."""
        ...


class Job(Protocol):
    """What a regulariser has to know of a kind of training."""

    model: Any

    @property
    def divergences(self) -> Sequence[str]:
        """Names that `Said.divergence` takes, the first of which fits the loss; none if nothing can be compared."""
        ...

    @property
    def entrance(self) -> nn.Module:
        """The module whose output is the input as numbers [batch, ...]."""
        ...

    def kept(self, inputs: Inputs) -> Tensor | None:
        """1 where the output of the entrance counts and 0 where it is padding; None: all of it counts."""

    def doubled(self, inputs: Inputs) -> Inputs:
        """The batch twice, one after the other."""
        ...

    def bring_teacher(self, folder: str) -> None:
        """Load the model in a folder; raises `OptionError` if it cannot be compared with the one to be trained."""

    def taught(self, folder: str, inputs: Inputs) -> Said:
        """What the model that was brought from a folder says of the batch; no gradient flows through it."""
        ...


class Regularizer(ABC):
    """A penalty beside the loss."""

    doubles: ClassVar[bool] = False
    """Whether it needs the batch twice in one pass."""

    @abstractmethod
    def penalty(self, step: Step) -> Tensor:
        """What is added to the loss."""

    def check(self, job: Job) -> None:  # noqa: B027  (most have nothing to refuse)
        """Raise `OptionError` where it can do nothing for this job."""


class Step:
    """A batch after its first pass; `run` is the model, whose outputs have "loss" and "said"."""

    def __init__(self, job: Job, run: Callable[..., dict[str, Any]], inputs: Inputs) -> None:
        self.job, self.inputs, self._run = job, inputs, run
        self._device = next(iter(inputs.values())).device
        self._random = _random_state(self._device)
        with _watched(job.entrance) as seen:
            outputs = run(**inputs)
        self.loss: Tensor = outputs["loss"]
        self.said: Said = outputs.get("said")  # type: ignore[assignment]  # whoever needs it has asked in `check`
        self._shift, self._entered = seen

    def again(self, shift: Tensor) -> tuple[Tensor, Said]:
        """Loss and what is said of the same batch, under the same dropout, with the entrance moved by `shift`."""
        now = _random_state(self._device)
        _set_random_state(self._random, self._device)
        with _moved(self.job.entrance, shift):
            outputs = self._run(**self.inputs)
        _set_random_state(now, self._device)
        return outputs["loss"], outputs["said"]

    def slope(self) -> Tensor:
        """The gradient of the loss with respect to the output of the entrance."""
        return torch.autograd.grad(self.loss, self._shift, retain_graph=True)[0]

    def noise(self) -> Tensor:
        """Normal noise of the shape of the entrance's output."""
        return torch.randn_like(self._entered)

    def along(self, direction: Tensor, radius: float) -> Tensor:
        """The shift of each example along a direction: `radius` times as long as what it moves, 0 at padding.

        In parts of what is moved, because embeddings of one model are ten times as long as those of another.
        """
        direction, entered = (self._kept(x) for x in (direction.detach(), self._entered))
        length = _length(entered) / _length(direction).clamp(min=torch.finfo(direction.dtype).tiny)
        return direction * (radius * length)

    def within(self, shift: Tensor, radius: float) -> Tensor:
        """The shift of each example, cut down to `radius` times the length of what it moves."""
        longest = radius * _length(self._kept(self._entered))
        return shift * (longest / _length(shift).clamp(min=torch.finfo(shift.dtype).tiny)).clamp(max=1)

    def _kept(self, x: Tensor) -> Tensor:
        kept = self.job.kept(self.inputs)
        return x if kept is None else x * kept


def regularized_loss(
    job: Job, regularizers: Sequence[Regularizer], run: Callable[..., dict[str, Any]], inputs: Inputs
) -> Tensor:
    """The loss of a batch with all penalties; the mean over both halves where a regulariser doubles it."""
    if any(regularizer.doubles for regularizer in regularizers):
        inputs = job.doubled(inputs)
    step = Step(job, run, inputs)
    return sum((regularizer.penalty(step) for regularizer in regularizers), step.loss)


@contextmanager
def _watched(entrance: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block a shift of 0 is added to what comes out, and kept with it: gradients can be asked for."""
    seen: list[Tensor] = []

    def watch(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        seen.extend((torch.zeros_like(output, requires_grad=True), output.detach()))
        return output + seen[0]

    with _hooked(entrance, watch):
        yield seen


@contextmanager
def _moved(entrance: nn.Module, shift: Tensor) -> Iterator[None]:
    with _hooked(entrance, lambda module, arguments, output: output + shift):
        yield


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., Tensor]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _length(x: Tensor) -> Tensor:
    """The norm of each example, to be multiplied with it."""
    return x.flatten(1).norm(dim=1).view(-1, *(1,) * (x.dim() - 1))


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
