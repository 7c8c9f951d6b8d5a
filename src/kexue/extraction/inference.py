"""Many texts through a model: batches of like length, candidates in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.encoders.windows import collate
from kexue.extraction.decoding import Bounds, Candidates
from kexue.extraction.model import ExtractionModel
from kexue.extraction.sentences import sentence_numbers

BATCH_TOKENS = {"cpu": 2048}  # tokens in one batch, padding included; larger batches gain nothing on a CPU
BATCH_TOKENS_OF_OTHERS = 16384  # a GPU is idle most of the time on smaller ones


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of text number `index`, and its tokens."""

    index: int
    tokens: Tokens
    candidates: Candidates


def batches_of_like_length(
    lengths: Sequence[int], *, batch_tokens: int, batch_size: int | None = None
) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that a batch wastes little padding and memory peaks at the start."""
    batch: list[int] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        width = width or max(1, lengths[index])
        if batch and ((len(batch) + 1) * width > batch_tokens or len(batch) == batch_size):
            yield batch
            batch, width = [], max(1, lengths[index])
        batch.append(index)
    if batch:
        yield batch


def find_candidates(
    model: ExtractionModel,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    *,
    floor: float = 0.0,
    bounds: Bounds | None = None,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
) -> Iterator[Found]:
    """Candidates of every text, batch by batch, longest texts first; the caller puts them in order.

    `batch_tokens` bounds a batch with its padding; what suits the model's device where left out.
    """
    tokens = tokenizer(texts)
    config = model.config
    lengths = [len(item) for item in tokens]
    size = batch_tokens or BATCH_TOKENS.get(model.device.type, BATCH_TOKENS_OF_OTHERS)
    for batch in batches_of_like_length(lengths, batch_tokens=size, batch_size=batch_size):
        windows = collate([tokens[index] for index in batch], tokenizer, window=config.window, overlap=config.overlap)
        for index, candidates in zip(batch, model.extract(windows, floor=floor, bounds=bounds), strict=True):
            near = _near(candidates, texts[index], tokens[index], config.sentence_distance)
            yield Found(index, tokens[index], near)


def _near(candidates: Candidates, text: str, tokens: Tokens, distance: int | None) -> Candidates:
    """Without the triples whose ends have more ends of sentences between them than the model looks across."""
    if distance is None or not len(candidates.triples):
        return candidates
    places = [tokens.starts[start] for start in candidates.spans[:, 1].tolist()]
    sentence = torch.tensor(sentence_numbers(text, places))
    subject, _, object_ = candidates.triples.unbind(1)
    near = (sentence[subject] - sentence[object_]).abs() <= distance
    return replace(candidates, triples=candidates.triples[near], triple_scores=candidates.triple_scores[near])
