"""Standard deviations of a unit's matrices against what each rule keeps."""

from __future__ import annotations

import pytest

from kexue.layers.initialization import DepthScaled, Deviations, FusedXavier, LeCun, Normal, SeparateXavier, UnitSizes

BASE = UnitSizes(dim=768, inner=1536, key_dim=128, num_units=24)


def test_lecun_keeps_the_variance_of_what_comes_in():
    gate, key, output = LeCun().deviations(BASE)
    assert [768 * gate**2, 768 * key**2, 1536 * output**2] == pytest.approx([1, 1, 1])


def test_xavier_is_between_keeping_it_forward_and_keeping_it_backward():
    gate, key, output = SeparateXavier().deviations(BASE)
    assert [(768 + 1536) * gate**2, (768 + 128) * key**2, (1536 + 768) * output**2] == pytest.approx([2, 2, 2])


def test_as_one_matrix_xavier_makes_w_z_half_as_large_as_alone():
    gate, key, output = FusedXavier().deviations(BASE)
    assert gate == key
    assert [(768 + 2 * 1536 + 128) * gate**2, (1536 + 768) * output**2] == pytest.approx([2, 2])
    assert SeparateXavier().deviations(BASE).key / key == pytest.approx(2.1, abs=0.01)


def test_the_three_matrices_in_series_make_a_branch_of_one_in_n():
    gains = [own / plain for own, plain in zip(DepthScaled().deviations(BASE), LeCun().deviations(BASE), strict=True)]
    assert gains[0] * gains[1] * gains[2] == pytest.approx(1 / 24)
    assert gains == pytest.approx([gains[0]] * 3)
    assert DepthScaled(order=1.0).deviations(BASE).gate == pytest.approx(LeCun().deviations(BASE).gate / 24)


def test_the_normal_rule_is_one_number():
    assert Normal().deviations(BASE) == Deviations(0.02, 0.02, 0.02)
    assert Normal(0.1).deviations(BASE) == Deviations(0.1, 0.1, 0.1)
