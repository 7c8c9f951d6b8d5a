"""TPLinker and TPLinker-plus: their tags and losses against the published ones, written out pair by pair."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from kexue.extraction.heads.tplinker import RARE, AnyOf, HandshakingHead, OneOfThree, TPLinker, TPLinkerPlus
from kexue.extraction.links import Links, SpanLabels
from kexue.extraction.schema import RelationType, Schema
from kexue.layers import handshaking
from kexue.ops.multilabel import multilabel_cross_entropy
from tests.extraction.heads.fitting import batch_of, untrained
from tests.extraction.heads.test_contract import DIM, SCHEMA, padded, texts_of
from tests.training.tiny import sentences

HEADS = (TPLinker, TPLinkerPlus)
LINKS = Links(
    spans=[(0, 0, 1), (1, 3, 4)],
    triples=[(0, 0, 1, 3, 4), (1, 3, 4, 0, 1)],  # from left to right, and back
)


def new(head: type[HandshakingHead], schema: Schema = SCHEMA) -> HandshakingHead:
    torch.manual_seed(0)
    return head(DIM, SpanLabels(schema)).eval()


def marks(head: HandshakingHead, links: Links, length: int) -> tuple[Tensor, Tensor]:
    """Tags of all pairs, placed one by one: spans [i, j, label], links [i, j, starts and ends, there or back]."""
    num_links = len(head.labels.predicates)
    spans = torch.zeros(length, length, len(head.labels.names), dtype=torch.bool)
    both = torch.zeros(length, length, 2 * num_links, 2, dtype=torch.bool)
    for label, start, end in links.spans:
        spans[start, end, label] = True
    for offset, pairs in ((0, links.starts), (num_links, links.ends)):
        for predicate, subject, object_ in pairs:
            back = subject > object_
            both[min(subject, object_), max(subject, object_), offset + predicate, int(back)] = True
    return spans, both


@pytest.mark.parametrize("head_class", HEADS)
@pytest.mark.parametrize("chunk", [1, 3000, 2**22])
@torch.no_grad()
def test_the_loss_is_the_published_one_summed_over_the_pairs(
    head_class: type[HandshakingHead], chunk: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(handshaking, "CHUNK", chunk)
    head, length = new(head_class), 6
    hidden, mask = padded(texts_of(length, 4), length)
    vectors = head.kernel(hidden)
    spans, both = marks(head, LINKS, length)
    expected = 0.0
    for i in range(length):
        for j in range(i, length):
            pair = torch.tanh(vectors.row[0, i] + vectors.column[0, j])
            links = torch.cat((head._link_logits(head.starts, pair), head._link_logits(head.ends, pair)))
            if head_class is TPLinkerPlus:
                scores = torch.cat((head._span_logits(pair).flatten(), links.flatten()))
                expected += multilabel_cross_entropy(scores, torch.cat((spans[i, j], both[i, j].flatten())))
            else:
                expected += nn.functional.cross_entropy(head._span_logits(pair), spans[i, j].long(), reduction="sum")
                three = both[i, j, :, 0].long() + 2 * both[i, j, :, 1].long()
                expected += nn.functional.cross_entropy(links, three, reduction="sum")
    loss = head.loss(hidden, mask, head.targets([LINKS, Links()]))
    assert_close(loss[0], expected, rtol=1e-4, atol=1e-4)


def test_one_of_three_scores_above_0_exactly_what_the_softmax_chooses():
    logits = torch.randn(500, 4, 3)
    there, back = OneOfThree().of_links(logits).unbind(-1)
    chosen = logits.argmax(-1)
    assert torch.equal(there > 0, chosen == 1) and torch.equal(back > 0, chosen == 2)
    spans = torch.randn(500, 4, 2)
    assert torch.equal(OneOfThree().of_spans(spans)[..., 0] > 0, spans.argmax(-1) == 1)


@pytest.mark.parametrize("tagging", [OneOfThree(), AnyOf()])
def test_a_span_never_goes_from_right_to_left(tagging: OneOfThree | AnyOf):
    logits = torch.randn(7, 3, len(tagging.span_bias))
    assert (tagging.of_spans(logits)[..., 1] == -torch.inf).all()


@pytest.mark.parametrize(("head_class", "directions"), [(TPLinker, 1), (TPLinkerPlus, 2)])
def test_of_a_relation_that_holds_both_ways_a_softmax_can_learn_one_direction_only(
    head_class: type[HandshakingHead], directions: int
):
    head = new(head_class, Schema(("x",), (RelationType("spouse"),))).train()
    hidden, mask = padded(texts_of(4), 4)
    links = Links(spans=[(0, 0, 0), (0, 2, 2)], triples=[(0, 0, 0, 2, 2), (0, 2, 2, 0, 0)])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(hidden, mask, head.targets([links])).sum().backward()
        optimizer.step()
    with torch.no_grad():
        (found,) = head.eval().decode(hidden, mask)
    assert len(found.spans) == 2 and len(found.triples) == directions


@pytest.mark.parametrize("name", ["tplinker", "tplinker_plus"])
def test_tags_begin_rare_or_nothing_is_ever_learnt(name: str):
    """Elsewhere: F1 stays 0 for whole trainings, as thousands of negative pairs saturate the tanh at the start."""

    def loss_after(bias: float) -> float:
        fitted = untrained(name, sentences(4))
        with torch.no_grad():
            for layer in (fitted.model.head.spans, fitted.model.head.starts, fitted.model.head.ends):
                layer.bias.mul_(bias / RARE)
        batch, model = batch_of(fitted), fitted.model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(50):
            optimizer.zero_grad()
            loss = model(**batch)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return loss.item()

    assert loss_after(RARE) < 10 < 30 < loss_after(0.0)
