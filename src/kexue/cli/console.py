"""What the commands share: two consoles, and the way errors end a command."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)  # progress and messages; stdout is for results


def say(text: str) -> None:
    """One line about what was done, as it is."""
    err.print(text, highlight=False, markup=False)


def quiet() -> None:
    """Silence what libraries say about themselves; their errors still come through."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"torch|transformers|accelerate")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End a command with one line: 2 for a user's mistake, 1 where the machine failed; bugs keep their traceback.

    Typer itself ends with 130 on Ctrl-C, with 1 and silently where the reader of a pipe went away.
    """
    from kexue.errors import KexueError

    try:
        yield
    except KexueError as error:
        _say(str(error))
        sys.exit(2)
    except (NotADirectoryError, FileExistsError) as error:
        _say(_standing_in_the_way(error))
        sys.exit(2)
    except OSError as error:  # no space, no permission
        _say(str(error))
        sys.exit(1)


def _standing_in_the_way(error: OSError) -> str:
    """Which file stands where a folder is needed, and what to do; the error itself where none does."""
    path = Path(str(error.filename))
    files = (part for part in (path, *path.parents) if part.is_file())
    return next((f"{file}: is a file, and a folder is needed there: name another output" for file in files), str(error))


def _say(message: str) -> None:
    err.print("[red]error:[/red] ", end="")
    err.print(" ".join(message.split("\n")), markup=False, highlight=False)
