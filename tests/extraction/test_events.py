"""Events as cliques: against exhaustive search, bounded, and inverse to their encoding."""

from __future__ import annotations

import time
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.encoders.tokenization import Tokens
from kexue.errors import SchemaError
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Argument, Document, Event, Span
from kexue.extraction.events import MOST_EVENTS, EventEncoder, EventLabels, assemble_events, event_labels
from kexue.extraction.heads.events import EventLinker, Undirected
from kexue.extraction.links import fact_labels
from kexue.extraction.schema import Schema
from tests.reference.cliques import all_maximal_cliques, published_recursion

ROLES = ("a", "b", "c")
FREE = EventLabels(Schema(event_types=(("plain", ROLES), ("other", ROLES))))


def letters(count: int) -> tuple[str, Tokens]:
    """A text of single letters, each a token."""
    return "x" * count, Tokens([1] * count, list(range(count)), list(range(1, count + 1)))


def graph(num_nodes: int, edges: set[frozenset[int]], label: int = 0) -> Candidates:
    """One span of one token for each node, and its links."""
    pairs = [tuple(sorted(edge)) for edge in edges]
    return Candidates(
        torch.tensor([(label, node, node) for node in range(num_nodes)]).reshape(-1, 3),
        torch.full((num_nodes,), 3.0),
        torch.tensor([(one, label // len(ROLES), other) for one, other in pairs]).reshape(-1, 3),
        torch.full((len(pairs), 4), 2.0),
    )


def random_edges(num_nodes: int, density: float, seed: int) -> set[frozenset[int]]:
    generator = torch.Generator().manual_seed(seed)
    pairs = list(combinations(range(num_nodes), 2))
    kept = (torch.rand(len(pairs), generator=generator) < density).tolist()
    return {frozenset(pair) for pair, keep in zip(pairs, kept, strict=True) if keep}


def cliques_of(document: Document) -> set[frozenset[int]]:
    return {frozenset(argument.span.start for argument in event.arguments) for event in document.events}


@settings(deadline=None, max_examples=100)
@given(num_nodes=st.integers(0, 7), density=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_events_are_the_maximal_cliques_that_exhaustive_search_finds(num_nodes, density, seed):
    edges = random_edges(num_nodes, density, seed)
    document = assemble_events(*letters(num_nodes), graph(num_nodes, edges), FREE, Decision())
    expected = all_maximal_cliques(num_nodes, edges)
    assert cliques_of(document) == expected == published_recursion(frozenset(range(num_nodes)), edges)
    assert len(document.events) == len(expected)
    assert not any(one < other for one in expected for other in expected)  # none is contained in another


def test_one_event_of_twenty_arguments_with_a_tenth_of_its_links_missing_is_found_at_once():
    """Elsewhere: the published recursion needs more than 30 seconds for it."""
    edges = random_edges(20, 0.9, seed=0)
    began = time.process_time()
    document = assemble_events(*letters(20), graph(20, edges), FREE, Decision())
    assert time.process_time() - began < 0.5
    assert all(frozenset(pair) in edges for event in cliques_of(document) for pair in combinations(event, 2))


def test_a_graph_with_more_cliques_than_anybody_can_wait_for_is_cut_and_says_so():
    edges = {frozenset(pair) for pair in combinations(range(90), 2) if pair[0] // 3 != pair[1] // 3}  # 3^30 cliques
    document = assemble_events(*letters(90), graph(90, edges), FREE, Decision())
    assert len(document.events) == MOST_EVENTS and document.meta == {"cut": "events"}


def test_a_type_with_a_trigger_has_no_event_without_one():
    labels = EventLabels(Schema(event_types=(("fall", ("trigger", "who")),)))
    spans = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 2, 2]])
    found = Candidates(spans, torch.full((3,), 3.0), torch.tensor([[0, 0, 1]]), torch.full((1, 4), 2.0))
    document = assemble_events(*letters(3), found, labels, Decision())
    (event,) = document.events
    assert [(argument.role, argument.span.start) for argument in event.arguments] == [("trigger", 0), ("who", 1)]
    assert event.score == pytest.approx(torch.tensor(4.0).sigmoid().item())  # of the link, which is least sure


def test_arguments_and_links_below_their_thresholds_are_not_taken():
    edges = {frozenset((0, 1)), frozenset((0, 2)), frozenset((1, 2))}
    whole = assemble_events(*letters(3), graph(3, edges), FREE, Decision())
    apart = assemble_events(*letters(3), graph(3, edges), FREE, Decision(thresholds={"plain": 0.99}))
    nothing = assemble_events(*letters(3), graph(3, edges), FREE, Decision(entity_threshold=0.9999))
    assert cliques_of(whole) == {frozenset((0, 1, 2))}
    assert cliques_of(apart) == {frozenset((node,)) for node in range(3)} and not nothing.events


def test_arguments_of_two_types_are_never_one_event():
    one, other = graph(2, {frozenset((0, 1))}, label=0), graph(2, {frozenset((0, 1))}, label=len(ROLES))
    both = Candidates(
        torch.cat((one.spans, other.spans)),
        torch.cat((one.span_scores, other.span_scores)),
        torch.cat((one.triples, other.triples + torch.tensor([2, 0, 2]))),
        torch.cat((one.triple_scores, other.triple_scores)),
    )
    document = assemble_events(*letters(2), both, FREE, Decision())
    assert sorted(event.type for event in document.events) == ["other", "plain"]


ARGUMENTS = st.lists(
    st.builds(
        lambda role, start, width: Argument(role, Span(start, min(12, start + width))),
        st.sampled_from(ROLES),
        st.integers(0, 11),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
    unique=True,
)
EVENTS = st.lists(st.builds(lambda kind, own: Event(kind, tuple(own)), st.sampled_from(FREE.predicates), ARGUMENTS))


@settings(deadline=None, max_examples=100)
@given(EVENTS)
def test_what_was_encoded_is_part_of_what_is_decoded(events: list[Event]):
    text, tokens = letters(12)
    encode = EventEncoder(FREE.schema)
    links = encode(Document(text, events=events), tokens)
    places = {span: row for row, span in enumerate(links.spans)}
    triples = [
        (places[one], kind, places[other])
        for kind, *ends in links.triples
        for one, other in combinations(sorted(places), 2)
        for ordered in [sorted((one, other), key=lambda span: (span[1:], span[0]))]
        if FREE.roles[one[0]][0] == FREE.roles[other[0]][0] == FREE.predicates[kind]
        and [*ordered[0][1:], *ordered[1][1:]] == ends
    ]
    found = Candidates(
        torch.tensor(links.spans).reshape(-1, 3),
        torch.full((len(links.spans),), 3.0),
        torch.tensor(triples).reshape(-1, 3),
        torch.full((len(triples), 4), 3.0),
    )
    decoded = [
        (event.type, {(item.role, item.span.start, item.span.end) for item in event.arguments})
        for event in assemble_events(text, tokens, found, FREE, Decision()).events
    ]
    for event in events:
        own = {(item.role, item.span.start, item.span.end) for item in event.arguments}
        assert any(event.type == kind and own <= other for kind, other in decoded)


@torch.no_grad()
def test_links_have_no_direction():
    torch.manual_seed(0)
    head = EventLinker(8, FREE, head_dim=4)
    scores = head.starts(torch.randn(2, 6, 8))
    everywhere = torch.arange(6)
    both = Undirected(scores, 3)
    square = both.at(1, everywhere, everywhere)
    assert square.shape == (3, 6, 6)
    torch.testing.assert_close(square, square.mT)
    torch.testing.assert_close(square[0].triu(), scores.dense()[1, 0].triu())


def test_the_targets_of_nested_arguments_put_the_earlier_token_first_in_both_links():
    links = EventEncoder(FREE.schema)(
        Document("x" * 12, events=[Event("plain", (Argument("a", Span(2, 11)), Argument("b", Span(5, 8))))]),
        letters(12)[1],
    )
    targets = EventLinker.targets([links])
    assert targets["start_positives"].tolist() == [[0, 0, 2, 5]]
    assert targets["end_positives"].tolist() == [[0, 0, 7, 10]]


def test_events_and_facts_each_ask_for_their_own_head():
    with pytest.raises(SchemaError, match="head = gplinker"):
        event_labels(Schema(("x",)))
    with pytest.raises(SchemaError, match="head = events"):
        fact_labels(Schema(event_types=(("fall", ("who",)),)))
