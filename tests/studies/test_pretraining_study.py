"""The study of pre-training: no held-out text is learnt from, and the whole writes its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kexue.extraction.document import Document
from kexue.extraction.formats import write_documents
from kexue.studies import StudyOptions, run_study
from kexue.studies.claims import FAILS, HOLDS, OPEN
from kexue.studies.pretraining import PRETRAINED, SCRATCH, Outcome, judged, without


def test_what_dev_or_test_has_is_not_learnt_from_and_nothing_twice(tmp_path: Path):
    splits = {
        "train": ["Bob leads Acme.", "bob  leads acme", "Ann leads it."],
        "dev": ["ann LEADS it!"],
        "test": ["Acme is led by Bob, they say.", "Up."],
    }
    files = {}
    for split, texts in splits.items():
        files[split] = tmp_path / f"{split}.jsonl"
        write_documents([Document(text) for text in texts], files[split], "native")
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.txt").write_text("As we know, Acme is led by Bob; they say so.\nWhat is up?\n", "utf-8")
    assert without([files["train"], more], {"toy": files}) == ["bob  leads acme", "What is up?"]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [((0.2,), HOLDS), ((-0.2,), FAILS), ((0.05,), OPEN), ((0.2, 0.3), HOLDS), ((0.2, 0.05), OPEN), ((0.2, -0.2), OPEN)],
)
def test_pre_training_helps_a_set_if_the_intervals_of_every_seed_say_so(gains: tuple[float, ...], verdict: str):
    def outcome(start: str, seed: int, f1: float) -> Outcome:
        return Outcome("toy", start, seed, f1, [f1 - 0.04, f1 + 0.04], f1, 1.0, 1, "")

    outcomes = [outcome(SCRATCH, seed, 0.5) for seed in range(len(gains))]
    outcomes += [outcome(PRETRAINED, seed, 0.5 + gain) for seed, gain in enumerate(gains)]
    (claim,) = judged(outcomes)
    assert claim.verdict == verdict
    assert claim.because.startswith(f"toy: {100 * gains[0]:+.1f} points with seed 0, the intervals ")
    assert not list(judged(outcomes[:1]))


@pytest.mark.slow
def test_a_quick_run_writes_the_page_and_goes_on_where_it_was(tmp_path: Path):
    said: list[str] = []
    options = StudyOptions(tmp_path, quick=True, device="cpu", say=said.append)
    text = run_study("pretraining", options).read_text("utf-8")
    assert "| phee | 1, 8 | from scratch | 0 |" in text and "| phee | 1, 8 | pre-trained | 0 |" in text
    assert "| english |" in text and "| phee: " in text
    learnt = [json.loads(line)["text"] for line in (tmp_path / "sentences/english.jsonl").read_text().splitlines()]
    assert 0 < len(learnt) <= 24
    assert len(said) == 3
    assert run_study("pretraining", options).read_text("utf-8") == text
    assert len(said) == 3
