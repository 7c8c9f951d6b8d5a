"""Decoding against exhaustive search, its bounds, and the laws of encoding and decoding."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kexue.encoders.tokenization import Tokens
from kexue.extraction import decoding
from kexue.extraction.decoding import Bounds, Candidates, decode
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.links import LinkEncoder, Links, SpanLabels, close_relations
from kexue.extraction.reach import Reach
from kexue.extraction.schema import RelationType, Schema
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.layers.token_pair_scores import FactorizedScores, LinkScores, PairScores
from tests.reference.decoding import all_spans, all_triples
from tests.waits import Waits


@dataclass(frozen=True, eq=False)
class DenseScores(PairScores, LinkScores):
    """Scores written out in full, so that a test can choose each of them."""

    scores: Tensor  # [batch, labels, seq, seq]
    ordered: bool = False

    @property
    def num_labels(self) -> int:
        return self.scores.shape[1]

    def block(self, rows: slice, columns: slice) -> Tensor:
        return self.scores[:, :, rows, columns]

    def at(self, batch: int, starts: Tensor, ends: Tensor) -> Tensor:
        return self.scores[batch][:, starts][:, :, ends]

    def pairs(self, batch: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        return self.scores[batch, :, starts, ends]


def schema_of(num_types: int, num_predicates: int, generator: torch.Generator) -> Schema:
    """Types and predicates with random constraints on the types of their ends; no types at all for 0."""
    types = tuple(f"T{index}" for index in range(num_types))

    def some() -> tuple[str, ...]:
        return tuple(name for name in types if torch.rand((), generator=generator) < 0.6)

    return Schema(types, tuple(RelationType(f"p{index}", some(), some()) for index in range(num_predicates)))


def as_sets(found: Candidates) -> tuple[set, set]:
    spans = [tuple(span) for span in found.spans.tolist()]
    triples = {(spans[s], p, spans[o]) for s, p, o in found.triples.tolist()}
    assert len(set(spans)) == len(spans)
    assert len(triples) == len(found.triples)
    return set(spans), triples


UNBOUNDED = Bounds(spans=10**6, relations=10**6)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    num_types=st.sampled_from([0, 2, 3]),
    num_predicates=st.integers(1, 3),
    density=st.floats(-2.5, 0.5),
    reach=st.builds(Reach, st.none() | st.integers(1, 7), st.none() | st.integers(0, 7)),
    block=st.sampled_from([1, 40, decoding.BLOCK_ELEMENTS]),
    seed=st.integers(0, 10**6),
)
def test_decoding_equals_exhaustive_search_when_nothing_was_cut(
    lengths, num_types, num_predicates, density, reach, block, seed
):
    generator = torch.Generator().manual_seed(seed)
    labels = SpanLabels(schema_of(num_types, num_predicates, generator))
    size = max(1, *lengths)

    def scores(num: int) -> Tensor:
        return torch.randn(len(lengths), num, size, size, generator=generator) + density

    spans, starts, ends = scores(len(labels.names)), scores(num_predicates), scores(num_predicates)
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    floor = 0.25
    three = DenseScores(spans, True), DenseScores(starts), DenseScores(ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_ELEMENTS", block)
        found = decode(*three, mask, labels, floor=floor, bounds=UNBOUNDED, reach=reach)
    width, distance = (inf if limit is None else limit for limit in (reach.span_width, reach.link_distance))
    for text, length in enumerate(lengths):
        assert not found[text].cut
        places, triples = as_sets(found[text])
        assert places == all_spans(spans[text], length, floor, width)
        tables = spans[text], starts[text], ends[text], length, labels.subjects, labels.objects
        assert triples == all_triples(*tables, floor, width, distance)
        for (subject, predicate, object_), four in zip(
            found[text].triples.tolist(), found[text].triple_scores, strict=True
        ):
            s, o = found[text].spans[subject], found[text].spans[object_]
            expected = [
                spans[text, s[0], s[1], s[2]],
                spans[text, o[0], o[1], o[2]],
                starts[text, predicate, s[1], o[1]],
                ends[text, predicate, s[2], o[2]],
            ]
            torch.testing.assert_close(four, torch.stack(expected))


def test_a_budget_keeps_the_best_and_says_what_was_cut():
    generator = torch.Generator().manual_seed(0)
    labels = SpanLabels(schema_of(0, 2, generator))
    spans, links = torch.rand(1, 2, 8, 8, generator=generator), torch.rand(1, 2, 8, 8, generator=generator)
    mask = torch.ones(1, 8, dtype=torch.bool)
    bounds = Bounds(spans=5, spans_per_token=0, relations=3, relations_per_token=0)
    found = decode(DenseScores(spans, True), DenseScores(links), DenseScores(links), mask, labels, bounds=bounds)[0]
    assert found.cut == "spans and relations"
    assert len(found.spans) == 5
    assert len(found.triples) == 3
    best = spans[0].masked_fill(~torch.ones(8, 8, dtype=torch.bool).triu(), -1).flatten().topk(5).values
    torch.testing.assert_close(found.span_scores.sort(descending=True).values, best)


def test_a_long_text_is_searched_in_blocks_with_the_same_result(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    labels = SpanLabels(schema_of(2, 2, generator))
    spans, links = (torch.randn(2, 2, 40, 40, generator=generator) - 2 for _ in range(2))
    mask = torch.arange(40) < torch.tensor([40, 31])[:, None]

    def run() -> list[tuple[set, set]]:
        scores = DenseScores(spans, True), DenseScores(links), DenseScores(links)
        return [as_sets(found) for found in decode(*scores, mask, labels)]

    whole = run()
    monkeypatch.setattr("kexue.extraction.decoding.BLOCK_ELEMENTS", 300)
    assert run() == whole
    assert all(places for places, _ in whole)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    block=st.sampled_from([1, 20, 100, 2**20]),
    seed=st.integers(0, 10**6),
)
def test_what_a_budget_keeps_of_equal_scores_depends_on_nothing_but_the_text(lengths, block, seed):
    """Most scores are equal: many triples share the subject that is their weakest term."""
    generator = torch.Generator().manual_seed(seed)
    labels = SpanLabels(schema_of(2, 2, generator))
    size = max(lengths) + 1
    three = [torch.randint(-1, 3, (len(lengths), 2, size, size), generator=generator).float() for _ in range(3)]
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    bounds = Bounds(spans=6, spans_per_token=0, relations=4, relations_per_token=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_ELEMENTS", block)
        batched = decode(*map(DenseScores, three), mask, labels, bounds=bounds)
    for text, length in enumerate(lengths):
        alone = [DenseScores(scores[text : text + 1, :, :length, :length]) for scores in three]
        (single,) = decode(*alone, torch.ones(1, length, dtype=torch.bool), labels, bounds=bounds)
        assert single.spans.tolist() == batched[text].spans.tolist()
        assert single.triples.tolist() == batched[text].triples.tolist()
        assert single.cut == batched[text].cut


def test_a_relation_across_a_document_of_5000_tokens_is_found():
    length, subject, object_ = 5000, (4901, 4903), (17, 17)

    def only(num_labels: int, *pairs: tuple[int, int, int]) -> FactorizedScores:
        """Scores above 0 at these pairs (label, start, end) only."""
        row, column = torch.full((2, 1, num_labels, length), -10.0)
        for label, start, end in pairs:
            row[0, label, start] = column[0, label, end] = 10.0
        return FactorizedScores(torch.zeros(1, length, 1), torch.zeros(1, length, 1), row, column)

    found = decode(
        only(2, (0, *subject), (1, *object_)),
        only(24, (7, subject[0], object_[0])),
        only(24, (7, subject[1], object_[1])),
        torch.ones(1, length, dtype=torch.bool),
        SpanLabels(schema_of(0, 24, torch.Generator())),
    )[0]
    assert as_sets(found) == ({(0, *subject), (1, *object_)}, {((0, *subject), 7, (1, *object_))})
    assert not found.cut


def test_no_block_of_scores_is_larger_than_it_may_be(monkeypatch):
    class Watched(DenseScores):
        largest = 0

        def block(self, rows: slice, columns: slice) -> Tensor:
            found = super().block(rows, columns)
            Watched.largest = max(Watched.largest, found.numel())
            return found

    monkeypatch.setattr(decoding, "BLOCK_ELEMENTS", 20_000)
    labels = SpanLabels(schema_of(3, 1, torch.Generator()))
    spans, links = torch.full((2, 3, 700, 700), -1.0), torch.full((2, 1, 700, 700), -1.0)
    decode(Watched(spans), DenseScores(links), DenseScores(links), torch.ones(2, 700, dtype=torch.bool), labels)
    assert 10_000 < Watched.largest <= 20_000


def test_a_schema_without_relations_has_entities_only():
    head = GPLinker(8, SpanLabels(Schema(("T0", "T1"))), head_dim=4)
    hidden, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    found = head.decode(hidden, mask, floor=-1e9)
    assert [len(item.spans) for item in found] == [30, 30]
    assert all(item.triples.shape == (0, 3) and item.triple_scores.shape == (0, 4) for item in found)
    targets = head.targets([Links(spans=[(1, 0, 2)]), Links()])
    head.loss(hidden, mask, targets).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_a_budget_of_nothing_keeps_nothing_and_says_so():
    scores, mask = DenseScores(torch.ones(1, 2, 4, 4)), torch.ones(1, 4, dtype=torch.bool)
    labels = SpanLabels(schema_of(0, 2, torch.Generator()))
    (found,) = decode(scores, scores, scores, mask, labels, bounds=Bounds(relations=0, relations_per_token=0))
    assert (len(found.spans), len(found.triples), found.cut) == (20, 0, "relations")


@pytest.mark.parametrize("scorer", [EfficientGlobalPointer, GlobalPointer])
def test_the_result_does_not_depend_on_batch_size_or_padding(scorer):
    torch.manual_seed(3)
    labels = SpanLabels(schema_of(2, 4, torch.Generator().manual_seed(3)))
    head = GPLinker(32, labels, head_dim=16, efficient=scorer is EfficientGlobalPointer)
    texts = [torch.randn(length, 32) * 3 for length in (5, 17, 1, 9)]
    alone = [head.decode(text[None], torch.ones(1, len(text), dtype=torch.bool))[0] for text in texts]
    padded = torch.full((4, 23, 32), 7.0)
    mask = torch.zeros(4, 23, dtype=torch.bool)
    for row, text in enumerate(texts):
        padded[row, : len(text)] = text
        mask[row, : len(text)] = True
    for single, batched in zip(alone, head.decode(padded, mask), strict=True):
        assert as_sets(single) == as_sets(batched)
    assert any(len(found.triples) for found in alone)


@pytest.mark.slow
def test_an_untrained_model_decodes_long_texts_in_under_a_second():
    torch.manual_seed(0)
    labels = SpanLabels(Schema((), tuple(RelationType(f"p{index}") for index in range(171))))
    head = GPLinker(384, labels)
    hidden, mask = torch.randn(8, 512, 384), torch.ones(8, 512, dtype=torch.bool)
    with torch.inference_mode():
        head.decode(hidden, mask)
        began = time.process_time()
        found = head.decode(hidden, mask)
    assert time.process_time() - began < 2.0  # 0.5 s on two quiet cores: kexue.benchmarks measures that
    assert all(item.cut for item in found)


WORD = 3  # characters of a token in the documents below, a space after each


def tokens_of(num_words: int) -> Tokens:
    starts = [index * (WORD + 1) for index in range(num_words)]
    return Tokens([1] * num_words, starts, [start + WORD for start in starts])


def document_of(num_words: int, facts: list[tuple[tuple[int, int], int, tuple[int, int]]], typed: bool) -> Document:
    label = "T0" if typed else ""

    def span(ends: tuple[int, int]) -> Span:
        return Span(ends[0] * (WORD + 1), ends[1] * (WORD + 1) + WORD, label)

    relations = [Relation(span(subject), f"p{predicate}", span(object_)) for subject, predicate, object_ in facts]
    return Document(" ".join(["abc"] * num_words), [], list(dict.fromkeys(relations)))


def decode_links(links: Links, num_words: int, schema: Schema) -> set:
    """Scores of +1 at the positives and -1 elsewhere, decoded."""
    labels = SpanLabels(schema)

    def dense(pairs: list[tuple[int, int, int]], num_labels: int) -> DenseScores:
        scores = -torch.ones(1, num_labels, num_words, num_words)
        for label, start, end in pairs:
            scores[0, label, start, end] = 1
        return DenseScores(scores)

    found = decode(
        dense(links.spans, len(labels.names)),
        dense(links.starts, len(schema.predicates)),
        dense(links.ends, len(schema.predicates)),
        torch.ones(1, num_words, dtype=torch.bool),
        labels,
        bounds=UNBOUNDED,
    )[0]
    assert not found.cut
    return {(s[1:], p, o[1:]) for s, p, o in as_sets(found)[1]}


SPAN = st.tuples(st.integers(0, 7), st.integers(0, 3)).map(lambda pair: (pair[0], min(7, pair[0] + pair[1])))
FACTS = st.lists(st.tuples(SPAN, st.integers(0, 1), SPAN), max_size=8)


@settings(deadline=None, max_examples=150)
@given(facts=FACTS, typed=st.booleans())
def test_decoding_an_encoding_always_contains_the_document(facts, typed):
    schema = Schema(("T0", "T1") if typed else (), (RelationType("p0"), RelationType("p1")))
    links = LinkEncoder(schema)(document_of(8, facts, typed), tokens_of(8))
    decoded = decode_links(links, 8, schema)
    assert decoded >= set(facts)
    if not _share_an_end({subject for subject, _, _ in facts} | {object_ for _, _, object_ in facts}):
        assert decoded == set(facts)


def _share_an_end(spans: set[tuple[int, int]]) -> bool:
    return any(a != b and (a[0] == b[0] or a[1] == b[1]) for a in spans for b in spans)


@pytest.mark.parametrize(
    ("facts", "added"),
    [
        ([((0, 1), 0, (1, 1)), ((0, 0), 0, (0, 1))], {((0, 1), 0, (0, 1)), ((0, 0), 0, (1, 1))}),
        (
            [((1, 2), 0, (5, 6)), ((3, 4), 0, (7, 8)), ((1, 4), 0, (9, 9)), ((10, 10), 0, (5, 8))],
            {((1, 4), 0, (5, 8))},
        ),
    ],
)
def test_nested_spans_that_share_ends_can_decode_to_more_triples(facts, added):
    """Triples whose links cross; docs/extraction.md describes them."""
    schema = Schema((), (RelationType("p0"),))
    links = LinkEncoder(schema)(document_of(11, facts, typed=False), tokens_of(11))
    assert decode_links(links, 11, schema) == {*facts, *added}


def test_an_end_inside_a_token_is_counted_and_the_covering_tokens_are_taken():
    schema = Schema((), (RelationType("p0"),))
    document = Document("abc abc", [], [Relation(Span(1, 3), "p0", Span(4, 7))])
    links = LinkEncoder(schema)(document, tokens_of(2))
    assert links.inexact == 1
    assert links.spans == [(0, 0, 0), (1, 1, 1)]


def test_a_discontinuous_span_is_counted_and_the_tokens_from_its_first_to_its_last_are_taken():
    document = Document("abc abc abc", [Span(0, 11, "T0", fragments=((0, 3), (8, 11)))])
    links = LinkEncoder(Schema(("T0",)))(document, tokens_of(3))
    assert (links.inexact, links.spans) == (1, [(0, 0, 2)])


def test_spans_without_a_type_beside_typed_ones_have_a_label_of_their_own():
    document = Document("abc abc", [Span(0, 3)], [Relation(Span(0, 3), "p0", Span(4, 7, "T0"))])
    schema = Schema.from_documents([document])
    assert schema.entity_types == ("", "T0")
    links = LinkEncoder(schema)(document, tokens_of(2))
    assert links.spans == [(0, 0, 0), (1, 1, 1)]
    assert decode_links(links, 2, schema) == {((0, 0), 0, (1, 1))}


def test_a_span_that_no_token_covers_is_reported_not_dropped_in_silence():
    schema = Schema((), (RelationType("p0"),))
    document = Document("abc abc", [], [Relation(Span(3, 4), "p0", Span(4, 7))])
    links = LinkEncoder(schema)(document, tokens_of(2))
    assert links.spans == []
    assert len(links.unplaced) == 1


def test_symmetric_and_inverse_relations_are_learnt_in_both_directions():
    schema = Schema(
        (), (RelationType("spouse", symmetric=True), RelationType("parent", inverse="child"), RelationType("child"))
    )
    a, b = Span(0, 3), Span(4, 7)
    closed = close_relations([Relation(a, "spouse", b), Relation(b, "child", a)], schema)
    assert {(fact.subject, fact.predicate, fact.object) for fact in closed} == {
        (a, "spouse", b),
        (b, "spouse", a),
        (b, "child", a),
        (a, "parent", b),
    }
    links = LinkEncoder(schema)(Document("abc abc", [], [Relation(a, "spouse", b)]), tokens_of(2))
    assert sorted(links.starts) == [(0, 0, 1), (0, 1, 0)]


@pytest.mark.parametrize("scorer", [EfficientGlobalPointer, GlobalPointer])
def test_a_gpu_is_waited_for_as_often_with_many_texts_as_with_few(scorer):
    torch.manual_seed(0)
    spans, links = scorer(8, 2, ordered=True), scorer(8, 3)
    labels = SpanLabels(Schema((), tuple(RelationType(f"p{index}") for index in range(3))))

    def waits(texts: int) -> int:
        hidden, mask = torch.randn(texts, 6, 8), torch.ones(texts, 6, dtype=torch.bool)
        with torch.inference_mode(), Waits() as waits:
            found = decode(spans(hidden), links(hidden), links(hidden), mask, labels)
        assert sum(len(item.triples) for item in found) > texts
        return waits.count

    assert waits(4) == waits(40) <= 6
