import math

import pytest
import torch

from kexue.ops.rotary import grid_turns, rotary, turn


def test_every_pair_of_channels_turns_by_its_own_angle():
    x = torch.randn(3, 6, dtype=torch.float64)
    expected = torch.empty_like(x)
    for position in range(3):
        for k in range(3):
            turn = complex(math.cos(a := position * 10000 ** (-2 * k / 6)), math.sin(a))
            turned = complex(x[position, 2 * k], x[position, 2 * k + 1]) * turn
            expected[position, 2 * k], expected[position, 2 * k + 1] = turned.real, turned.imag
    torch.testing.assert_close(rotary(x), expected)


@pytest.mark.parametrize("shift", [1, 7, 100])
def test_products_depend_on_the_distance_only(shift):
    q, k = torch.randn(2, 1, 8, dtype=torch.float64).expand(2, 12, 8)
    here = rotary(q) @ rotary(k).mT
    there = rotary(q, torch.arange(12) + shift) @ rotary(k, torch.arange(12) + shift).mT
    torch.testing.assert_close(here, there)
    torch.testing.assert_close(here[1:, 1:], here[:-1, :-1])


def test_lengths_are_kept():
    x = torch.randn(2, 5, 9, 4)
    torch.testing.assert_close(rotary(x).norm(dim=-1), x.norm(dim=-1))


def test_positions_may_be_given_per_text():
    x, positions = torch.randn(2, 3, 5, 4), torch.randint(0, 50, (2, 1, 5))
    for b in range(2):
        torch.testing.assert_close(rotary(x, positions)[b], rotary(x[b], positions[b, 0]))


def test_angles_stay_float32_for_half_precision():
    x = torch.ones(1, 2, dtype=torch.bfloat16)
    turned = rotary(x, torch.tensor([1001]))
    exact = torch.tensor([[math.cos(1001) - math.sin(1001), math.cos(1001) + math.sin(1001)]])
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.float(), exact, rtol=0.01, atol=0.01)


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="dim=5"):
        rotary(torch.randn(2, 5))


def test_in_a_grid_each_coordinate_turns_an_equal_share_of_the_channels():
    x, places = torch.randn(2, 6, 8), torch.cartesian_prod(torch.arange(2), torch.arange(3))
    shares = [rotary(x[..., :4], places[:, 0], base=50.0), rotary(x[..., 4:], places[:, 1], base=50.0)]
    torch.testing.assert_close(turn(x, grid_turns(places, 8, base=50.0)), torch.cat(shares, -1))


def test_shares_that_are_not_equal_are_refused():
    with pytest.raises(ValueError, match=r"3 coordinates .* dim=8"):
        grid_turns(torch.zeros(1, 3), 8)


def test_without_complex_numbers_which_compilers_do_not_know_the_turns_are_the_same(monkeypatch):
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    expected = rotary(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotary(x), expected)
