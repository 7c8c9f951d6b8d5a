"""The command line inside the test's own process: arguments and stdin in; exit code, stdout and stderr out."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kexue.cli.main import main


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


@pytest.fixture
def kexue(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Command:
    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kexue", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        written = capsysbinary.readouterr()
        return Outcome(code, written.out.decode(), written.err.decode())

    return run
