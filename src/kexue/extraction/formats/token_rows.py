"""Rows of token numbers, [start, end, type] and [start, end, start, end, type], as spans and relations.

CrossRE and DyGIE name the last token of a span, token-span JSON the one after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kexue.extraction.document import Relation, Span
from kexue.extraction.formats.records import row
from kexue.extraction.formats.tokens import TokenText


@dataclass(frozen=True)
class TokenRows:
    """The rows of one text; `last`: the second number of a span is its last token, not the one after it."""

    tokens: TokenText
    last: bool

    def span(self, item: Any) -> Span:
        """A row [start, end, type]; raises `DataError` for any other, or for tokens that are not there."""
        start, end, label = row(item, (int, int, str), f"an entity [start, {self._end}, type]")
        return self.place(start, end, label)

    def relation(self, item: Any) -> Relation:
        """A row [start, end, start, end, type]; what follows the type is the format's own."""
        what = f"a relation [start, {self._end}, start, {self._end}, type]"
        subject_start, subject_end, object_start, object_end, label = row(item, (int, int, int, int, str), what)
        return Relation(self.place(subject_start, subject_end), label, self.place(object_start, object_end))

    def place(self, start: int, end: int, label: str = "") -> Span:
        """The span in characters."""
        return self.tokens.span(start, end + self.last, label)

    @property
    def _end(self) -> str:
        return "last" if self.last else "end"
