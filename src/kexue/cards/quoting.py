"""Text of others inside a card: none of it can end a table, a block of code, or what surrounds it."""

from __future__ import annotations

import json
import shlex
from pathlib import PurePath
from typing import Any


def as_text(text: str) -> str:
    """Text of others as text: no cell, no emphasis and no tag comes of it."""
    line = " ".join(str(text).split())
    for mark, escaped in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "\\`"), ("*", "\\*")):
        line = line.replace(mark, escaped)
    return line


def as_string(text: str) -> str:
    """A string of Python and of TOML that ends no code block."""
    return json.dumps(text, ensure_ascii=False).replace("`", "\\u0060").replace("<", "\\u003c")


def as_word(text: str) -> str:
    """One word of a command line that ends no code block."""
    return shlex.quote(" ".join(text.split())).replace("`", "?").replace("<", "?")


def as_toml(value: Any) -> str:
    """A value as TOML; paths without their folders."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = PurePath(value).name if PurePath(value).is_absolute() else value
        return as_string(shown)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(str(key))} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return str(value)
