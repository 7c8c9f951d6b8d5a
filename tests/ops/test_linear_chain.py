"""Chains against enumeration of every path."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.chains import all_paths, log_sum
from torch.testing import assert_close

from kexue.ops.linear_chain import best_through, best_through_independent, log_partition, path_score

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def problem(lengths: list[int], tags: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    emissions = 3 * torch.randn(len(lengths), 6, tags, generator=generator, dtype=torch.double)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    return emissions, torch.randn(tags, tags, generator=generator, dtype=torch.double), mask


@settings(deadline=None, max_examples=40)
@given(lengths=LENGTHS, tags=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_the_partition_function_and_the_score_of_a_path_are_those_of_enumeration(lengths, tags, seed):
    emissions, transitions, mask = problem(lengths, tags, seed)
    path = torch.randint(tags, mask.shape, generator=torch.Generator().manual_seed(seed))
    partition, scores = log_partition(emissions, transitions, mask), path_score(emissions, transitions, path, mask)
    for text, length in enumerate(lengths):
        paths = all_paths(emissions[text, :length], transitions)
        assert float(partition[text]) == pytest.approx(log_sum(paths))
        assert float(scores[text]) == pytest.approx(paths[tuple(path[text, :length].tolist())])


@settings(deadline=None, max_examples=40)
@given(lengths=LENGTHS, tags=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_the_best_path_and_the_best_through_every_tag_are_those_of_enumeration(lengths, tags, seed):
    emissions, transitions, mask = problem(lengths, tags, seed)
    through = sum(best_through(emissions, transitions, mask))
    for text, length in enumerate(lengths):
        paths = all_paths(emissions[text, :length], transitions)
        assert tuple(through[text, :length].argmax(-1).tolist()) == max(paths, key=paths.get)
        for place in range(length):
            for tag in range(tags):
                expected = max(score for path, score in paths.items() if path[place] == tag)
                assert float(through[text, place, tag]) == pytest.approx(expected)


@given(lengths=LENGTHS, tags=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_without_transitions_no_recursion_is_needed(lengths, tags, seed):
    emissions, transitions, mask = problem(lengths, tags, seed)
    for ours, theirs in zip(
        best_through_independent(emissions, mask),
        best_through(emissions, torch.zeros_like(transitions), mask),
        strict=True,
    ):
        assert_close(ours[mask], theirs[mask])


def test_the_gradient_of_the_partition_function_is_the_probability_of_every_tag():
    emissions, transitions, mask = problem([4], 3, 0)
    emissions.requires_grad_()
    log_partition(emissions, transitions, mask).sum().backward()
    paths = all_paths(emissions.detach()[0, :4], transitions)
    total = torch.tensor(log_sum(paths)).exp()
    for place in range(4):
        for tag in range(3):
            mass = sum(torch.tensor(score).exp() for path, score in paths.items() if path[place] == tag)
            assert float(emissions.grad[0, place, tag]) == pytest.approx(float(mass / total), rel=1e-5)
    assert not emissions.grad[0, 4:].any()


def test_a_text_without_tokens_has_one_path_of_score_0():
    emissions, transitions, mask = problem([1], 3, 0)
    mask[0] = False
    assert log_partition(emissions, transitions, mask).tolist() == [0.0]
    assert path_score(emissions, transitions, mask.long(), mask).tolist() == [0.0]
