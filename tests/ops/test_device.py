"""The device that is asked for, the best one where none is, and what is said of one that is not there."""

from __future__ import annotations

import pytest
import torch

from kexue.errors import OptionError
from kexue.ops.device import check_dtype, choose_device


@pytest.mark.parametrize(("there", "best"), [(True, "cuda"), (False, "cpu")])
def test_the_best_device_is_a_gpu_where_there_is_one(monkeypatch, there: bool, best: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device() == torch.device(best)


def test_the_device_asked_for_is_taken():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused_in_one_line_that_names_it(name: str):
    with pytest.raises(OptionError, match=rf"^device '{name}' cannot be used here \(.*\); cpu always can$"):
        choose_device(name)


def test_a_precision_that_networks_do_not_compute_in_is_refused_with_those_they_do():
    check_dtype("bfloat16")
    with pytest.raises(OptionError, match=r"float23.*float32.*bfloat16"):
        check_dtype("float23")
