"""A corpus on disk is its texts; batches are all of it once an epoch, the same for the same (seed, epoch, step)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from kexue.encoders.gau import IGNORED
from kexue.encoders.tokenization import TextTokenizer
from kexue.errors import DataError
from kexue.training.order import EpochOrder, Place
from kexue.training.pretraining import corpus as corpus_module
from kexue.training.pretraining.corpus import Corpus, corpus_made_from, sample_texts, write_corpus
from kexue.training.pretraining.dataset import Batches, Ring, hold_out, text_lengths
from kexue.training.pretraining.masking import Masking
from kexue.training.pretraining.words import NGrams, word_begins
from tests.training.pretraining.tiny import chinese, english

TEXTS = [*english(60), *chinese(6)]
LENGTHS = (64, 32, 16)


@pytest.fixture(scope="module")
def corpus(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus") / "train"
    write_corpus(TEXTS, TextTokenizer(tokenizer), NGrams(), folder, {"from": "tests"})
    assert corpus_made_from(folder) == {"from": "tests"}
    return Corpus.open(folder)


@pytest.fixture
def batches(corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> Batches:
    return make_batches(corpus, tokenizer, rate=0.15)


def make_batches(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, rate: float, size: int = 4) -> Batches:
    masking = Masking.of(tokenizer, rate)
    return Batches(corpus, np.arange(len(corpus)), TextTokenizer(tokenizer), masking, size, LENGTHS, seed=3)


def epoch(batches: Batches, number: int = 0) -> list[list[Place]]:
    order = EpochOrder(batches.num_rows, batches.batch_size, seed=3)
    order.set_epoch(number)
    places = list(order)
    return [places[first : first + batches.batch_size] for first in range(0, len(places), batches.batch_size)]


def ids_of(corpus: Corpus, first: int, end: int) -> list[int]:
    return (corpus.tokens[first:end] & (corpus.begin_bit - 1)).tolist()


# --- on disk ---


def test_a_corpus_holds_the_tokens_and_words_of_each_text(corpus: Corpus, tokenizer: PreTrainedTokenizerBase):
    own = TextTokenizer(tokenizer)(TEXTS)
    begins = word_begins(TEXTS, own, NGrams())
    first = 0
    for end, tokens, begin in zip(corpus.ends.tolist(), own, begins, strict=True):
        assert ids_of(corpus, first, end) == [*tokens.ids, tokenizer.sep_token_id]
        assert (corpus.tokens[first:end] >= corpus.begin_bit).tolist() == [*begin.tolist(), True]
        first = end
    every = Counter(ids_of(corpus, 0, first))
    assert corpus.counts.tolist() == [every[token] for token in range(len(tokenizer))]


def test_blocks_and_wide_vocabularies_change_nothing(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(corpus_module, "BLOCK", 7)
    monkeypatch.setattr(corpus_module, "NARROW", 10)
    write_corpus(TEXTS, TextTokenizer(tokenizer), NGrams(), tmp_path / "other", {})
    other = Corpus.open(tmp_path / "other")
    assert (corpus.tokens.dtype, other.tokens.dtype) == (np.uint16, np.uint32)
    assert ids_of(other, 0, len(other.tokens)) == ids_of(corpus, 0, len(corpus.tokens))
    assert ((other.tokens >= other.begin_bit) == (corpus.tokens >= corpus.begin_bit)).all()
    assert (other.ends == corpus.ends).all()


def test_a_long_document_is_several_and_no_token_is_lost(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(corpus_module, "LONGEST", 20)
    write_corpus(TEXTS, TextTokenizer(tokenizer), NGrams(), tmp_path / "other", {})
    other = Corpus.open(tmp_path / "other")
    assert (other.tokens == corpus.tokens).all()
    assert set(corpus.ends) < set(other.ends)
    lengths = other.lengths(np.arange(len(other)))
    assert lengths.min() > 0 and lengths.max() == 20
    assert sum(length < 20 for length in lengths) <= len(TEXTS)


def test_a_corpus_is_whole_or_absent(tokenizer: PreTrainedTokenizerBase, tmp_path: Path):
    def texts() -> Iterator[str]:
        yield from TEXTS
        raise DataError("the last file is broken")

    with pytest.raises(DataError, match="broken"):
        write_corpus(texts(), TextTokenizer(tokenizer), NGrams(), tmp_path / "corpus", {})
    assert not list(tmp_path.iterdir())
    assert corpus_made_from(tmp_path / "corpus") is None


def test_places_beyond_two_to_the_31_are_found(tmp_path: Path):
    """A file with a hole of 4.3 GB, of which the disk holds only the end."""
    first = 2**31 + 5
    ids = np.arange(100, 140, dtype=np.uint16)
    path = tmp_path / "tokens.bin"
    with path.open("wb") as file:
        file.seek(2 * first)
        file.write(ids.tobytes())
    tokens = np.memmap(path, np.uint16, "r")
    corpus = Corpus(tokens, np.array([first, first + 25, first + 40]), np.zeros(1, np.int64), "")
    ring = Ring(corpus, np.array([1, 2]), seed=0, epoch=0)
    assert sorted(ring.take(np.array([0]), 40)[0].tolist()) == ids.tolist()
    whole = Ring(corpus, np.array([0, 1, 2]), seed=0, epoch=0)
    place = int(whole.ends[np.flatnonzero(whole.shifts == first - (whole.ends - corpus.lengths(np.arange(3))))[0]]) - 25
    assert whole.take(np.array([place - whole.start]), 25)[0].tolist() == ids[:25].tolist()


def test_a_sample_is_spread_evenly():
    assert sample_texts(map(str, range(1000)), 1.0) == [str(number) for number in range(1000)]
    assert sample_texts(map(str, range(8)), 0.25) == ["3", "7"]


# --- an epoch ---


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 5), st.integers(1, 8))
def test_a_ring_is_all_documents_once_in_any_order(lengths: list[int], epoch: int, row: int):
    ends = np.cumsum(lengths)
    corpus = Corpus(np.arange(ends[-1], dtype=np.uint16), ends, np.zeros(1, np.int64), "")
    ring = Ring(corpus, np.arange(len(ends)), seed=1, epoch=epoch)
    firsts = np.arange(0, len(ring) // row * row, row)
    taken = ring.take(firsts, row).ravel().tolist()
    assert len(set(taken)) == len(taken) == len(ring) // row * row
    inside = {int(end) - 1 for end in ends}
    assert all(after == before + 1 or before in inside for before, after in pairwise(taken))


def test_an_epoch_holds_every_token_once_but_for_those_under_the_special_ones(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase
):
    batches = make_batches(corpus, tokenizer, rate=1e-9, size=1)
    seen: Counter[int] = Counter()
    texts = 0
    for places in epoch(batches):
        batch = batches(places)["input_ids"]
        assert (batch[:, 0] == tokenizer.cls_token_id).all() and (batch[:, -1] == tokenizer.sep_token_id).all()
        seen.update(batch[:, 1:-1].ravel().tolist())
        texts += len(batch)
    all_tokens = Counter(ids_of(corpus, 0, len(corpus.tokens)))
    assert not seen - all_tokens
    assert (all_tokens - seen).total() == 2 * texts + len(corpus.tokens) % LENGTHS[0]


def test_batches_hold_texts_of_one_length_and_every_length_occurs(batches: Batches):
    shapes = Counter()
    for number in range(4):
        for places in epoch(batches, number):
            batch = batches(places)
            assert batch["input_ids"].shape == batch["labels"].shape
            assert batch["input_ids"].numel() == batches.batch_size * LENGTHS[0]
            shapes[batch["input_ids"].shape[1]] += 1
    assert shapes.keys() == set(LENGTHS)
    assert max(shapes.values()) < 2 * min(shapes.values())


def test_a_batch_depends_on_seed_epoch_and_step_alone(
    batches: Batches, corpus: Corpus, tokenizer: PreTrainedTokenizerBase
):
    chosen = epoch(batches, 1)[2]
    first = batches(chosen)
    batches(epoch(batches, 0)[0])
    again = make_batches(corpus, tokenizer, rate=0.15)(chosen)
    for name in ("input_ids", "labels"):
        assert torch.equal(first[name], again[name])
    elsewhere = [place._replace(epoch=2) for place in chosen]
    later = [place._replace(batch=3) for place in chosen]
    for other in (elsewhere, later):
        assert not torch.equal(first["labels"].ravel(), batches(other)["labels"].ravel())


def test_parts_of_a_batch_are_those_of_the_whole(batches: Batches):
    places = epoch(batches)[1]
    whole = batches(places)
    parts = [batches(places[:1]), batches(places[1:3]), batches(places[3:])]
    for name in ("input_ids", "labels"):
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])


def test_words_in_batches_are_whole_and_special_tokens_are_left(
    batches: Batches, corpus: Corpus, tokenizer: PreTrainedTokenizerBase
):
    plain = make_batches(corpus, tokenizer, rate=1e-9)
    hidden = total = 0
    for places in epoch(batches):
        batch, clean = batches(places), plain(places)
        chosen = batch["labels"] != IGNORED
        assert torch.equal(batch["labels"][chosen], clean["input_ids"][chosen])
        assert torch.equal(batch["input_ids"][~chosen], clean["input_ids"][~chosen])
        assert not torch.isin(batch["labels"], torch.tensor([tokenizer.sep_token_id, tokenizer.cls_token_id])).any()
        tokens = tokenizer.convert_ids_to_tokens(clean["input_ids"].ravel().tolist())
        flags = chosen.ravel().tolist()
        for place, token in enumerate(tokens):
            if token.startswith("##") and place % clean["input_ids"].shape[1] > 1:
                assert flags[place] == flags[place - 1], tokens[place - 3 : place + 3]
        hidden, total = hidden + chosen.sum().item(), total + chosen.numel()
    assert hidden / total == pytest.approx(0.14, abs=0.02)


def test_a_word_that_the_end_of_a_text_cuts_is_left():
    """Words of three tokens, numbered so that every token knows the others."""
    numbers = np.arange(198, dtype=np.uint16)
    tokens = (10 + numbers) | (numbers % 3 == 0).astype(np.uint16) << 15
    corpus = Corpus(tokens, np.array([198]), np.zeros(1, np.int64), "")
    around = SimpleNamespace(prefix=(1,), suffix=(2,))
    fixed, ordinary = np.arange(300) < 10, np.arange(10, 300)
    all_and_nothing = [
        Batches(corpus, np.array([0]), around, Masking(rate, 4, fixed, ordinary), 4, (16, 8), seed=0)  # type: ignore
        for rate in (1.0, 0.0)
    ]
    for number in range(6):
        places = [Place(index, number, 0, index) for index in range(4)]
        labels, ids = (
            batches(places)[name] for batches, name in zip(all_and_nothing, ("labels", "input_ids"), strict=True)
        )
        for text, own in zip(ids[:, 1:-1].tolist(), labels[:, 1:-1].tolist(), strict=True):
            words = Counter((token - 10) // 3 for token in text)
            assert [label != IGNORED for label in own] == [words[(token - 10) // 3] == 3 for token in text]


def test_dev_is_every_row_once_and_always_the_same(batches: Batches):
    one, two = list(batches.in_order()), list(batches.in_order())
    assert sum(batch["input_ids"].numel() for batch in one) == batches.num_rows * LENGTHS[0]
    assert {batch["input_ids"].shape[1] for batch in one} == set(LENGTHS)
    assert all(torch.equal(a["labels"], b["labels"]) for a, b in zip(one, two, strict=True))


# --- what is held out, and how long texts are ---


def test_held_out_documents_are_enough_and_not_trained_on(corpus: Corpus):
    train, dev = hold_out(corpus, 200, seed=0)
    assert sorted([*train, *dev]) == list(range(len(corpus)))
    assert corpus.lengths(dev).sum() >= 200
    assert any(corpus.lengths(np.delete(dev, place)).sum() < 200 for place in range(len(dev)))
    assert hold_out(corpus, 200, seed=1)[1].tolist() != dev.tolist()


def test_lengths_are_halved_down_to_the_shortest():
    assert text_lengths(512, 64) == (512, 256, 128, 64)
    assert text_lengths(512, 65) == (512, 256, 128)
    assert text_lengths(24, 2) == (24, 12, 6, 3)
    assert text_lengths(16, 16) == (16,)
