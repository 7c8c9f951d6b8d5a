"""Answers to queries as JSON, CSV, or rows of words; without what the database adds for itself."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

from kexue.integrations.graph.database import Rows


def write_json_lines(answer: Rows, file: IO[str]) -> None:
    """One object a line, its keys the columns."""
    for row in answer.rows:
        values = dict(zip(answer.columns, map(plain, row), strict=True))
        file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")


def write_csv(answer: Rows, file: IO[str]) -> None:
    """A head and one row each; what has parts is JSON."""
    writer = csv.writer(file)
    writer.writerow(answer.columns)
    writer.writerows(worded(answer))


def worded(answer: Rows) -> Iterator[list[str]]:
    """The rows as words, as a table shows them."""
    for row in answer.rows:
        yield [_words(plain(value)) for value in row]


def plain(value: Any) -> Any:
    """A value as JSON has it: a node is its properties and its label, a path its nodes and edges."""
    if isinstance(value, dict):
        label = {"label": value["_LABEL"]} if "_LABEL" in value else {}
        names = {"_NODES": "nodes", "_RELS": "edges"}
        kept = {names.get(name, name): plain(it) for name, it in value.items() if name in names or name[:1] != "_"}
        return label | kept
    if isinstance(value, list):
        return [plain(it) for it in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _words(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)
