"""Every error that a user can cause.

KexueError
├── DataError        a file or document is wrong: names the file, the line and the remedy
├── SchemaError      labels or constraints contradict each other or the data
├── CheckpointError  a model folder is missing something, damaged, or too new
├── OptionError      an option or a recipe key is wrong or misspelt
└── TrainingError    a training went astray and cannot be used

The command line prints the message of a `KexueError` on one line and exits with code 2; anything else is a
bug in kexue and keeps its traceback.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

LONGEST = 2000  # characters of a message; of a longer one the middle is left out
LONGEST_NAME = 200  # characters of a name that is compared and repeated


class KexueError(Exception):
    """Base of all errors that a user can mend.

    A message may repeat what stands in a file, so what no terminal should be sent is written as an escape.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_presentable(message))


class DataError(KexueError):
    """A file or a document is wrong.

    `path` and `line` (1-based) are put in front of the message, as compilers do: `train.jsonl:7: ...`; `reason` is
    the message without them.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}:" if line is None else f"{path}:{line}:"
        super().__init__(f"{place} {message}" if place else message)
        self.reason = message
        self.path = path
        self.line = line


class SchemaError(KexueError):
    """Labels or constraints contradict each other or the data."""


class CheckpointError(KexueError):
    """A model folder is missing something, damaged, or written by a newer kexue."""


class OptionError(KexueError):
    """An option, a recipe key or a value is not one of those allowed."""


class TrainingError(KexueError):
    """A training went astray: its weights hold no numbers."""


def unknown(kind: str, name: str, allowed: list[str] | tuple[str, ...]) -> str:
    """The sentence for a name that is not in a table, with the likeliest right one."""
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    close = get_close_matches(name, allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r}.{hint} Allowed: {', '.join(map(repr, allowed)) or 'none'}."


def _presentable(message: str) -> str:
    if len(message) > LONGEST:
        message = f"{message[: LONGEST * 2 // 3]} ... {message[-LONGEST // 3 :]}"
    if message.isprintable():
        return message
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in message
    )
