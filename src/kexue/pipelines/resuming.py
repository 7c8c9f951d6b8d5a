"""What a long job needs to go on after a kill: it alone writes its output, and it only continues its own work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kexue.errors import DataError, OptionError

END = 2**20  # bytes of each end of a file that its fingerprint reads


@contextmanager
def alone(lock: Path, output: Path) -> Iterator[None]:
    """Hold an output for this process; the system lets go of it however the process ends.

    Raises `OptionError` where another process holds it.
    """
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise OptionError(
            f"{output} is being written by another process; wait for it, or choose another output"
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def refuse_another(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `OptionError` with what differs, unless an output was begun as it would be now (compared as JSON)."""
    now = json.loads(json.dumps(now))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        raise OptionError(
            f"{output} was begun with another {' and '.join(changed)}: remove it to start anew, "
            "or give what it was begun with to continue"
        )


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and digest of both ends: enough to notice that it is another file, fast for a large one."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(END)
            file.seek(max(0, size - END))
            digest = hashlib.sha256(head + file.read()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    return {"bytes": size, "sha256_of_ends": digest}
