"""Which mentions are the same entity: those with one key.

By default the key is the type and the normalised name, `drug/aspirin`; a table of aliases, or any function of a name
and a type, gives another, such as the identifier of an authority file.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kexue.errors import DataError
from kexue.extraction.formats.source import read_text

KeyFunction = Callable[[str, str], str]
"""From a name as it stands in the text and a type, which may be empty, to the key of the entity."""

_COLUMNS = {2: ("name", "id"), 3: ("name", "type", "id")}


def normalise(name: str) -> str:
    """A name without what two spellings of it may differ in: width, case, white space, invisible characters.

    Unicode's NFKC and full case folding; Chinese characters stay as they are, traditional and simplified ones differ.
    A name in which nothing is left stays as it was.

    >>> normalise("  Ａｓｐｉｒｉｎ\\u00a0Protect "), normalise("「喜悦」号")
    ('aspirin protect', '「喜悦」号')
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    visible = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).split()) or name


def entity_key(name: str, type: str) -> str:
    """`type/normalised name`; a slash or colon in a type is escaped, so no two pairs have one key.

    >>> entity_key("Aspirin", "drug"), entity_key("喜悦", "")
    ('drug/aspirin', '/喜悦')
    """
    kind = re.sub("[%/:]", lambda found: f"%{ord(found[0]):02X}", normalise(type))
    return f"{kind}/{normalise(name)}"


@dataclass(frozen=True)
class AliasTable:
    """Keys for names that a user has listed; all others get the key of `otherwise`.

    `ids` maps (normalised name, normalised type) to the key; an empty type stands for any.
    """

    ids: Mapping[tuple[str, str], str]
    otherwise: KeyFunction = entity_key

    def __call__(self, name: str, type: str) -> str:
        folded = normalise(name)
        found = self.ids.get((folded, normalise(type))) or self.ids.get((folded, ""))
        return self.otherwise(name, type) if found is None else found

    @classmethod
    def read(cls, path: Path) -> AliasTable:
        """A table of two or three columns, name, id or name, type, id: CSV, or TSV where the file ends in .tsv.

        A first line that holds these words is taken for the head. Raises `DataError` with the line for a row with
        other columns or an empty name or id, and for a name that is given two ids.
        """
        ids: dict[tuple[str, str], str] = {}
        rows = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
        for row in rows:
            line, cells = rows.line_num, [cell.strip() for cell in row]
            if not any(cells) or tuple(map(str.lower, cells)) in _COLUMNS.values():
                continue
            columns = _COLUMNS.get(len(cells))
            if columns is None:
                raise DataError(
                    f"has {len(cells)} columns; an alias has: name, id or name, type, id", path=path, line=line
                )
            record = {"type": ""} | dict(zip(columns, cells, strict=True))
            if not record["name"] or not record["id"]:
                raise DataError("a name and an id are needed", path=path, line=line)
            place = normalise(record["name"]), normalise(record["type"])
            if ids.setdefault(place, record["id"]) != record["id"]:
                raise DataError(
                    f"{record['name']!r} has the id {ids[place]!r} already; a name of one type has one id",
                    path=path,
                    line=line,
                )
        return cls(ids)
