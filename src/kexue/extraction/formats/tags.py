"""Spans from tags: BIO, IOB1, BIOES, BILOU and BMES in one walk.

A span begins at B, S or U, and at I, M, E or L when no span of that type is open; it ends behind E, L, S or
U, and before anything that does not continue it. Read this way every one of the schemes, also IOB1 (I
begins a span), gives its spans, and so do tag sequences with a missing B.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kexue.errors import DataError

TAG = re.compile(r"O|[BIMELSU](?:-(.+))?")


def spans_of_tags(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, end, label) in tokens, end exclusive; raises `DataError` for what is not a tag."""
    spans: list[tuple[int, int, str]] = []
    start, open_label = 0, None
    for position, tag in enumerate(tags):
        match = TAG.fullmatch(tag)
        if match is None:
            raise DataError(f"{tag!r} is not a tag; tags are O and B-, I-, M-, E-, L-, S- or U- with a type")
        place, label = tag[0], None if tag == "O" else match[1] or ""
        if open_label is not None and (label != open_label or place in "BSU"):
            spans.append((start, position, open_label))
            open_label = None
        if label is not None and open_label is None:
            start, open_label = position, label
        if open_label is not None and place in "ELSU":
            spans.append((start, position + 1, open_label))
            open_label = None
    return spans if open_label is None else [*spans, (start, len(tags), open_label)]
