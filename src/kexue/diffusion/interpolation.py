"""Between two noises, on a sphere: a straight line would leave what N(0, I) looks like.

    z = z_1 cos(w pi/2) + z_2 sin(w pi/2)                      N(0, I) again, for independent z_1 and z_2
    z = (z_1 sin((1 - w) a) + z_2 sin(w a)) / sin(a)           with a the angle between them

The middle of a line has variance 1/2 only, and decodes to flat grey. Su, kexue.fm/archives/9181 (2022);
Song, Meng, Ermon 2020.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError

OPPOSITE = 1e-4  # so close to half a turn, in radians, there is no saying which way round is the shorter


def spherical(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """A quarter turn from `first` to `second`, each of any shape: [weights, ...] for weights [num] in [0, 1].

    For independent noises. Raises OptionError where the shapes differ.
    """
    _check_same_shape(first, second)
    turn = per_sample(weights.to(first) * (math.pi / 2), first[None])
    return first * turn.cos() + second * turn.sin()


def great_circle(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Along the arc between them: [weights, ...]. For noises that are not independent, as those of similar pictures.

    Their lengths may differ; that of the result goes evenly from one to the other. Raises OptionError where the
    shapes differ, or the noises are opposite, as then there is no shortest arc.
    """
    _check_same_shape(first, second)
    lengths = first.norm(), second.norm()
    one, other = first / lengths[0], second / lengths[1]
    angle = 2 * torch.atan2((one - other).norm(), (one + other).norm())
    if float(angle) > math.pi - OPPOSITE:
        raise OptionError("the two noises are opposite, so there is no shortest arc between them")
    share = per_sample(weights.to(first), first[None])
    return _on_arc(one, other, angle, share) * torch.lerp(
        lengths[0].expand_as(share), lengths[1].expand_as(share), share
    )


def _on_arc(one: Tensor, other: Tensor, angle: Tensor, share: Tensor) -> Tensor:
    turn = angle / math.pi
    near, far = (part * torch.sinc(part * turn) / torch.sinc(turn) for part in (1 - share, share))
    return one * near + other * far


def _check_same_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise OptionError(f"two noises of one shape are needed, got {list(first.shape)} and {list(second.shape)}")
