"""Trainings are made once, whatever ends the study between them, here or in processes of their own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import Key, TrainingOutcome, outcomes_of


@dataclass(frozen=True)
class Outcome(TrainingOutcome):
    name: str
    seed: int
    process: int
    threads: int
    measures: dict[str, list[float]] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return "toy", self.name, self.seed

    def __str__(self) -> str:
        return f"{self.name} is done"


@dataclass(frozen=True)
class Training:
    name: str
    seed: int = 0
    stopped: bool = False

    @property
    def key(self) -> Key:
        return "toy", self.name, self.seed

    def run(self) -> Outcome:
        if self.stopped:
            raise KeyboardInterrupt
        return Outcome(self.name, self.seed, os.getpid(), torch.get_num_threads(), {"f1": [0.1]})


def test_what_is_known_is_not_trained_again_and_comes_in_order(tmp_path: Path):
    said: list[str] = []
    path, options = tmp_path / "new" / "toy.jsonl", StudyOptions(tmp_path, say=said.append)
    first = outcomes_of([Training("b"), Training("c", stopped=True)], Outcome, path, options)
    assert next(first) == {}
    assert list(next(first)) == [("toy", "b", 0)]
    with pytest.raises(KeyboardInterrupt):
        next(first)
    wanted = [Training("a"), Training("b", stopped=True), Training("b", seed=1)]
    steps = list(outcomes_of(wanted, Outcome, path, options))
    assert [[key[1:] for key in step] for step in steps] == [
        [("b", 0)],
        [("a", 0), ("b", 0)],
        [("a", 0), ("b", 0), ("b", 1)],
    ]
    assert said == ["    b is done", "    a is done", "    b is done"]
    assert [json.loads(line)["name"] for line in path.read_text("utf-8").splitlines()] == ["b", "a", "b"]
    (last,) = outcomes_of(wanted, Outcome, path, options)
    assert last == steps[-1]


@pytest.mark.slow
def test_workers_are_processes_of_one_thread(tmp_path: Path):
    options = StudyOptions(tmp_path, workers=2, say=lambda line: None)
    wanted = [Training("a"), Training("b")]
    *_, made = outcomes_of(wanted, Outcome, tmp_path / "toy.jsonl", options)
    assert list(made) == [training.key for training in wanted]
    assert {outcome.threads for outcome in made.values()} == {1}
    assert os.getpid() not in {outcome.process for outcome in made.values()}
