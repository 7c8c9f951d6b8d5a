"""Norms against their definitions."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from kexue.layers.norm import NORMS


def test_the_rms_norm_leaves_the_mean_and_the_layer_norm_takes_it_away():
    x = torch.randn(3, 5, 8) + 2
    assert_close(NORMS["rms"](8, 0.1)(x), x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt())
    centred = x - x.mean(-1, keepdim=True)
    assert_close(NORMS["layer"](8, 0.1)(x), centred / (centred.square().mean(-1, keepdim=True) + 0.1).sqrt())


def test_the_rms_norm_learns_nothing_and_says_what_it_is():
    norm = NORMS["rms"](8, 1e-6)
    assert not list(norm.parameters())
    assert repr(norm) == "RMSNorm(8, tiny=1e-06)"
