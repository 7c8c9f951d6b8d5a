"""What the readers of JSON records share: values checked at the door, errors that name file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats.source import read_records

T = TypeVar("T")

_NAMES: dict[type, str] = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


def read_each(path: Path, convert: Callable[[dict[str, Any]], Document]) -> Iterator[Document]:
    """Convert every record of a file; a `DataError` of `convert` gets the path and the record's line."""
    for line, record in read_records(path):
        try:
            document = named(convert(of_kind(record, dict, "a record")))
        except DataError as error:
            raise DataError(str(error), path=path, line=line) from None
        except RecursionError:
            raise DataError("is nested too deeply", path=path, line=line) from None
        yield document


def named(document: Document) -> Document:
    """The document, if all its facts have names; raises `DataError` for one without."""
    for kind, names in (
        ("a relation has no predicate", [relation.predicate for relation in document.relations]),
        ("an event has no type", [event.type for event in document.events]),
        ("an argument has no role", [argument.role for event in document.events for argument in event.arguments]),
    ):
        if not all(names):
            raise DataError(f"{kind}: its name is an empty string")
    return document


def of_kind(value: Any, kind: type[T], what: str) -> T:
    """`value` if it is of this kind (True is no number); raises `DataError` else."""
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise DataError(f"{what} must be {_NAMES[kind]}, got {_shown(value)}")


def field(record: Mapping[str, Any], key: str, kind: type[T], what: str = "the record") -> T:
    """`record[key]`, of this kind; raises `DataError` with the likeliest misspelling where it is absent."""
    if key not in record:
        close = get_close_matches(key, list(record), n=1)
        hint = f"; is {close[0]!r} meant to be it?" if close else ""
        raise DataError(f"{what} lacks {key!r}; it has {sorted(record)}{hint}")
    return of_kind(record[key], kind, f"{key!r} of {what}")


def optional(record: Mapping[str, Any], key: str, kind: type[T], default: T, what: str = "the record") -> T:
    """`record[key]` of this kind, or `default` where it is absent or null."""
    return default if record.get(key) is None else field(record, key, kind, what)


def strings(value: list[Any], what: str) -> list[str]:
    """A list of strings, checked."""
    return [of_kind(item, str, f"each of {what}") for item in value]


def row(value: Any, kinds: tuple[type, ...], what: str) -> list[Any]:
    """The leading items of a list such as `[start, end, type]`, checked; what follows is ignored."""
    items = of_kind(value, list, what)
    if len(items) < len(kinds):
        raise DataError(f"{what} must have {len(kinds)} parts, got {_shown(value)}")
    return [of_kind(item, kind, f"a part of {what}") for item, kind in zip(items, kinds, strict=False)]


def identifier(record: Mapping[str, Any], *keys: str) -> str | None:
    """The first of these keys that has a value, as a string."""
    return next((str(record[key]) for key in keys if record.get(key) is not None), None)


def rest(record: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The keys that a reader does not use; they go to `Document.meta`."""
    return {key: value for key, value in record.items() if key not in known}


def strangers(record: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """The keys beside those known that hold a list or an object, which may be gold in a form that is not known."""
    return [key for key, value in record.items() if key not in known and isinstance(value, list | dict)]


def refuse_strangers(record: Mapping[str, Any], gold: Collection[str], known: Collection[str]) -> None:
    """Raise `DataError` for a record that has none of the keys of gold and strangers in their place.

    A record that has neither is a text without annotation.
    """
    found = strangers(record, known)
    if found and not any(record.get(key) is not None for key in gold):
        own = " (anything of your own can go into 'meta')" if "meta" in known else ""
        raise DataError(
            f"the record has no {' or '.join(map(repr, gold))}, but {found[0]!r}, which is not read: "
            f"annotations in it would be lost{own}"
        )


def has_rows(record: Any, key: str) -> bool:
    """Whether `record[key]` is a list of lists (an empty list counts); for `detect`."""
    value = record.get(key) if isinstance(record, dict) else None
    return isinstance(value, list) and all(isinstance(item, list) for item in value)


def has_objects(record: Any, key: str) -> bool:
    """Whether `record[key]` is a list of objects (an empty list counts); for `detect`."""
    value = record.get(key) if isinstance(record, dict) else None
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
