"""How far a model looks: no wider and no farther than twice what its training data showed it.

A model that only ever saw sentences has no opinion on a span of 600 tokens, or on a relation between the first and the
last page: in a long text such candidates are noise, and there are more of them than of all others. So the width of
spans, the distance of relations, and how many ends of sentences they cross are learnt from the gold annotations and
stored with the model.

Nor does it read farther: an encoder that learnt on single sentences finds half as much in one of forty (docs/log.md),
so a text of more sentences than it knows is encoded in parts. Spans lie in one of them; relations may join two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median_high

import torch
from torch import Tensor

from kexue.extraction.document import Document
from kexue.extraction.links import Links
from kexue.extraction.sentences import sentence_numbers, sentence_starts

MARGIN = 2.0  # times the farthest seen
LEAST = 16  # tokens
STRAYS = 1 / 500  # share of the relations that may cross more ends of sentences than the model looks across


@dataclass(frozen=True)
class Reach:
    """Limits in tokens; None: none. What lies beyond is no candidate, as what lies on padding is none."""

    span_width: int | None = None
    """Tokens in a span."""
    link_distance: int | None = None
    """Tokens between the starts of a subject and an object."""
    sentence_distance: int | None = None
    """Ends of sentences between a subject and an object."""
    sentences: int | None = None
    """Sentences that are read together; a longer text is read in parts."""
    numbers: Tensor | None = field(default=None, compare=False)
    """Of the sentences in which the tokens of the texts at hand stand, long[batch, seq], where that is known."""
    parts: Tensor | None = field(default=None, compare=False)
    """The parts in which these tokens were read, long[batch, seq]; None: all in one."""

    def near(self, text: int | Tensor, subject_start: Tensor, object_start: Tensor) -> Tensor:
        """Whether a subject and an object that start at these tokens are near enough to be joined."""
        apart = (subject_start - object_start).abs()
        near = torch.ones_like(apart, dtype=torch.bool)
        if self.link_distance is not None:
            near &= apart <= self.link_distance
        if self.sentence_distance is not None and self.numbers is not None:
            crossed = (self.numbers[text, subject_start] - self.numbers[text, object_start]).abs()
            near &= crossed <= self.sentence_distance
        return near

    def whole(self, text: int | Tensor, start: Tensor, end: Tensor) -> Tensor:
        """Whether a span between these tokens lies in one part, so that its two ends have seen each other."""
        if self.parts is None:
            return torch.ones_like(start, dtype=torch.bool)
        return self.parts[text, start] == self.parts[text, end]

    @classmethod
    def of(cls, annotated: Iterable[Links], documents: Sequence[Document] = ()) -> Reach:
        """The reach that these annotations teach, in tokens and, without a margin, in the documents' sentences.

        As many sentences are read together as half of the documents have at least, and as their relations join.
        """
        widths, distances = [0], [0]
        for links in annotated:
            widths += [end - start + 1 for _, start, end in links.spans]
            distances += [abs(subject - object_) for _, subject, object_ in links.starts]
        crossed = _most_crossed(documents)
        read = None if crossed is None else max(crossed + 1, _usual_number(documents))
        return cls(_with_margin(max(widths)), _with_margin(max(distances)), crossed, read)


def _with_margin(seen: int) -> int:
    return max(LEAST, round(MARGIN * seen))


def _most_crossed(documents: Sequence[Document]) -> int | None:
    """The most ends of sentences that relations cross, a few strays left out; None where there are no relations."""
    crossed = sorted(number for document in documents for number in _crossed(document))
    return crossed[-1 - int(STRAYS * len(crossed))] if crossed else None


def _usual_number(documents: Sequence[Document]) -> int:
    """The median number of sentences."""
    return median_high(len(sentence_starts(document.text)) for document in documents)


def _crossed(document: Document) -> Iterable[int]:
    places = [span.start for fact in document.relations for span in (fact.subject, fact.object)]
    numbers = sentence_numbers(document.text, places)
    return [abs(subject - object_) for subject, object_ in zip(numbers[::2], numbers[1::2], strict=True)]
