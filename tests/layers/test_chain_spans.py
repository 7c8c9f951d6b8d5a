"""Spans of a chain: scores against enumeration of every path, tags and spans as inverses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.chains import all_paths, span_scores, spans_of

from kexue.layers.chain_spans import ChainSpanScores, num_tags, tags_of_spans
from kexue.ops.linear_chain import best_through


def drawn(lengths: list[int], labels: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tags, seq = num_tags(labels), max(lengths) + 1
    emissions = 2 * torch.randn(len(lengths), seq, tags, generator=generator, dtype=torch.double)
    mask = torch.arange(seq) < torch.tensor(lengths)[:, None]
    return emissions, torch.randn(tags, tags, generator=generator, dtype=torch.double), mask


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3), labels=st.integers(1, 2), seed=st.integers(0, 10**6)
)
def test_a_span_is_as_sure_as_the_best_path_with_it_leads_over_the_best_without(lengths, labels, seed):
    emissions, transitions, mask = drawn(lengths, labels, seed)
    scores = ChainSpanScores(emissions, transitions, *best_through(emissions, transitions, mask), mask).dense()
    for text, length in enumerate(lengths):
        expected = span_scores(all_paths(emissions[text, :length], transitions))
        assert len(expected) == labels * length * (length + 1) // 2
        for (label, start, end), score in expected.items():
            assert float(scores[text, label, start, end]) == pytest.approx(score)


def test_the_spans_above_0_are_those_of_the_best_path_in_a_thousand_texts():
    lengths = [1 + number % 12 for number in range(1000)]
    emissions, transitions, mask = drawn(lengths, 3, 0)
    through = best_through(emissions, transitions, mask)
    scores = ChainSpanScores(emissions, transitions, *through, mask).dense()
    best = sum(through).argmax(-1)
    for text, length in enumerate(lengths):
        found = {tuple(place) for place in (scores[text, :, :length, :length].triu() > 0).nonzero().tolist()}
        assert found == spans_of(tuple(best[text, :length].tolist()))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)), max_size=5), st.integers(0, 10**6))
def test_tags_of_spans_that_do_not_overlap_are_those_spans_again(parts, seed):
    spans, place = [], 0
    for label, width, gap in parts:
        spans.append((0, label, place, place + width))
        place += width + 1 + gap
    order = torch.randperm(len(spans), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(1, place + 1, dtype=torch.bool)
    tags = tags_of_spans(torch.tensor(spans, dtype=torch.long).reshape(-1, 4)[order], mask)
    assert spans_of(tuple(tags[0].tolist())) == {span[1:] for span in spans}


def test_blocks_are_parts_of_the_whole():
    emissions, transitions, mask = drawn([9, 6], 2, 0)
    scores = ChainSpanScores(emissions, transitions, *best_through(emissions, transitions, mask), mask)
    torch.testing.assert_close(scores.block(slice(2, 5), slice(2, 8)), scores.dense()[:, :, 2:5, 2:8])
