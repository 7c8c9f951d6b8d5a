"""A service in a process of its own, as `kexue serve` starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ADDRESS = re.compile(r"http://\S+")


@dataclass(frozen=True)
class Running:
    """A process and the address it listens on."""

    process: subprocess.Popen[str]
    address: str


@contextmanager
def running(*arguments: str, module: str = "kexue") -> Iterator[Running]:
    """`kexue serve ARGUMENTS` on a free port; ended at the end of the block if it has not ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "serve", *arguments, "--port", "0", "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if found := ADDRESS.search(line):
                yield Running(process, found[0])
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()
