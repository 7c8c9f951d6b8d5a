"""Files that are whole or absent: outputs are written beside their place and renamed.

A process that is killed while it writes leaves the old file, or none, never half of the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kexue.errors import CheckpointError, DataError, OptionError

MOST = 2**30  # bytes to which a compressed file may always expand
RATIO = 100  # and as many times its own size; text is made 5 to 30 times smaller, images less


def expansion_limit(path: Path) -> int:
    """How many bytes a compressed file may become: one that asks for more is made to fill the memory."""
    return max(MOST, RATIO * path.stat().st_size)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an `OSError` of what is written beside its place name that place."""
    try:
        yield
    except OSError as error:
        beside = f".{path.name}."
        parts = [path.name if part.startswith(beside) else part for part in Path(str(error.filename)).parts]
        if error.filename is None or Path(*parts) == Path(str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, str(Path(*parts))) from error


@contextmanager
def atomic_write(path: str | Path, *, binary: bool = False) -> Iterator[IO]:
    """Open a file that appears at `path` only when the block ends without an exception (UTF-8, LF).

    Half of a surrogate pair has no UTF-8; it is written as \\ud800, which in JSON is the escape it was read from.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        try:
            options = {} if binary else {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
            with open(descriptor, "wb" if binary else "w", **options) as file:  # noqa: PTH123
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def refuse_absent(paths: Iterable[Path]) -> None:
    """Raise `DataError` for a file or folder to be read that is not there."""
    for path in paths:
        if not path.exists():
            raise DataError("there is no such file or folder", path=path)


def refuse_absent_folder(folder: Path) -> None:
    """Raise `CheckpointError` for the folder of a model that is not there."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder")


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[Path]) -> None:
    """Raise `OptionError` for an output that is one of the inputs, which it would replace."""
    places = {path.resolve() for path in inputs}
    for output in outputs:
        if output is not None and output.resolve() in places:
            raise OptionError(f"{output}: the output must be a file of its own, not the input")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as readable JSON (UTF-8, two spaces), whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    with atomic_write(path, binary=True) as file:
        # A lone surrogate has no UTF-8; written with a backslash it is an escape of JSON.
        file.write(text.encode("utf-8", errors="backslashreplace"))


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which appears at `path` only when the block ends without an exception.

    A folder that was at `path` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
        try:
            yield partial
            partial.chmod(0o755)
            if path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
                path.replace(old / path.name)
                partial.replace(path)
                shutil.rmtree(old)
            else:
                partial.replace(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
