"""Addresses (IRIs) of entities, relations, types, documents and statements, under one base that the user chooses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kexue.errors import OptionError
from kexue.integrations.graph.extra import need

BASE = "http://example.org/kexue/"
KINDS = ("entity", "type", "relation", "document", "statement")
_ABSOLUTE = re.compile(r"https?://.|urn:.")


@dataclass(frozen=True)
class Addresses:
    """From names to IRIs: `base`, the kind, and the name with all but letters and digits of any script escaped.

    A name that is an address itself (http, https, urn) stays as it is, so that ids of an authority file and addresses
    of documents can be used. Raises `OptionError` if `base` is no such address.
    """

    base: str = BASE

    def __post_init__(self) -> None:
        if not _ABSOLUTE.match(self.base) or self._parsed(self.base) is None:
            raise OptionError(f"the base {self.base!r} is no address such as {BASE}")

    def of(self, kind: str, name: str) -> Any:
        """The `NamedNode` of a name of one of `KINDS`."""
        given = self._parsed(name) if _ABSOLUTE.match(name) else None
        return need("pyoxigraph").NamedNode(f"{self.base}{kind}/{escaped(name)}") if given is None else given

    def place(self, document: Any, start: int, end: int) -> Any:
        """The address of characters in a document: `#char=0,7` (RFC 5147), or `/char=0,7` where it has a fragment."""
        sign = "/" if "#" in document.value else "#"
        return need("pyoxigraph").NamedNode(f"{document.value}{sign}char={start},{end}")

    @staticmethod
    def _parsed(address: str) -> Any:
        try:
            return need("pyoxigraph").NamedNode(address)
        except ValueError:
            return None


def escaped(name: str) -> str:
    """The part of an IRI for a name: `_` for a space; all but letters, digits and marks of any script as % and bytes.

    >>> escaped("drug/喜悦 50%")
    'drug/喜悦_50%25'
    """
    return "".join(map(_escaped, name))


def _escaped(character: str) -> str:
    if character.isalnum() or character in "-.~/" or unicodedata.category(character) == "Mn":
        return character
    return {" ": "_", "_": "%5F"}.get(character) or quote(character)
