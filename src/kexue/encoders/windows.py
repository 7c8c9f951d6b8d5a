"""Documents of any length through an encoder of bounded length: overlapping windows, merged again.

A token that several windows hold takes its state from the window in which it lies farthest from the edge.
Because states are gathered token by token, special tokens and padding can never become part of a span.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.errors import OptionError

STEP = 8
"""Windows are padded to multiples of it: kernels are compiled and kept for every width that occurs, on a CPU about
15 MB each in bfloat16, and GPUs multiply such widths faster."""


@dataclass(slots=True)
class WindowBatch:
    """Documents cut into windows, and how their hidden states are put together again.

    Attributes:
        input_ids: tokens of all windows of all documents, special tokens around each.
        attention_mask: 1 where a window holds a token, 0 where it is padded.
        gather: for each token of each document its place in the windows laid end to end; 0 where padded.
        mask: True where a document has a token, but for those that stand for white space alone: no span begins
            or ends at them.
        sentences: the number of the sentence in which each token of each document stands, where that is known.
        parts: the number of the part in which each token of each document is read, where there are several.
    """

    input_ids: Int[Tensor, "windows width"]
    attention_mask: Int[Tensor, "windows width"]
    gather: Int[Tensor, "documents length"]
    mask: Bool[Tensor, "documents length"]
    sentences: Int[Tensor, "documents length"] | None = None
    parts: Int[Tensor, "documents length"] | None = None

    def to(self, device: torch.device | str) -> WindowBatch:
        """The same batch on another device."""
        fields = (self.input_ids, self.attention_mask, self.gather, self.mask, self.sentences, self.parts)
        return WindowBatch(*(None if field is None else field.to(device, non_blocking=True) for field in fields))


def plan_windows(num_tokens: int, size: int, overlap: int) -> list[range]:
    """Windows that cover all tokens: as few as `size` allows, equally wide, sharing `overlap` tokens or more.

    Every text has at least one window; an empty text has an empty one.
    Raises `OptionError` unless 0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise OptionError(f"windows of {size} tokens cannot overlap by {overlap}: 0 <= overlap < size must hold")
    if num_tokens <= size:
        return [range(num_tokens)]
    count = -(-(num_tokens - overlap) // (size - overlap))
    width = -(-(num_tokens + (count - 1) * overlap) // count)
    starts = (index * (num_tokens - width) // (count - 1) for index in range(count))
    return [range(start, start + width) for start in starts]


def plan_parts(starts: Sequence[int], num_tokens: int, size: int, overlap: int) -> list[range]:
    """Windows of a text in parts that begin at these tokens, the first at 0: none reaches over the end of a part."""
    parts = [range(first, last) for first, last in pairwise([*starts, num_tokens]) if first < last]
    return [
        range(part.start + window.start, part.start + window.stop)
        for part in parts or [range(0)]
        for window in plan_windows(len(part), size, overlap)
    ]


def owned(windows: Sequence[range]) -> list[range]:
    """The tokens that take their state from each window: neighbours divide their overlap in the middle."""
    cuts = [(left.stop + right.start + 1) // 2 for left, right in pairwise(windows)]
    return [range(*pair) for pair in pairwise([windows[0].start, *cuts, windows[-1].stop])]


def collate(
    tokens: Sequence[Tokens],
    tokenizer: TextTokenizer,
    *,
    window: int,
    overlap: int,
    parts: Sequence[Sequence[int]] | None = None,
    sentences: Sequence[Sequence[int]] | None = None,
) -> WindowBatch:
    """Cut documents into windows of at most `window` tokens of text (special tokens not counted).

    `parts` says for each document at which tokens the parts begin that are read apart; one part where left out;
    `sentences` gives every token the number of its sentence. The batch is at least one token wide, masked out, even
    where all documents are empty.
    Raises `OptionError` where the window is wider than the encoder allows.
    """
    if tokenizer.max_window is not None and window > tokenizer.max_window:
        raise OptionError(
            f"a window of {window} tokens is too wide: this encoder takes {tokenizer.max_window} "
            "beside its special tokens"
        )
    parts = parts or [(0,)] * len(tokens)
    plans = [plan_parts(starts, len(own), window, overlap) for starts, own in zip(parts, tokens, strict=True)]
    rows = [
        [*tokenizer.prefix, *document.ids[part.start : part.stop], *tokenizer.suffix]
        for document, plan in zip(tokens, plans, strict=True)
        for part in plan
    ]
    input_ids, attention_mask = _pad(rows, tokenizer.pad_id, width=_padded_width(max(map(len, rows)), tokenizer))
    # An encoder needs something to attend to, even in an empty text without special tokens.
    attention_mask[:, 0] = True
    places = list(_places(plans, width=input_ids.shape[1], offset=len(tokenizer.prefix)))
    gather, _ = _pad(places, 0)
    mask, _ = _pad([_visible(document) for document in tokens], 0)
    numbers = None if sentences is None else _pad(sentences, 0)[0]
    return WindowBatch(input_ids, attention_mask.long(), gather, mask.bool(), numbers, _part_numbers(parts, tokens))


def merge_windows(
    states: Float[Tensor, "windows width dim"], batch: WindowBatch
) -> Float[Tensor, "documents length dim"]:
    """The states of each document's tokens in one row; meaningless where `batch.mask` is False."""
    return states.flatten(0, 1).index_select(0, batch.gather.flatten()).unflatten(0, batch.gather.shape)


def _part_numbers(parts: Sequence[Sequence[int]], tokens: Sequence[Tokens]) -> Tensor | None:
    """The number of the part of every token; None where all documents are read in one."""
    if all(len(starts) == 1 for starts in parts):
        return None
    rows = [
        [bisect_right(begins, place) for place in range(len(own))] for begins, own in zip(parts, tokens, strict=True)
    ]
    return _pad(rows, 0)[0]


def _visible(tokens: Tokens) -> list[bool]:
    """Which tokens stand for characters."""
    return [start < end for start, end in zip(tokens.starts, tokens.ends, strict=True)]


def _places(plans: Sequence[Sequence[range]], *, width: int, offset: int) -> Iterator[list[int]]:
    """For each document the places of its tokens in the windows laid end to end."""
    row = 0
    for plan in plans:
        places: list[int] = []
        for part, own in zip(plan, owned(plan), strict=True):
            shift = row * width + offset - part.start
            places.extend(range(own.start + shift, own.stop + shift))
            row += 1
        yield places


def _padded_width(width: int, tokenizer: TextTokenizer) -> int:
    """The next multiple of `STEP`, unless the encoder has no positions for it."""
    padded = -(-max(1, width) // STEP) * STEP
    if tokenizer.max_window is None:
        return padded
    return min(padded, tokenizer.max_window + len(tokenizer.prefix) + len(tokenizer.suffix))


def _pad(rows: Sequence[Sequence[int]], value: int, *, width: int = 1) -> tuple[Tensor, Tensor]:
    """Rows of numbers as one tensor, at least `width` wide, and where it holds them."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(max(width, int(lengths.max()))) < lengths[:, None]
    padded = torch.full(mask.shape, value)
    padded[mask] = torch.tensor([number for row in rows for number in row], dtype=torch.long)
    return padded, mask
