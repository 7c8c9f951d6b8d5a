"""A load that is killed at any query leaves whole batches, and the same load again gives what an unbroken one gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from kexue.integrations.graph import GraphDatabase, load, read_facts
from tests.integrations.graph.samples import document, everything, write

A, B = ("Aspirin", "drug"), ("rash", "effect")
DOCUMENTS = [
    document(str(n), (A, "causes", B, n / 8), (A, "treats", (f"pain {n % 3}", "disorder"), 0.5)) for n in range(4)
]


def load_apart(folder: Path, facts: Path, moment: int, when: str = "before") -> subprocess.CompletedProcess[str]:
    arguments = [str(folder), str(facts), str(moment), when]
    return subprocess.run(
        [sys.executable, "-m", "tests.integrations.graph.killed", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.slow
def test_killed_before_and_after_each_query_it_goes_on(tmp_path: Path):
    facts = write(tmp_path / "facts.jsonl", *DOCUMENTS)
    unbroken = load_apart(tmp_path / "unbroken", facts, 0)
    with GraphDatabase(tmp_path / "unbroken") as graph:
        whole = everything(graph)
        assert not graph.unfinished
    moments = range(1, int(unbroken.stdout) + 1)
    assert len(moments) > 20
    for moment in moments:
        folder = tmp_path / f"killed {moment}"
        died = load_apart(folder, facts, moment, "after" if moment % 2 else "before")
        assert died.returncode == -signal.SIGKILL, died.stderr
        check(folder, facts, whole)
        rmtree(folder)


def check(folder: Path, facts: Path, whole: dict[str, list[list[object]]]) -> None:
    with GraphDatabase(folder) as graph:
        assert graph.unfinished
        left = everything(graph)
    stated = [it[0] for it in left["documents"]]
    assert len(left["lonely"]) == len(left["statements"]) == 2 * len(stated), "a batch is there whole or not at all"
    assert sum(int(str(it[4])) for it in left["facts"]) == len(left["statements"])
    with GraphDatabase(folder, writable=True) as graph:
        done = load(graph, read_facts([facts]))
        assert (done.new, done.removed) == (len(DOCUMENTS) - len(stated), 0)
        assert everything(graph) == whole
        assert not graph.unfinished


def test_a_journal_that_was_torn_by_the_kill_does_not_lock_the_graph(tmp_path: Path):
    """What the journal lost is loaded again; what had been finished is there."""
    facts, more = write(tmp_path / "a.jsonl", *DOCUMENTS[:2]), write(tmp_path / "b.jsonl", *DOCUMENTS)
    assert load_apart(tmp_path / "graph", facts, 0).returncode == 0
    killed = load_apart(tmp_path / "graph", more, 18)
    assert killed.returncode == -signal.SIGKILL
    journal = tmp_path / "graph" / "graph.lbug.wal"
    data = journal.read_bytes()
    for end in (len(data) - 1, len(data) // 2, 3):
        folder = copytree(tmp_path / "graph", tmp_path / f"torn {end}")
        (folder / journal.name).write_bytes(data[:end])
        with GraphDatabase(folder) as graph:
            assert graph.unfinished and len(everything(graph)["documents"]) >= 2
        with GraphDatabase(folder, writable=True) as graph:
            load(graph, read_facts([more]))
            assert len(everything(graph)["documents"]) == len(DOCUMENTS)
            assert len(everything(graph)["statements"]) == 2 * len(DOCUMENTS)
