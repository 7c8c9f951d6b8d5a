"""Checks of the texts: empty, damaged, not annotated, repeated, shared between splits, annotated in two ways."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from kexue.extraction.doctor.case import Case, Hit
from kexue.extraction.doctor.finding import Example, Finding

# C0 and C1 controls but tab and line ends; zero-width space and BOM, bidi controls; the mark of undecodable
# bytes; private use. The zero-width joiners are left out: emoji and several scripts need them.
_DAMAGE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\ufffd\u202a-\u202e\u2066-\u2069\ue000-\uf8ff]"
)
_SHARED_REMEDY = "A score on texts that were trained on says nothing about new ones: remove them from the later split."


def empty(case: Case) -> Iterator[Hit]:
    """Texts of nothing but whitespace."""
    if not case.document.text.strip():
        yield Hit()


def control_characters(case: Case) -> Iterator[Hit]:
    """Texts with characters that nobody meant to write."""
    found = _DAMAGE.search(case.document.text)
    if found:
        yield Hit(note=f"U+{ord(found[0]):04X} at character {found.start()}")


def without_annotation(case: Case) -> Iterator[Hit]:
    """Texts on which nothing is annotated."""
    document = case.document
    if not (document.entities or document.relations or document.events or document.unaligned):
        yield Hit()


def shared_exactly(cases: Sequence[Case], limit: int) -> Iterator[Finding]:
    """Texts of a split that stand in an earlier one, character for character."""
    yield from _shared(cases, limit, lambda text: text, "shared_text", "texts of a split are in an earlier split too")


def shared_nearly(cases: Sequence[Case], limit: int) -> Iterator[Finding]:
    """Texts shared but for case, width, spaces and punctuation; those shared exactly are left out."""
    yield from _shared(
        cases,
        limit,
        normalized,
        "nearly_shared_text",
        "texts of a split are in an earlier split but for case, width, spaces or punctuation",
    )


def normalized(text: str) -> str:
    """The letters and digits of a text, in one width and case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text)).casefold()


def _shared(cases: Sequence[Case], limit: int, key: Callable[[str], str], kind: str, message: str) -> Iterator[Finding]:
    home: dict[str, Case] = {}
    hits: list[tuple[Case, Case]] = []
    for case in cases:
        name = key(case.document.text)
        first = home.setdefault(name, case) if name.strip() else case
        exact = first.document.text == case.document.text
        if first.split != case.split and (kind == "shared_text" or not exact):
            hits.append((first, case))
    if hits:
        splits = {case.split for _, case in hits}
        total = sum(case.split in splits for case in cases)
        examples = tuple(case.example((), f"also {first.split}:{first.record}") for first, case in hits[:limit])
        yield Finding(kind, "error", message, len(hits), total, "texts", examples, _SHARED_REMEDY)


def repeated(cases: Sequence[Case], limit: int) -> Iterator[Finding]:
    """Further copies of a text in the same split, however they are annotated."""
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.split, case.document.text].append(case)
    copied = [group for (_, text), group in groups.items() if len(group) > 1 and text.strip()]
    if copied:
        yield Finding(
            "repeated_text",
            "warning",
            "texts are further copies of a text in the same split",
            sum(len(group) - 1 for group in copied),
            len(cases),
            "texts",
            tuple(_copies(group, limit) for group in copied[:limit]),
            "Equal texts count more in training and make a part held out by hand too easy: keep one of each.",
        )


def _copies(group: Sequence[Case], limit: int) -> Example:
    first, *others = group
    places = ", ".join(f"{case.split}:{case.record}" for case in others[:limit])
    return first.example((), f"also {places}{', …' if len(others) > limit else ''}")


def annotated_differently(cases: Sequence[Case], limit: int) -> Iterator[Finding]:
    """Texts that occur several times, with different annotation."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.document.text].append(case)
    repeated = [group for text, group in groups.items() if len(group) > 1 and text.strip()]
    contradicted = [group for group in repeated if len({_annotation(case) for case in group}) > 1]
    if contradicted:
        yield Finding(
            "annotated_differently",
            "warning",
            "texts occur several times with different annotation",
            len(contradicted),
            len(groups),
            "texts",
            tuple(_difference(group) for group in contradicted[:limit]),
            "Decide for one annotation and use it for all copies; the model cannot learn both.",
        )


def _annotation(case: Case) -> tuple[object, ...]:
    document = case.document
    return (
        frozenset(document.entities),
        frozenset(document.relations),
        frozenset(document.events),
        frozenset(document.unaligned),
    )


def _difference(group: Sequence[Case]) -> Example:
    first = group[0]
    other = next(case for case in group if _annotation(case) != _annotation(first))
    spans = sorted(set(first.spans) ^ set(other.spans))
    return first.example(spans, f"the marked spans or their relations differ in {other.split}:{other.record}")
