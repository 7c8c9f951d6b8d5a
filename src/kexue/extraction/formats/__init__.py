"""Annotated text in the formats of others, to and from `Document`.

Each module of this package is one format: `detect(sample)`, `read(path)` and, where it is offered,
`write(documents, path)`. `FORMATS` lists them in the order in which a file is tried, the more particular
before the more general.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from kexue.errors import DataError, OptionError, unknown
from kexue.extraction.document import Document
from kexue.extraction.formats import (
    brat,
    char_span,
    cluener,
    conll,
    crossre,
    doccano,
    duee,
    dygie,
    label_studio,
    lic2019,
    native,
    phee,
    spacy_docbin,
    spert,
    tables,
    token_span,
    triples,
)
from kexue.extraction.formats.source import Sample, parse_value, read_records, read_text

_HEAD = 1 << 16  # bytes of a file that detection looks at
_LOOKED_AT = 10  # records of a file whose first one is of no format


@dataclass(frozen=True)
class Format:
    """One format: its name, a line about it, and what can be done with it.

    `suffixes` are the file endings for which `write_documents` takes this format by itself.
    """

    name: str
    description: str
    detect: Callable[[Sample], bool] | None = None
    read: Callable[[Path], Iterator[Document]] | None = None
    write: Callable[[Iterable[Document], Path], None] | None = None
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What was read, as which format, from where."""

    documents: list[Document]
    format: str
    path: Path


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("brat", "folder of .txt and .ann", brat.detect, brat.read, brat.write, ("",)),
        Format("spacy_docbin", "spaCy's DocBin, .spacy", spacy_docbin.detect, spacy_docbin.read),
        Format("label_studio", "JSON export of tasks", label_studio.detect, label_studio.read, label_studio.write),
        Format("lic2019", "text, spo_list: DuIE 1.0 and 2.0, CMeIE", lic2019.detect, lic2019.read),
        Format("duee", "text, event_list: DuEE 1.0", duee.detect, duee.read),
        Format("phee", "context, annotations: adverse drug events", phee.detect, phee.read),
        Format("crossre", "sentence, ner, relations", crossre.detect, crossre.read),
        Format("dygie", "sentences, ner, relations, events: also SciERC", dygie.detect, dygie.read),
        Format("spert", "tokens, entities as objects, or BILOU tags (TablERT)", spert.detect, spert.read),
        Format("token_span", "tokens, entities [start, end, type]", token_span.detect, token_span.read),
        Format("char_span", "text, spans [start, end, predicate, start, end]", char_span.detect, char_span.read),
        Format(
            "triples",
            "text, triple_list (CasRel, PRGC) or relation_list (TPLinker)",
            triples.detect,
            triples.read,
        ),
        Format("cluener", "text, label by type and surface", cluener.detect, cluener.read),
        Format("doccano", "JSON lines of any version", doccano.detect, doccano.read, doccano.write),
        Format("native", "one Document per line", native.detect, native.read, native.write, (".jsonl", ".json")),
        Format("conll", "a token and its tag per line", conll.detect, conll.read),
        Format("csv", "table of triples", write=tables.write_csv, suffixes=(".csv",)),
        Format("parquet", "table of triples", write=tables.write_parquet, suffixes=(".parquet",)),
    )
}


def detect(path: str | Path) -> str:
    """The name of the format of a file or folder: the first of `FORMATS` that recognises its first record.

    Raises `DataError` where none does: with the line where the beginning of the file is damaged.
    """
    path = Path(path)
    sample = _sample(path)
    name = _recognise(sample)
    if name is not None:
        return name
    if not path.is_dir():
        _refuse_damaged(sample)
    elif not any(path.iterdir()):
        raise DataError("is an empty folder", path=path)
    table = table_of_suffix(path)
    if table is not None:
        raise DataError(_only_written(table), path=path)
    record = sample.record
    keys = f"; its first record has the keys {sorted(record)}" if isinstance(record, dict) else ""
    raise DataError(
        f"has none of the formats {', '.join(_readable())}{keys}; name one with --format (`kexue convert` has --from)",
        path=path,
    )


def recognise(path: Path) -> str | None:
    """As `detect`, but None where no format knows the file, which may then be anything and as large as it likes."""
    return _recognise(_sample(path))


