"""The command line inside the test's own process: arguments and stdin in; exit code, stdout and stderr out.

The fixture `kexue` calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that refused; fails if there is more or less, or a traceback."""
        assert self.code == 2, self
        (line,) = self.err.splitlines()
        assert line.startswith("error: ") and not self.out, self
        return line.removeprefix("error: ")


Command = Callable[..., Outcome]
