"""What is compared: each noise law with its loss, and softmax, sparsemax and entmax 1.5 with theirs.

Every law is scaled so that the middle half of its noise is as wide as that of Gumbel(1). So softmax and the
others begin equally sharp; standard deviations would not do, as Cauchy has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kexue.distributions import NOISES, Gumbel, Noise, Normal, losses, perturbed_argmax_probs
from kexue.studies.distributions.rivals import entmax15, entmax15_loss, sparsemax, sparsemax_loss


@dataclass(frozen=True)
class Contender:
    """A map from locations float[..., n] to probabilities, and the loss float[...] that it learns with."""

    name: str
    loss_name: str
    probs: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


def contenders() -> list[Contender]:
    """All of them: softmax first, then the laws, then the maps of others."""
    return [
        Contender("softmax", "cross entropy", lambda scores: scores.softmax(-1), _softmax_loss),
        *(_of_law(name, scaled(noise)) for name, noise in NOISES.items()),
        Contender("sparsemax", "its own", sparsemax, sparsemax_loss),
        Contender("entmax 1.5", "its own", entmax15, entmax15_loss),
    ]


def other_losses() -> list[Contender]:
    """One law with the losses that it is not compared with in `contenders`."""
    noise = scaled(Normal)
    return [
        Contender("normal (FY)", "Fenchel-Young", _map(noise), lambda loc, t: losses.fenchel_young(loc, t, noise)),
        Contender("normal (EE)", "expected error", _map(noise), lambda loc, t: losses.expected_error(loc, t, noise)),
    ]


def scaled(law: type[Noise]) -> Noise:
    """The law, as wide in its middle half as Gumbel(1)."""
    return law(scale=_middle_half(Gumbel()) / _middle_half(law()))


def _middle_half(noise: Noise) -> float:
    low, high = noise.icdf(torch.tensor([0.25, 0.75], dtype=torch.float64)).tolist()
    return float(high - low)


def _of_law(name: str, noise: Noise) -> Contender:
    title = name.replace("_", " ")
    if noise.sparse:
        return Contender(title, "Fenchel-Young", _map(noise), lambda loc, t: losses.fenchel_young(loc, t, noise))
    return Contender(title, "cross entropy", _map(noise), lambda loc, t: losses.cross_entropy(loc, t, noise))


def _map(noise: Noise) -> Callable[[Tensor], Tensor]:
    return lambda loc: perturbed_argmax_probs(loc, noise)


def _softmax_loss(scores: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(scores, target, reduction="none")
