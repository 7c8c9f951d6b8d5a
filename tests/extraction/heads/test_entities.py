"""Heads for entities alone: what they share with the other heads, and what of nested gold a chain can learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import SchemaError
from kexue.extraction.heads import HEADS
from kexue.extraction.heads.entities import BIO, CRF, outermost
from kexue.extraction.links import Links, SpanLabels, entity_labels
from kexue.extraction.model import ExtractionConfig
from kexue.extraction.schema import RelationType, Schema
from tests.extraction.heads.test_contract import DIM, SCHEMA, padded, scored, texts_of

SPANS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 4)).map(lambda s: (s[0], s[1], s[1] + s[2])),
    unique=True,
)


@given(SPANS)
def test_the_outermost_spans_do_not_overlap_and_every_other_span_overlaps_one_of_them(spans):
    kept = list(outermost(spans))
    taken = [token for _, start, end in kept for token in range(start, end + 1)]
    assert len(taken) == len(set(taken))
    assert all(set(range(start, end + 1)) & set(taken) for _, start, end in spans)


def test_of_nested_spans_the_outer_one_is_trained_on():
    assert list(outermost([(1, 2, 3), (0, 1, 5), (2, 1, 2), (1, 6, 6)])) == [(0, 1, 5), (1, 6, 6)]


def test_a_head_for_entities_needs_types_and_passes_over_relations():
    with pytest.raises(SchemaError, match="entities with types"):
        entity_labels(Schema((), (RelationType("p"),)))
    assert entity_labels(SCHEMA).predicates == () and entity_labels(SCHEMA).names == SCHEMA.entity_types


@torch.no_grad()
def test_a_crf_without_transitions_is_the_token_classification():
    torch.manual_seed(0)
    labels = entity_labels(SCHEMA)
    bio, crf = BIO(DIM, labels), CRF(DIM, labels)
    crf.load_state_dict(bio.state_dict() | {"transitions": torch.zeros_like(crf.transitions)})
    hidden, mask = padded(texts_of(9, 5), 9)
    mask[0, 4] = False
    targets = BIO.targets([])
    torch.testing.assert_close(bio.loss(hidden, mask, targets), crf.loss(hidden, mask, targets))
    for ours, theirs in zip(bio.decode(hidden, mask, floor=-9.0), crf.decode(hidden, mask, floor=-9.0), strict=True):
        assert scored(ours)[0] == {span: pytest.approx(score, abs=1e-4) for span, score in scored(theirs)[0].items()}


@torch.no_grad()
def test_the_global_pointer_is_the_span_part_of_gplinker():
    config = ExtractionConfig(head_dim=16)
    whole = HEADS["gplinker"].from_config(DIM, config, SpanLabels(SCHEMA))
    alone = HEADS["global_pointer"].from_config(DIM, config, entity_labels(SCHEMA))
    alone.spans.load_state_dict(whole.spans.state_dict())
    hidden, mask = padded(texts_of(7), 7)
    (ours,), (theirs,) = alone.decode(hidden, mask, floor=-1.0), whole.decode(hidden, mask, floor=-1.0)
    assert scored(ours)[0] == scored(theirs)[0] and len(ours.spans)
    assert not len(ours.triples)


@pytest.mark.parametrize(("efficient", "rotary"), [(True, False), (False, True), (False, False)])
@torch.no_grad()
def test_without_rotary_positions_the_order_of_the_tokens_does_not_matter(efficient: bool, rotary: bool):
    config = ExtractionConfig(head_dim=16, efficient=efficient, span_rotary=rotary)
    head = HEADS["global_pointer"].from_config(DIM, config, entity_labels(SCHEMA))
    hidden, _ = padded(texts_of(7), 7)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    scores, moved = head.spans(hidden).dense(), head.spans(hidden[:, order]).dense()
    assert torch.allclose(scores[:, :, order][..., order], moved, atol=1e-4) == (not rotary)


@pytest.mark.parametrize(("name", "found"), [("global_pointer", {(0, 0, 4), (0, 1, 2)}), ("crf", {(0, 0, 4)})])
def test_a_global_pointer_learns_nested_entities_and_a_chain_the_outer_ones(name: str, found: set):
    torch.manual_seed(0)
    head = HEADS[name].from_config(DIM, ExtractionConfig(head_dim=16), entity_labels(SCHEMA))
    hidden, mask = padded(texts_of(6), 6)
    targets = head.targets([Links([(0, 0, 4), (0, 1, 2)])])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(hidden, mask, targets).sum().backward()
        optimizer.step()
    with torch.no_grad():
        (candidates,) = head.decode(hidden, mask)
    assert scored(candidates)[0].keys() == found
