"""A card beside what a person wrote: our part between two marks is written again, the rest stays.

The first mark holds a digest of every key that we wrote into the front matter. A key whose value is still the one we
wrote is ours and is brought up to date; one that a person changed, added or removed is theirs and stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kexue.cards.evaluations import EVALUATIONS
from kexue.cards.facts import read_facts
from kexue.cards.front_matter import front_matter
from kexue.cards.template import card_text
from kexue.files import atomic_write

CARD = "README.md"
NOTE = "kexue wrote from here to the next mark, and writes it again; the rest is yours"
FIRST = re.compile(r"<!-- kexue begin (\{.*?\}) .*?-->\n?")
LAST = "<!-- kexue end -->\n"
FENCED = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n?", re.DOTALL | re.MULTILINE)


class Parts(NamedTuple):
    """A card: front matter as it stands, what precedes our part and what follows it, and what keys we wrote."""

    matter: str
    before: str
    after: str
    written: dict[str, str]


def write_card(folder: str | Path) -> Path:
    """Write README.md of a model folder from what it holds, and return it.

    Raises `CheckpointError` where the folder holds no model.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    path = folder / CARD
    # A byte that is not UTF-8 stays the byte it was.
    old = path.read_bytes().decode("utf-8", errors="surrogateescape") if path.is_file() else ""
    content = merge(old, front_matter(facts), card_text(facts))
    with atomic_write(path, binary=True) as file:
        file.write(content.encode("utf-8", errors="surrogateescape"))
    return path


def write_new_card(folder: str | Path) -> Path:
    """The card of a model that has just been written; what was measured of the one before it is removed."""
    (Path(folder) / EVALUATIONS).unlink(missing_ok=True)
    return write_card(folder)


def merge(old: str, values: dict[str, Any], text: str) -> str:
    """An old card, or nothing, with our part and our keys as they are now."""
    parts = split(old)
    matter, written = _merge_matter(parts, values)
    mark = f"<!-- kexue begin {json.dumps(written, sort_keys=True)} {NOTE} -->\n"
    return f"{matter}{parts.before}{mark}\n{text}\n{LAST}{parts.after}"


def split(card: str) -> Parts:
    """The parts of a card; all of one that we never wrote precedes our part."""
    fenced = FENCED.match(card)
    matter, body = (fenced[0], card[fenced.end() :]) if fenced else ("", f"\n{card}")
    first = FIRST.search(body)
    last = body.find(LAST, first.end()) if first else -1
    if first is None or last < 0:
        return Parts(matter, f"{body.rstrip()}\n\n" if body.strip() else "\n", "", {})
    return Parts(matter, body[: first.start()], body[last + len(LAST) :], _digests(first[1]))


def _digests(text: str) -> dict[str, str]:
    """What the mark says, which a person may have damaged: then nothing is ours."""
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        return {}


def _merge_matter(parts: Parts, values: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The front matter as text, and the digests of the keys in it that are ours."""
    theirs = _read(parts.matter)
    if theirs is None:  # no YAML: nobody but its author can mend it
        return parts.matter, {}
    removed = {key for key in parts.written if key not in theirs}
    kept = {key: value for key, value in theirs.items() if parts.written.get(key) != _digest(value)}
    ours = {key: value for key, value in values.items() if key not in kept and key not in removed}
    written = {key: _digest(value) for key, value in ours.items()} | {key: parts.written[key] for key in removed}
    merged = {key: (ours | kept)[key] for key in dict.fromkeys([*values, *theirs]) if key in ours or key in kept}
    if merged == theirs:
        return parts.matter, written
    dumped = yaml.safe_dump(merged, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{dumped}---\n", written


def _read(matter: str) -> dict[Any, Any] | None:
    """The keys and values of front matter; None where it is no YAML, or no mapping."""
    if not matter:
        return {}
    fenced = FENCED.match(matter)
    try:
        values = yaml.safe_load(fenced[1]) if fenced else None
    except yaml.YAMLError:
        return None
    return values if isinstance(values, dict) else ({} if values is None else None)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
