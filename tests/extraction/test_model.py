"""Encoder and head as one model: its loss, its candidates, windows, and other constraints on the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from kexue.encoders.windows import WindowBatch, collate
from kexue.extraction.checkpoint import Checkpoint
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.links import LinkEncoder
from tests.extraction.tiny import SCHEMA, TEXTS, tiny_checkpoint
from tests.reference.multilabel import pair_loss

TEXT = TEXTS[2]
PIERRE, PARIS, SECOND = Span(0, 12, "person"), Span(25, 30, "place"), Span(43, 48, "place")
GOLD = [
    Document(TEXT, [PIERRE, PARIS, SECOND], [Relation(PIERRE, "born in", PARIS), Relation(PIERRE, "died in", SECOND)]),
    Document(TEXTS[3]),
]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return tiny_checkpoint()


def batch_of(checkpoint: Checkpoint, texts: list[str], **windows: int) -> WindowBatch:
    tokenizer = checkpoint.text_tokenizer
    return collate(tokenizer(texts), tokenizer, **({"window": 254, "overlap": 64} | windows))


def arguments(batch: WindowBatch) -> dict[str, torch.Tensor]:
    return {name: getattr(batch, name) for name in ("input_ids", "attention_mask", "gather", "mask")}


@torch.no_grad()
def test_the_loss_is_the_dense_one_summed_over_labels_and_averaged_over_documents(checkpoint: Checkpoint):
    model, tokenizer = checkpoint.model, checkpoint.text_tokenizer
    batch = batch_of(checkpoint, [item.text for item in GOLD])
    encode = LinkEncoder(SCHEMA)
    links = [encode(item, own) for item, own in zip(GOLD, tokenizer([item.text for item in GOLD]), strict=True)]
    loss = model(**arguments(batch), **model.head.targets(links))["loss"]

    hidden, targets = model.hidden_states(batch), model.head.targets(links)
    expected = sum(
        pair_loss(scorer(hidden).dense(), targets[f"{name}_positives"], batch.mask, ordered=name == "span").sum()
        for name, scorer in (("span", model.head.spans), ("start", model.head.starts), ("end", model.head.ends))
    )
    assert_close(loss.double(), expected / len(GOLD), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_candidates_do_not_depend_on_padding_or_neighbours(checkpoint: Checkpoint):
    model = checkpoint.model
    together = model.extract(batch_of(checkpoint, list(TEXTS)))
    for text, candidates in zip(TEXTS, together, strict=True):
        (alone,) = model.extract(batch_of(checkpoint, [text]))
        ours = sorted(zip(candidates.spans.tolist(), candidates.span_scores.tolist(), strict=True))
        theirs = sorted(zip(alone.spans.tolist(), alone.span_scores.tolist(), strict=True))
        assert [place for place, _ in ours] == [place for place, _ in theirs]
        assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=1e-4)


@torch.inference_mode()
def test_windows_are_encoded_apart_and_scored_together(checkpoint: Checkpoint):
    model = checkpoint.model
    whole = model.hidden_states(batch_of(checkpoint, [TEXT]))
    windows = model.hidden_states(batch_of(checkpoint, [TEXT], window=8, overlap=2))
    assert whole.shape == windows.shape and not torch.allclose(whole, windows)


@torch.inference_mode()
def test_a_floor_leaves_only_candidates_above_it(checkpoint: Checkpoint):
    batch = batch_of(checkpoint, list(TEXTS))
    low, high = checkpoint.model.extract(batch, floor=-3.0), checkpoint.model.extract(batch, floor=0.5)
    assert all((candidates.span_scores > 0.5).all() for candidates in high)
    assert sum(len(item.spans) for item in low) > sum(len(item.spans) for item in high)


def test_other_constraints_share_the_weights_and_leave_the_model_as_it_was(checkpoint: Checkpoint):
    model = checkpoint.model
    other = model.with_schema(
        replace(SCHEMA, relation_types=tuple(replace(item, functional=True) for item in SCHEMA.relation_types))
    )
    assert other.head.labels.schema.relation_types[0].functional and other.config.schema != model.config.schema
    assert model.head.labels.schema == SCHEMA
    assert all(ours is theirs for ours, theirs in zip(other.parameters(), model.parameters(), strict=True))
    assert [name for name, _ in other.named_modules()] == [name for name, _ in model.named_modules()]


def test_dropout_is_on_in_training_and_off_in_extraction(checkpoint: Checkpoint):
    model, batch = tiny_checkpoint().model, batch_of(checkpoint, list(TEXTS))
    targets = model.head.targets(
        [
            LinkEncoder(SCHEMA)(Document(text), own)
            for text, own in zip(TEXTS, checkpoint.text_tokenizer(TEXTS), strict=True)
        ]
    )
    model.train()
    assert model(**arguments(batch), **targets)["loss"] != model(**arguments(batch), **targets)["loss"]
    model.eval()
    assert model(**arguments(batch), **targets)["loss"] == model(**arguments(batch), **targets)["loss"]
