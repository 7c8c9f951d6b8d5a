"""A load in a process of its own, which SIGKILL ends at a chosen query."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from kexue.integrations.graph import GraphDatabase, load, read_facts


def main(folder: str, facts: str, moment: int, after: bool) -> None:
    """Die before or after the query of this number."""
    graph = GraphDatabase(folder, writable=True)
    run, count = graph.run, 0

    def counted(cypher: str, **parameters: Any) -> list[list[Any]]:
        nonlocal count
        count += 1
        if count == moment and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = run(cypher, **parameters)
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

    graph.run = counted  # type: ignore[method-assign]
    load(graph, read_facts([Path(facts)]), batch=2)
    print(count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "after")
