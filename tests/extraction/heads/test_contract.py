"""What every head of `HEADS` promises: it learns, and its results depend on nothing but the text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from kexue.extraction.checkpoint import load_checkpoint, save_checkpoint
from kexue.extraction.decoding import Bounds, Candidates
from kexue.extraction.heads import HEADS
from kexue.extraction.heads.head import Head
from kexue.extraction.inference import find_candidates
from kexue.extraction.links import Links
from kexue.extraction.model import ExtractionConfig
from kexue.extraction.reach import Reach
from kexue.extraction.schema import RelationType, Schema
from tests.extraction.heads.fitting import DOCUMENTS, Fitted, learnt, untrained

every_head = pytest.mark.parametrize("name", HEADS)

SCHEMA = Schema(
    ("drug", "effect", "disorder"),
    (RelationType("causes", ("drug",), ("effect",)), RelationType("treats", ("drug",), ("disorder", "effect"))),
    (("adverse", ("drug", "effect", "trigger")), ("therapy", ("drug", "trigger"))),
)
DIM = 24


def new_head(name: str, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    config = ExtractionConfig(head=name, head_dim=16)
    head = HEADS[name].from_config(DIM, config, HEADS[name].task.labels(SCHEMA)).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head


def of_four_sentences(name: str) -> Fitted:
    return untrained(name, DOCUMENTS[HEADS[name].task](4))


def texts_of(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, DIM, generator=generator) for length in lengths]


def padded(texts: list[Tensor], length: int) -> tuple[Tensor, Tensor]:
    """Hidden states with rubbish at the padding, and the mask."""
    hidden, mask = torch.full((len(texts), length, DIM), 7.0), torch.zeros(len(texts), length, dtype=torch.bool)
    for row, text in enumerate(texts):
        hidden[row, : len(text)], mask[row, : len(text)] = text, True
    return hidden, mask


def scored(found: Candidates) -> tuple[dict, dict]:
    """Spans and triples by what they are, with their scores."""
    spans = [tuple(span) for span in found.spans.tolist()]
    triples = [(spans[s], name, spans[o]) for s, name, o in found.triples.tolist()]
    assert len(set(spans)) == len(spans) and len(set(triples)) == len(triples)
    return (
        dict(zip(spans, found.span_scores.tolist(), strict=True)),
        dict(zip(triples, map(tuple, found.triple_scores.tolist()), strict=True)),
    )


def assert_same(ours: Candidates, theirs: Candidates) -> None:
    for one, other in zip(scored(ours), scored(theirs), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert value == pytest.approx(other[key], abs=1e-4)


def links_of(length: int) -> Links:
    last = length - 1
    return Links(spans=[(0, 0, 1), (1, 2, last)], triples=[(0, 0, 1, 2, last)])


@every_head
@torch.no_grad()
def test_candidates_depend_neither_on_padding_nor_on_the_other_texts(name: str):
    head, texts = new_head(name), texts_of(5, 17, 1, 9)
    together = head.decode(*padded(texts, 23), floor=-0.2)
    for text, found in zip(texts, together, strict=True):
        (alone,) = head.decode(*padded([text], len(text)), floor=-0.2)
        assert_same(alone, found)
    assert any(len(found.spans) for found in together)


@every_head
@torch.no_grad()
def test_the_loss_of_a_text_depends_neither_on_padding_nor_on_the_other_texts(name: str):
    head, texts = new_head(name), texts_of(5, 12, 3)
    links = [links_of(5), Links(), links_of(3)]
    together = head.loss(*padded(texts, 14), head.targets(links))
    alone = [
        head.loss(*padded([text], len(text)), head.targets([link])) for text, link in zip(texts, links, strict=True)
    ]
    assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert (together > 0).all()


@every_head
def test_every_weight_is_taught_and_every_gradient_is_a_number(name: str):
    head = new_head(name).train()
    hidden, mask = padded(texts_of(6, 8), 8)
    head.loss(hidden, mask, head.targets([links_of(6), links_of(8)])).sum().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any()


@every_head
def test_a_batch_without_gold_has_a_finite_loss_and_reaches_every_weight(name: str):
    head = new_head(name).train()
    hidden, mask = padded(texts_of(6, 8), 8)
    head.loss(hidden, mask, head.targets([Links(), Links()])).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())


@every_head
@torch.no_grad()
def test_gold_that_is_given_twice_counts_once(name: str):
    """Elsewhere: a shared subject takes a slot for each triple, and the loss turns negative."""
    head = new_head(name)
    hidden, mask = padded(texts_of(7), 7)
    once = links_of(7)
    twice = Links(once.spans * 2, once.triples * 2)
    assert_close(
        head.loss(hidden, mask, head.targets([once])),
        head.loss(hidden, mask, head.targets([twice])),
    )


@every_head
@torch.no_grad()
def test_an_empty_document_costs_nothing_and_holds_nothing(name: str):
    head = new_head(name)
    hidden, mask = padded(texts_of(0, 4), 4)
    loss = head.loss(hidden, mask, head.targets([Links(), links_of(4)]))
    assert loss.isfinite().all() and abs(float(loss[0])) < 1e-6
    empty, _ = head.decode(hidden, mask, floor=-1e9)
    assert (len(empty.spans), len(empty.triples), empty.cut) == (0, 0, "")


@every_head
@torch.no_grad()
def test_candidates_above_a_floor_are_candidates_above_a_lower_one_with_the_same_scores(name: str):
    head = new_head(name)
    hidden, mask = padded(texts_of(11, 8), 11)
    bounds = Bounds(spans=10**6, relations=10**6)
    for low, high in zip(
        head.decode(hidden, mask, floor=-0.7, bounds=bounds), head.decode(hidden, mask, bounds=bounds), strict=True
    ):
        for some, fewer in zip(scored(low), scored(high), strict=True):
            above = {key: score for key, score in some.items() if torch.tensor(score).min() > 0}
            assert above == {key: pytest.approx(score, abs=1e-4) for key, score in fewer.items()}


@every_head
@torch.no_grad()
def test_nothing_wider_or_farther_than_the_reach_is_found(name: str):
    head = new_head(name)
    hidden, mask = padded(texts_of(14), 14)
    far, near = (
        head.decode(hidden, mask, floor=-3.0, bounds=Bounds(10**6, 0, 10**6, 0), reach=reach)[0]
        for reach in (Reach(), Reach(3, 4))
    )
    assert int((far.spans[:, 2] - far.spans[:, 1]).max()) > 2
    assert int((near.spans[:, 2] - near.spans[:, 1]).max()) <= 2
    assert len(far.triples) > len(near.triples) or not head.labels.predicates
    starts = near.spans[near.triples[:, 0], 1] - near.spans[near.triples[:, 2], 1]
    assert (starts.abs() <= 4).all()


@every_head
@torch.no_grad()
def test_relations_across_more_ends_of_sentences_than_the_reach_are_not_found(name: str):
    head = new_head(name)
    hidden, mask = padded(texts_of(14), 14)
    numbers = torch.tensor([[0] * 5 + [1] * 5 + [2] * 4])
    anywhere, neighbours = (
        scored(head.decode(hidden, mask, floor=-1.0, bounds=Bounds(10**6, 0, 10**6, 0), reach=reach)[0])[1]
        for reach in (Reach(), Reach(sentence_distance=1, numbers=numbers))
    )
    crossed = {triple: abs(int(numbers[0, triple[0][1]] - numbers[0, triple[2][1]])) for triple in anywhere}
    assert neighbours.keys() == {triple for triple, ends in crossed.items() if ends <= 1}
    assert 2 in crossed.values() or not head.labels.predicates


@every_head
@torch.no_grad()
def test_no_span_reaches_into_a_part_that_is_read_apart(name: str):
    head, bounds = new_head(name), Bounds(10**6, 0, 10**6, 0)
    hidden, mask = padded(texts_of(14, 9), 14)
    together = [scored(found) for found in head.decode(hidden, mask, floor=-0.5, bounds=bounds)]
    cut = next(start for _, start, end in together[0][0] if start < end)  # the next part begins inside a span
    parts = torch.stack((torch.arange(14) > cut, torch.zeros(14))).long()
    reach = Reach(parts=parts)
    apart = [scored(found) for found in head.decode(hidden, mask, floor=-0.5, bounds=bounds, reach=reach)]

    def whole(text: int, span: tuple[int, int, int]) -> bool:
        return bool(parts[text, span[1]] == parts[text, span[2]])

    for text, ((spans, triples), (own_spans, own_triples)) in enumerate(zip(together, apart, strict=True)):
        ends = {span for subject, _, object_ in own_triples for span in (subject, object_)}
        assert own_triples.keys() == {triple for triple in triples if whole(text, triple[0]) and whole(text, triple[2])}
        assert ends <= own_spans.keys() <= {span for span in spans if whole(text, span)}
    assert apart[0][0].keys() < together[0][0].keys() and apart[1] == together[1]


@every_head
@torch.no_grad()
def test_tokens_that_stand_for_white_space_neither_begin_nor_end_a_span(name: str):
    head = new_head(name)
    hidden, mask = padded(texts_of(9), 9)
    mask[0, [2, 5]] = False
    (found,) = head.decode(hidden, mask, floor=-2.0)
    assert not {2, 5} & set(found.spans[:, 1:].flatten().tolist())
    assert head.loss(hidden, mask, head.targets([Links([(0, 1, 3)])])).isfinite().all()


@every_head
@torch.no_grad()
def test_half_precision_hidden_states_are_scored_in_full(name: str):
    head, (text,) = new_head(name), texts_of(10)
    hidden, mask = padded([text.bfloat16().float()], 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (half,) = head.decode(hidden.bfloat16(), mask)
        loss = head.loss(hidden.bfloat16(), mask, head.targets([links_of(10)]))
    assert_same(half, head.decode(hidden, mask)[0])
    assert_close(loss, head.loss(hidden, mask, head.targets([links_of(10)])), rtol=1e-4, atol=1e-4)


@every_head
@torch.no_grad()
def test_a_saved_model_finds_the_same(name: str, tmp_path: Path):
    fitted = of_four_sentences(name)
    save_checkpoint(fitted.checkpoint, tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    assert type(loaded.model.head) is HEADS[name] and loaded.model.config.head == name
    texts = [document.text for document in fitted.documents]
    ours, theirs = (
        {found.index: found.candidates for found in find_candidates(of.model, of.text_tokenizer, texts, floor=-8.0)}
        for of in (fitted.checkpoint, loaded)
    )
    assert any(len(found.spans) for found in ours.values())
    for index, found in ours.items():
        assert_same(found, theirs[index])


@every_head
def test_four_sentences_are_learnt_by_heart(name: str):
    assert set(learnt(name, 4).f1().values()) == {1.0}


@pytest.mark.slow
@every_head
def test_twenty_sentences_are_learnt_by_heart(name: str):
    assert set(learnt(name, 20, 400).f1().values()) == {1.0}


@every_head
def test_a_text_of_many_windows_is_searched_to_its_end(name: str):
    fitted = of_four_sentences(name)
    model, tokenizer = fitted.model, fitted.checkpoint.text_tokenizer
    model.config.window, model.config.overlap, model.config.span_width = 8, 2, 1
    text = " ".join(document.text for document in fitted.documents)
    (found,) = find_candidates(model, tokenizer, [text], floor=-1e9, bounds=Bounds(10**4, 0, 5, 0))
    assert len(found.tokens) > 50
    assert int(found.candidates.spans[:, 2].max()) == len(found.tokens) - 1


@every_head
def test_an_untrained_model_is_bounded(name: str):
    fitted = of_four_sentences(name)
    hidden, mask = torch.randn(2, 160, 32), torch.ones(2, 160, dtype=torch.bool)
    for found in fitted.model.head.decode(hidden, mask, floor=-3.0):
        assert len(found.spans) <= 128 + 512 and len(found.triples) <= 512


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_head
def test_a_gpu_gives_the_losses_gradients_and_candidates_of_the_processor(name: str):
    head, (hidden, mask) = new_head(name), padded(texts_of(9, 5), 9)
    there = new_head(name).cuda()
    targets = head.targets([links_of(9), links_of(5)])
    ours, theirs = (
        of.loss(hidden.to(device), mask.to(device), {key: value.to(device) for key, value in targets.items()})
        for of, device in ((head, "cpu"), (there, "cuda"))
    )
    assert_close(ours, theirs.cpu(), rtol=1e-4, atol=1e-3)
    ours.sum().backward()
    theirs.sum().backward()
    for one, other in zip(head.parameters(), there.parameters(), strict=True):
        assert_close(one.grad, other.grad.cpu(), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        for one, other in zip(head.decode(hidden, mask), there.decode(hidden.cuda(), mask.cuda()), strict=True):
            assert_same(one, other)
