"""A corpus to batches of one length each, from short texts to long ones, as many tokens in every batch.

An epoch is all documents in a random order, joined to one ring of tokens that is cut, from a random place on, into rows
of `max_length`. The rows of a batch are cut alike once more, into 1, 2, 4, ... texts: so the encoder meets texts of
every length, none is filled up, and a step always costs about the same. The first and the last token of a text give
way to the special ones around it. Everything depends on (seed, epoch, batch) alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kexue.encoders.gau import IGNORED
from kexue.encoders.tokenization import TextTokenizer
from kexue.training.order import Place
from kexue.training.pretraining.corpus import Corpus
from kexue.training.pretraining.masking import Masking

RING, BATCH, HELD_OUT = 1, 2, 3
"""What random numbers are for; leads their seeds, so that none are used twice."""


class Ring:
    """The documents of one epoch, joined in a random order to a ring of tokens."""

    def __init__(self, corpus: Corpus, documents: NDArray[np.int64], seed: int, epoch: int) -> None:
        generator = np.random.default_rng((RING, seed, epoch))
        order = generator.permutation(documents)
        lengths = corpus.lengths(order)
        self.tokens = corpus.tokens
        self.ends = np.cumsum(lengths)
        self.shifts = corpus.firsts(order) - (self.ends - lengths)
        self.start = int(generator.integers(len(self)))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def take(self, firsts: NDArray[np.int64], count: int) -> NDArray[np.unsignedinteger]:
        """[n, count]: the tokens at and after each of these places, counted from `start`."""
        places = (self.start + firsts[:, None] + np.arange(count)) % len(self)
        return self.tokens[places + self.shifts[np.searchsorted(self.ends, places, side="right")]]


class Batches:
    """Rows of a corpus to the arguments of a masked language model's `forward`."""

    def __init__(
        self,
        corpus: Corpus,
        documents: NDArray[np.int64],
        text_tokenizer: TextTokenizer,
        masking: Masking,
        batch_size: int,
        lengths: Sequence[int],
        seed: int,
    ) -> None:
        """Batches of some documents of a corpus.

        `lengths` are those of texts in tokens, the special ones counted: the first is that of a row, the others its
        halves.
        """
        self.corpus = corpus
        self.documents = documents
        self.text_tokenizer = text_tokenizer
        self.masking = masking
        self.batch_size = batch_size
        self.lengths = lengths
        self.seed = seed
        self._ring = lru_cache(maxsize=1)(partial(Ring, corpus, documents, seed))

    @property
    def num_rows(self) -> int:
        """Rows of an epoch."""
        return int(self.corpus.lengths(self.documents).sum()) // self.lengths[0]

    def __call__(self, places: Sequence[Place]) -> dict[str, Tensor]:
        """Places of one batch to input_ids and labels, long[texts, seq]."""
        _, epoch, batch, _ = places[0]
        rows = np.array([place.index for place in places])
        length, draws = self._draw(epoch, batch)
        own = draws[:, [place.row for place in places]]
        return self.texts(rows, epoch, length, own)

    def texts(self, rows: NDArray[np.int64], epoch: int, length: int, draws: NDArray) -> dict[str, Tensor]:
        """These rows of an epoch as texts of a length, corrupted by draws [3, rows, row]."""
        before, behind = len(self.text_tokenizer.prefix), len(self.text_tokenizer.suffix)
        firsts = (rows[:, None] * self.lengths[0] + np.arange(0, self.lengths[0], length)).ravel()
        taken = self._ring(epoch).take(firsts + before, length - before - behind + 1)
        ids = (taken & (self.corpus.begin_bit - 1)).astype(np.int64)
        begins = taken >= self.corpus.begin_bit
        own = draws.reshape(3, len(firsts), length)[:, :, before : length - behind]
        seen, labels = self.masking(ids[:, :-1], begins[:, :-1], begins[:, -1], own)
        return {
            "input_ids": self._surround(seen, self.text_tokenizer.prefix, self.text_tokenizer.suffix),
            "labels": self._surround(labels, [IGNORED] * before, [IGNORED] * behind),
        }

    def in_order(self) -> Iterator[dict[str, Tensor]]:
        """All rows of epoch 0 once, in batches whose lengths take turns; the last batch may be a short one."""
        for batch, first in enumerate(range(0, self.num_rows, self.batch_size)):
            rows = np.arange(first, min(first + self.batch_size, self.num_rows))
            _, draws = self._draw(0, batch)
            yield self.texts(rows, 0, self.lengths[batch % len(self.lengths)], draws[:, : len(rows)])

    def _draw(self, epoch: int, batch: int) -> tuple[int, NDArray[np.float32]]:
        """Length and draws of a whole batch, whatever part of it this process has."""
        generator = np.random.default_rng((BATCH, self.seed, epoch, batch))
        length = self.lengths[generator.integers(len(self.lengths))]
        return length, generator.random((3, self.batch_size, self.lengths[0]), dtype=np.float32)

    @staticmethod
    def _surround(values: NDArray[np.int64], prefix: Sequence[int], suffix: Sequence[int]) -> Tensor:
        pad = np.broadcast_to
        parts = [pad(prefix, (len(values), len(prefix))), values, pad(suffix, (len(values), len(suffix)))]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.int64, casting="unsafe"))


def text_lengths(longest: int, shortest: int) -> tuple[int, ...]:
    """`longest` and its halves, not under `shortest`."""
    lengths = [longest]
    while lengths[-1] % 2 == 0 and lengths[-1] // 2 >= shortest:
        lengths.append(lengths[-1] // 2)
    return tuple(lengths)


def hold_out(corpus: Corpus, tokens: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, dev): documents drawn at random for dev until they have so many tokens; both in the corpus's order."""
    order = np.random.default_rng((HELD_OUT, seed)).permutation(len(corpus))
    count = int(np.searchsorted(np.cumsum(corpus.lengths(order)), tokens)) + 1
    return np.sort(order[count:]), np.sort(order[:count])
