"""Many texts through a model: batches of like length, candidates in the order of the texts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PretrainedConfig

from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.encoders.windows import collate
from kexue.extraction.decoding import Bounds, Candidates
from kexue.extraction.model import ExtractionModel
from kexue.extraction.sentences import number_places, part_starts, sentence_starts

BATCH_TOKENS = {"cpu": 2048}  # tokens in one batch, padding included; larger batches gain nothing on a CPU
BATCH_TOKENS_OF_OTHERS = 16384  # a GPU is idle most of the time on smaller ones
PADDING = {"cpu": 64}  # tokens that may be padded in a batch: about what one more batch would cost
PADDING_OF_OTHERS = 8192


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of text number `index`, and its tokens."""

    index: int
    tokens: Tokens
    candidates: Candidates


def batches_of_like_length(
    lengths: Sequence[int], *, batch_tokens: int, batch_size: int | None = None, padding: int | None = None
) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that memory peaks at the start.

    A batch has at most `batch_tokens` tokens with its padding, `batch_size` texts, and `padding` tokens of padding. To
    pad until that costs as much as another batch, and then to begin one, is never twice as dear as the best partition.
    """
    batch: list[int] = []
    width = padded = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        padded += width - lengths[index]
        full = (len(batch) + 1) * width > batch_tokens or len(batch) == batch_size
        if batch and (full or (padding is not None and padded > padding)):
            yield batch
            batch = []
        if not batch:
            width, padded = max(1, lengths[index]), 0
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
    padding = PADDING.get(model.device.type, PADDING_OF_OTHERS)
    for batch in batches_of_like_length(lengths, batch_tokens=size, batch_size=batch_size, padding=padding):
        own = [tokens[index] for index in batch]
        parts, numbers = zip(*(_sentences(texts[index], tokens[index], config) for index in batch), strict=True)
        windows = collate(own, tokenizer, window=config.window, overlap=config.overlap, parts=parts, sentences=numbers)
        found = model.extract(windows, floor=floor, bounds=bounds)
        for index, candidates in zip(batch, found, strict=True):
            yield Found(index, tokens[index], candidates)


def _sentences(text: str, tokens: Tokens, config: PretrainedConfig) -> tuple[list[int], list[int]]:
    """The tokens at which the parts begin that are read apart, and the number of the sentence of every token.

    All is one part and one sentence for a model that sets no limits to either.
    """
    if config.sentences is None and config.sentence_distance is None:
        return [0], [0] * len(tokens)
    starts = sentence_starts(text)
    begins = starts[:1] if config.sentences is None else part_starts(starts, config.sentences)
    return [bisect_left(tokens.starts, begin) for begin in begins], number_places(starts, tokens.starts)
