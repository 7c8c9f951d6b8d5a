"""Annotated documents as training batches: tokens, links, windows; batches of like length in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.encoders.windows import collate
from kexue.extraction.document import Document
from kexue.extraction.links import Links
from kexue.training.extraction.packing import Example, Packing, join

POOL = 50  # batches that are sorted by length together


class ExtractionDataset(Dataset[Example]):
    """Documents with their tokens and labelled token pairs, computed once; a text is one of them or several."""

    def __init__(
        self,
        documents: Sequence[Document],
        tokenizer: TextTokenizer,
        encode: Callable[[Document, Tokens], Links],
    ) -> None:
        tokens = tokenizer([document.text for document in documents])
        self.examples = [Example(own, encode(document, own)) for document, own in zip(documents, tokens, strict=True)]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, text: tuple[int, ...]) -> Example:
        return join([self.examples[index] for index in text])

    @property
    def lengths(self) -> list[int]:
        """Tokens of each document."""
        return [len(example.tokens) for example in self.examples]


@dataclass(frozen=True)
class Collator:
    """Examples to the arguments of the model's `forward`."""

    text_tokenizer: TextTokenizer
    targets: Any  # the head's `targets`: list[Links] -> dict of positives
    window: int
    overlap: int

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Windows and positives of a batch."""
        batch = collate(
            [example.tokens for example in examples], self.text_tokenizer, window=self.window, overlap=self.overlap
        )
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "gather": batch.gather,
            "mask": batch.mask,
            **self.targets([example.links for example in examples]),
        }


class LengthGroupedSampler(Sampler[tuple[int, ...]]):
    """Texts in a random order in which neighbours have like length; it depends on (seed, epoch) alone.

    So a training that is resumed, or split over processes, sees the same batches as an unbroken one.
    """

    def __init__(self, lengths: Sequence[int], packing: Packing, batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.packing = packing
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch (called by accelerate)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.packing)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        texts = self.packing.texts(generator)
        lengths = np.array([self.lengths[list(text)].sum() for text in texts])
        order = generator.permutation(len(texts))
        pool = POOL * self.batch_size
        batches = []
        for first in range(0, len(order), pool):
            chunk = order[first : first + pool]
            chunk = chunk[np.argsort(-lengths[chunk], kind="stable")]
            batches += [chunk[at : at + self.batch_size] for at in range(0, len(chunk), self.batch_size)]
        # A short batch can only stand at the end, or every batch after it would be shifted.
        last = [batch for batch in batches if len(batch) < self.batch_size]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for place in generator.permutation(len(full)):
            yield from (texts[index] for index in full[place])
        for batch in last:
            yield from (texts[index] for index in batch)