def _recognise(sample: Sample) -> str | None:
    for format in FORMATS.values():
        if format.detect is not None and format.detect(sample):
            return format.name
    return None


def _refuse_damaged(sample: Sample) -> None:
    """Raise what is wrong with a file that no format knows, where records or lines behind its first one tell."""
    path = sample.path
    read_text(path)  # says so if the file is absent, empty or not UTF-8
    if _begins_with_object(sample.head):
        later = (replace(sample, record=record) for _, record in islice(read_records(path), _LOOKED_AT))
        name = next(filter(None, map(_recognise, later)), None)
    else:
        name = "conll" if conll.resembles(sample.head) else None
    if name is not None:
        read_documents(path, name)


def read_documents(path: str | Path, format: str | None = None) -> Reading:
    """Read all documents of a file or folder, in the format named or detected.

    Raises `DataError` with path and line for data that are wrong or absent, `OptionError` for an unknown
    format.
    """
    path = Path(path)
    if format is not None and format not in _readable():
        known = f"{path}: {_only_written(format)}" if format in FORMATS else None
        raise OptionError(known or unknown("format to read", format, _readable()))
    name = format or detect(path)
    read = FORMATS[name].read
    assert read is not None
    try:
        documents = list(read(path))
    except DataError as error:
        found = None if format is None else recognise(path)
        if found is None or found == format:
            raise
        hint = f"; it was to be read as {format}, but {path.name} looks like {found}"
        raise DataError(f"{error.reason}{hint}", path=error.path, line=error.line) from None
    if not documents:
        raise DataError(f"holds no documents (read as {name})", path=path)
    return Reading(documents, name, path)


def write_documents(documents: Iterable[Document], path: str | Path, format: str | None = None) -> str:
    """Write documents in the format named or, if none is, the one of the path's suffix; returns its name.

    Raises `OptionError` for an unknown format or suffix.
    """
    path = Path(path)
    if format is not None and format not in _writable():
        raise OptionError(unknown("format to write", format, _writable()))
    name = format or _format_of_suffix(path)
    write = FORMATS[name].write
    assert write is not None
    write(documents, path)
    return name


def table_of_suffix(path: Path) -> str | None:
    """The format of the path's suffix where that is only written, as tables are; else None."""
    tables = (format for format in FORMATS.values() if format.read is None)
    return next((format.name for format in tables if path.suffix.lower() in format.suffixes), None)


def _only_written(format: str) -> str:
    return f"{format} is only written; of the formats that are read, native, one JSON object a line, is the simplest"


def _readable() -> list[str]:
    return [format.name for format in FORMATS.values() if format.read is not None]


def _writable() -> list[str]:
    return [format.name for format in FORMATS.values() if format.write is not None]


def _format_of_suffix(path: Path) -> str:
    for format in FORMATS.values():
        if path.suffix.lower() in format.suffixes:
            return format.name
    known = ", ".join(
        f"{suffix or 'no suffix'} ({format.name})" for format in FORMATS.values() for suffix in format.suffixes
    )
    raise OptionError(
        f"{path}: no format is known for the suffix {path.suffix!r}; known: {known}; or name one with --to"
    )


def _sample(path: Path) -> Sample:
    if path.is_dir():
        return Sample(path, "", None)
    head = _head(path)
    return Sample(path, head, _first_record(head, path))


def _head(path: Path) -> str:
    """The beginning of a file as text; empty for one that cannot be read, is damaged or is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()  # incremental: a character may be cut at the end
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return decoder.decode(file.read(_HEAD))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return ""


def _first_record(head: str, path: Path) -> Any:
    """The first JSON object of a file: of its array, of its first line, or the whole of it; else None."""
    if not _begins_with_object(head):
        return None
    try:
        return parse_value(head, head.index("{"))[0]
    except ValueError:
        return _first_of_whole(path)


def _begins_with_object(head: str) -> bool:
    """Whether a file begins as one of JSON records does."""
    return head.lstrip().removeprefix("[").lstrip().startswith("{")


def _first_of_whole(path: Path) -> Any:
    """The first record of a file whose first record is longer than the sample."""
    try:
        return next(read_records(path))[1]
    except DataError:
        return None
