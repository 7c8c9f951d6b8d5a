"""A thousand random texts, every head with random weights: what is decoded is what exhaustive search finds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kexue.extraction.decoding import Bounds
from kexue.extraction.heads.casrel import CasRel, Subjects
from kexue.extraction.links import Labels
from kexue.layers import handshaking
from kexue.layers.handshaking import HandshakingScores
from tests.extraction.heads.test_contract import DIM, new_head, padded, scored, texts_of
from tests.reference.decoding import all_triples, pointer_spans

TEXTS = texts_of(*(1 + number % 4 for number in range(1000)), seed=1)
EVERYTHING = Bounds(10**6, 0, 10**6, 0)


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    return padded(TEXTS, 4)


def tables_of(name: str, hidden: Tensor) -> tuple[Labels, tuple[Tensor, ...]]:
    """The scores of spans, starts and ends, written out."""
    head = new_head(name)
    if name == "gplinker":
        return head.labels, tuple(scorer(hidden).dense() for scorer in (head.spans, head.starts, head.ends))
    vectors = head.kernel(hidden)
    reads = {
        "spans": lambda pairs: head.tagging.of_spans(head._span_logits(pairs)),
        "starts": lambda pairs: head.tagging.of_links(head._link_logits(head.starts, pairs)),
        "ends": lambda pairs: head.tagging.of_links(head._link_logits(head.ends, pairs)),
    }
    sizes = {
        "spans": len(head.labels.names),
        "starts": len(head.labels.predicates),
        "ends": len(head.labels.predicates),
    }
    return head.labels, tuple(HandshakingScores(vectors, read, sizes[part]).dense() for part, read in reads.items())


@pytest.mark.parametrize("name", ["gplinker", "tplinker", "tplinker_plus"])
@torch.no_grad()
def test_linked_spans_are_those_whose_four_scores_pass(name: str, batch: tuple[Tensor, Tensor]):
    hidden, mask = batch
    labels, tables = tables_of(name, hidden)
    found = new_head(name).decode(hidden, mask, bounds=EVERYTHING)
    count = 0
    for text, candidates in enumerate(found):
        spans, starts, ends = (table[text].numpy() for table in tables)
        ends_allowed = labels.subjects.numpy(), labels.objects.numpy()
        expected = all_triples(spans, starts, ends, len(TEXTS[text]), *ends_allowed, 0.0)
        assert scored(candidates)[1].keys() == expected
        count += len(expected)
    assert count > 500


@torch.no_grad()
def test_objects_are_those_that_the_tags_of_their_subject_mark(batch: tuple[Tensor, Tensor]):
    hidden, mask = batch
    head = new_head("casrel")
    assert isinstance(head, CasRel)
    starts, ends = head.variant.spans.scores(head._span_tags(hidden))
    count = 0
    for text, candidates in enumerate(head.decode(hidden, mask, bounds=EVERYTHING)):
        length = len(TEXTS[text])
        spans = [
            (label, *place)
            for label in range(len(head.labels.names))
            for place in pointer_spans(starts[text, label, :length], ends[text, label, :length], 0.0)
        ]
        expected = set()
        for label, start, end in spans:
            tags = head.object_tags(
                hidden[text : text + 1, :length], Subjects(*(torch.tensor([value]) for value in (0, start, end)))
            )
            object_starts, object_ends = head.variant.objects.scores(tags[0])
            expected |= {
                ((label, start, end), predicate, place)
                for predicate in range(len(head.labels.predicates))
                if head.labels.subjects[predicate, label]
                for place in pointer_spans(object_starts[predicate], object_ends[predicate], 0.0)
            }
        found = {(subject, predicate, object_[1:]) for subject, predicate, object_ in scored(candidates)[1]}
        assert found == expected
        assert all(head.labels.objects[predicate, object_[0]] for _, predicate, object_ in scored(candidates)[1])
        count += len(expected)
    assert count > 500


@torch.no_grad()
def test_a_small_budget_keeps_the_best_objects_of_many_subjects(monkeypatch: pytest.MonkeyPatch):
    """Subjects are taken in chunks with a rising floor; what is kept is the best of all."""
    head, (hidden, mask) = new_head("casrel"), padded(texts_of(30), 30)
    (whole,) = head.decode(hidden, mask, bounds=Bounds(10**6, 0, 10**6, 0))
    best = sorted((min(score) for score in scored(whole)[1].values()), reverse=True)[:7]
    for size in (1, 500, 2**22):
        monkeypatch.setattr("kexue.extraction.decoding.BLOCK_ELEMENTS", size)
        (few,) = head.decode(hidden, mask, bounds=Bounds(10**6, 0, 7, 0))
        assert few.cut == "relations" and len(few.triples) == 7
        assert sorted((min(score) for score in scored(few)[1].values()), reverse=True) == pytest.approx(best, abs=1e-5)


@torch.no_grad()
def test_pair_vectors_in_small_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch):
    head, (hidden, mask) = new_head("tplinker"), padded(texts_of(30, 12), 30)
    whole = head.decode(hidden, mask)
    monkeypatch.setattr(handshaking, "CHUNK", 5 * DIM)
    for ours, theirs in zip(head.decode(hidden, mask), whole, strict=True):
        assert scored(ours)[1].keys() == scored(theirs)[1].keys()
