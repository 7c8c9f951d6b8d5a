"""Checks of single spans and of spans against each other."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from kexue.extraction.doctor.case import Case, Hit
from kexue.extraction.document import Span

_T = TypeVar("_T")

_PUNCTUATION = ",;:!?，。；：！？、"
_BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "（": "）",
    "【": "】",
    "《": "》",
    "「": "」",
    "『": "』",
    "“": "”",
}
_CLOSING = {closing: opening for opening, closing in _BRACKETS.items()}
_NO_SPACES = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\U0001f000\U00020000-\U0003ffff]")


def unaligned(case: Case) -> Iterator[Hit]:
    """Gold that has no place in the text."""
    for item in case.document.unaligned:
        yield Hit(note=f"{item.kind} {item.label}: {' | '.join(item.strings)}; {item.reason}")


def truncated(max_length: int) -> Callable[[Case], Iterator[Hit]]:
    """Spans that end behind the last of `max_length` tokens."""

    def find(case: Case) -> Iterator[Hit]:
        if case.tokens is None or len(case.tokens) <= max_length:
            return
        limit = case.tokens[max_length - 1][1]
        yield from (Hit((span,)) for span in case.spans if span.end > limit)

    return find


def inside_token(case: Case) -> Iterator[Hit]:
    """Spans with an end strictly inside a token, which no choice of tokens can give."""
    if case.tokens is None or not case.spans:
        return
    starts = [start for start, _ in case.tokens]
    for span in case.spans:
        for place in (span.start, span.end):
            index = bisect_right(starts, place) - 1
            if index >= 0 and starts[index] < place < case.tokens[index][1]:
                token = case.document.text[slice(*case.tokens[index])]
                yield Hit((span,), f"token {token!r}")
                break


def inside_word(case: Case) -> Iterator[Hit]:
    """Spans with an end inside a word or a number, or between a letter and its combining mark."""
    text = case.document.text
    for span in case.spans:
        if _joined(text, span.start) or _joined(text, span.end):
            yield Hit((span,))


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of a place belong to one word.

    A digit beside a letter ("10mg") divides; in scripts that write no spaces, nothing joins.
    """
    if not 0 < place < len(text):
        return False
    left, right = text[place - 1], text[place]
    if unicodedata.combining(right):
        return True
    return ((left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())) and not (
        _NO_SPACES.match(left) or _NO_SPACES.match(right)
    )


def ragged_whitespace(case: Case) -> Iterator[Hit]:
    """Spans that begin or end with whitespace."""
    text = case.document.text
    for span in case.spans:
        if text[span.start : span.start + 1].isspace() or text[span.end - 1 : span.end].isspace():
            yield Hit((span,))


def ragged_punctuation(case: Case) -> Iterator[Hit]:
    """Spans that begin or end with punctuation, or with a bracket whose partner is outside."""
    for span in case.spans:
        surface = case.document.text[span.start : span.end]
        first, last = surface[:1], surface[-1:]
        alone = _BRACKETS.get(first, "") not in surface or _CLOSING.get(last, "") not in surface
        if alone or (first and (first in _PUNCTUATION or last in _PUNCTUATION)):
            yield Hit((span,))


def duplicated(case: Case) -> Iterator[Hit]:
    """Entities, relations and events that are given more than once; each copy counts."""
    document = case.document
    for span in _copies(document.entities):
        yield Hit((span,), f"entity {span.label}")
    for relation in _copies(document.relations):
        yield Hit((relation.subject, relation.object), f"relation {relation.predicate}")
    for event in _copies(document.events):
        yield Hit(tuple(argument.span for argument in event.arguments), f"event {event.type}")


def _copies(items: Sequence[_T]) -> Iterator[_T]:
    """The second and later of equal items."""
    seen: set[_T] = set()
    for item in items:
        if item in seen:
            yield item
        seen.add(item)


def conflicting(case: Case) -> Iterator[Hit]:
    """Pieces of text that carry more than one type."""
    for first, second in pairwise(case.spans):
        if _ends(first) == _ends(second) and first.label and second.label and first.label != second.label:
            yield Hit((first, second), f"{first.label} and {second.label}")


def nested(case: Case) -> Iterator[Hit]:
    """Spans inside another."""
    for outer, inner in _overlaps(case):
        if inner.end <= outer.end or inner.start == outer.start:
            yield Hit((outer, inner))


def crossing(case: Case) -> Iterator[Hit]:
    """Spans that overlap, neither inside the other."""
    for first, second in _overlaps(case):
        if second.end > first.end and second.start > first.start:
            yield Hit((first, second))


def _overlaps(case: Case) -> Iterator[tuple[Span, Span]]:
    """Pairs of different pieces of text that overlap, the one that begins earlier first."""
    open_spans: list[Span] = []
    for span in case.spans:
        open_spans = [other for other in open_spans if other.end > span.start]
        yield from ((other, span) for other in open_spans if _ends(other) != _ends(span))
        open_spans.append(span)


def discontinuous(case: Case) -> Iterator[Hit]:
    """Spans in several pieces."""
    for span in case.spans:
        if span.fragments:
            yield Hit(tuple(Span(start, end) for start, end in span.fragments))


def _ends(span: Span) -> tuple[int, int]:
    return span.start, span.end
