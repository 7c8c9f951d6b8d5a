"""What the commands share: two consoles, and the way errors end a command."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)  # progress and messages; stdout is for results


def quiet() -> None:
    """Silence what libraries say about themselves; their errors still come through."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"torch|transformers|accelerate")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A user's mistake ends the command with one line and exit code 2; Ctrl-C with 130; bugs keep their traceback."""
    from kexue.errors import KexueError

    try:
        yield
    except KexueError as error:
        err.print("[red]error:[/red] ", end="")
        err.print(" ".join(str(error).split("\n")), markup=False, highlight=False)
        sys.exit(2)
    except BrokenPipeError:  # `kexue extract ... | head`
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("stopped; what was done is kept, the same command goes on from there")
        sys.exit(130)
