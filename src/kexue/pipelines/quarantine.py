"""What of the input is no document, in a file of its own: where it stood, why, and what it was."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kexue.files import atomic_write


@dataclass(frozen=True)
class Reject:
    """A line or row (from 1) that is no document, why, and its bytes; `count` of them where a whole range is lost."""

    file: str
    line: int
    reason: str
    content: bytes | None = None
    count: int = 1

    def to_json(self) -> dict[str, Any]:
        """`content` as text, or in base64 where it is not UTF-8; left out where it was not held."""
        record: dict[str, Any] = {"file": self.file, "line": self.line, "reason": self.reason}
        if self.count > 1:
            record["count"] = self.count
        if self.content is not None:
            try:
                record["content"] = self.content.decode("utf-8")
            except UnicodeDecodeError:
                record["content_base64"] = b64encode(self.content).decode("ascii")
        return record


@contextmanager
def quarantine(path: Path) -> Iterator[Callable[[Reject], None]]:
    """Takes rejects and writes them to `path`, one JSON object a line; without any there is no file in the end."""
    sink: IO[bytes] | None = None
    with ExitStack() as stack:

        def put(reject: Reject) -> None:
            nonlocal sink
            if sink is None:
                sink = stack.enter_context(atomic_write(path, binary=True))
            line = json.dumps(reject.to_json(), ensure_ascii=False) + "\n"
            sink.write(line.encode("utf-8", errors="backslashreplace"))

        yield put
    if sink is None:
        path.unlink(missing_ok=True)
