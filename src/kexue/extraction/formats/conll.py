"""CoNLL columns: one token per line with its tag, an empty line behind each sentence.

    Marie   B-PER          # sent_id = 7
    Curie   I-PER          # text = 鲁迅生于绍兴
    left    O              1    鲁迅    B-PER    -    annotator
    Warsaw  B-LOC          2    生于    O        -    annotator

Columns are separated by tabs or by spaces. The token is the first column, or the second where the first
numbers the tokens; the tags are the last column that holds nothing but tags (in any scheme of `tags`), so
that the chunks of CoNLL-2003 are passed over. Each sentence is a document; its text is the comment `# text =`
if there is one that fits its tokens, else the tokens joined. `-DOCSTART-` lines are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats.source import Sample, read_text
from kexue.extraction.formats.tags import TAG, spans_of_tags
from kexue.extraction.formats.tokens import find_tokens, join_tokens

_COMMENT = re.compile(r"#\s*([\w ]+?)\s*=\s*(.*)")
_NUMBER = re.compile(r"\d+([-.]\d+)?")  # 7, or 7-8 for a word of several tokens, or 7.1 for an omitted one


@dataclass(frozen=True, slots=True)
class _Row:
    """The cells of one line, and its number."""

    line: int
    cells: list[str]


@dataclass(slots=True)
class _Sentence:
    """The rows of one sentence and the comments above them."""

    rows: list[_Row] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)


def detect(sample: Sample) -> bool:
    """Lines of columns, one of which holds tags alone."""
    lines = sample.head.split("\n")
    sentences = _sentences(lines[:-1] or lines)  # the last line of the sample may be cut
    try:
        return bool(sentences) and bool(list(_documents(sentences)))
    except DataError:
        return False


def resembles(head: str) -> bool:
    """Whether most lines of a text end in a tag, even if `detect` refuses others."""
    rows = [line.split() for line in head.split("\n") if line.strip()]
    return sum(len(cells) > 1 and TAG.fullmatch(cells[-1]) is not None for cells in rows) * 2 > len(rows)


def read(path: Path) -> Iterator[Document]:
    """One document per sentence; raises `DataError` with the line of a row that does not fit the others."""
    sentences = _sentences(read_text(path).split("\n"))
    try:
        yield from _documents(sentences)
    except DataError as error:
        raise DataError(str(error), path=path, line=error.line) from None


def _sentences(lines: Sequence[str]) -> list[_Sentence]:
    sentences, current = [], _Sentence()
    for number, line in enumerate([*lines, ""], start=1):
        comment = _COMMENT.fullmatch(line.strip()) if "\t" not in line else None
        if comment:
            current.comments[comment[1]] = comment[2]
        elif cells := _cells(line):
            current.rows.append(_Row(number, cells))
        elif current.rows:
            sentences.append(current)
            current = _Sentence()
    return [sentence for sentence in sentences if sentence.rows[0].cells[0] != "-DOCSTART-"]


def _cells(line: str) -> list[str]:
    if not line.strip() or (line.startswith("#") and not TAG.fullmatch(line.split()[-1])):
        return []
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def _documents(sentences: Sequence[_Sentence]) -> Iterator[Document]:
    if not sentences:
        return
    rows = [row for sentence in sentences for row in sentence.rows]
    _check_width(rows)
    token = 1 if _numbered(sentences) else 0
    tag = _tag_column(rows, token)
    for sentence in sentences:
        try:
            document = _document(sentence, token, tag)
        except DataError as error:
            raise DataError(str(error), line=sentence.rows[0].line) from None
        yield document


def _check_width(rows: Iterable[_Row]) -> None:
    first: _Row | None = None
    for row in rows:
        first = first or row
        if len(row.cells) != len(first.cells) or len(row.cells) < 2:
            raise DataError(
                f"has {len(row.cells)} column(s) {row.cells!r}, line {first.line} has {len(first.cells)}; "
                "a line is a token and its tag with a tab or space between (a file cut short ends like this)",
                line=row.line,
            )


def _numbered(sentences: Sequence[_Sentence]) -> bool:
    """Whether the first column numbers the tokens of every sentence from 1."""
    starts = all(sentence.rows[0].cells[0].split("-")[0] == "1" for sentence in sentences)
    rows = (row for sentence in sentences for row in sentence.rows)
    return starts and all(len(row.cells) > 2 and _NUMBER.fullmatch(row.cells[0]) for row in rows)


def _tag_column(rows: Sequence[_Row], token: int) -> int:
    """The last of the columns with the most tags; raises `DataError` at the first cell of it that is none."""

    def num_tags(column: int) -> int:
        return sum(TAG.fullmatch(row.cells[column]) is not None for row in rows)

    best = max(reversed(range(token + 1, len(rows[0].cells))), key=num_tags)
    for row in rows:
        if not TAG.fullmatch(row.cells[best]):
            raise DataError(
                f"{row.cells[best]!r} is not a tag; one column must hold nothing but O and "
                "B-, I-, M-, E-, L-, S- or U- with a type",
                line=row.line,
            )
    return best


def _document(sentence: _Sentence, token: int, tag: int) -> Document:
    rows = [row.cells for row in sentence.rows if token == 0 or row.cells[0].isdigit()]
    tokens = [cells[token] for cells in rows]
    comments = dict(sentence.comments)
    text, id = comments.pop("text", None), comments.pop("sent_id", None)
    placed = (find_tokens(text, tokens) if text else None) or join_tokens(tokens)
    entities = [placed.span(*span) for span in spans_of_tags([cells[tag] for cells in rows])]
    return Document(placed.text, entities, id=id, meta=dict(comments))
