"""The study of the heads: its parts measure what they say, and the whole writes its page and goes on where it was."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch

from kexue.extraction.decoding import Bounds
from kexue.extraction.heads import HEADS
from kexue.extraction.tasks import EVENTS
from kexue.pipelines.extractor import Extractor
from kexue.studies import StudyOptions, annotated, heads, run_study
from kexue.studies.claims import FAILS, HOLDS, OPEN
from kexue.studies.heads.contenders import ENTITIES, RELATIONS
from kexue.studies.heads.data import MERGED, ROLES, TYPED, prepare
from kexue.studies.heads.report import judged
from kexue.studies.heads.runs import Outcome, by_rule, without_ends
from kexue.training.extraction.recipe import ExtractionRecipe
from tests.extraction.tiny import TEXTS, tiny_checkpoint


def test_every_contender_is_a_recipe_and_every_head_for_facts_takes_part():
    for contender in (*RELATIONS, *ENTITIES):
        ExtractionRecipe.from_values({"train": "a", "output": "b"} | dict(contender.recipe))
    used = {contender.recipe.get("head", "gplinker") for contender in (*RELATIONS, *ENTITIES)}
    assert used == {name for name, head in HEADS.items() if head.task is not EVENTS}
    assert len({contender.name for contender in (*RELATIONS, *ENTITIES)}) == len(RELATIONS) + len(ENTITIES)


def test_the_views_differ_in_nothing_but_types(tmp_path: Path):
    sentences = prepare(tmp_path, "phee", annotated.read("phee", StudyOptions(tmp_path), 5))
    typed, roles, merged = (sentences.gold(view) for view in (TYPED, ROLES, MERGED))
    assert len(typed) == 5 and any(span.label == "drug" for document in typed for span in document.entities)
    for one, other, third in zip(typed, roles, merged, strict=True):
        assert one.text == other.text == third.text
        assert [(s.start, s.end) for s in one.entities] == [(s.start, s.end) for s in third.entities]
        assert {s.label for s in other.entities} <= {""} and {s.label for s in third.entities} <= {"entity"}
        assert len(one.relations) == len(other.relations) == len(third.relations)


def found(contender: str, kind: str, *f1: float) -> list[Outcome]:
    """With a seed for each F1."""
    return [
        Outcome("toy", kind, contender, seed, {"boundaries": value}, [0, 1], 1.0, 1, "")
        for seed, value in enumerate(f1)
    ]


@pytest.mark.parametrize(
    ("kind", "name", "than", "f1", "verdict"),
    [
        ("relations", "GPLinker", "CasRel, su2020", (0.6, 0.7), HOLDS),
        ("relations", "GPLinker", "CasRel, su2020", (0.4, 0.3), FAILS),
        ("relations", "GPLinker", "CasRel, su2020", (0.4, 0.7), OPEN),
        ("relations", "GPLinker", "CasRel, su2020", (0.7,), OPEN),
        ("relations", "GPLinker, standard", "GPLinker", (0.51, 0.48), HOLDS),
        ("relations", "GPLinker, standard", "GPLinker", (0.505, 0.504), HOLDS),
        ("relations", "GPLinker, standard", "GPLinker", (0.53, 0.52), FAILS),
        ("entities", "GlobalPointer, standard, without positions", "GlobalPointer, standard", (0.2, 0.3), HOLDS),
        ("entities", "GlobalPointer, standard, without positions", "GlobalPointer, standard", (0.48, 0.49), FAILS),
    ],
)
def test_a_claim_is_judged_by_the_seeds_of_both_heads(kind, name, than, f1, verdict):
    outcomes = {(kind, name): found(name, kind, *f1), (kind, than): found(than, kind, *(0.5,) * len(f1))}
    (claim,) = judged("toy", outcomes)
    assert claim.verdict == verdict
    assert f"toy, {kind}, {name} less {than}: {100 * (f1[0] - 0.5):+.1f}" in claim.because


@torch.inference_mode()
def test_without_the_links_of_ends_two_spans_are_joined_where_their_starts_are():
    extractor = by_rule(Extractor(tiny_checkpoint(), device="cpu"))
    extractor.bounds = Bounds(10**6, 0, 10**6, 0)
    relaxed = without_ends(extractor)
    both, starts = (list(model.candidates(TEXTS)) for model in (extractor, relaxed))
    for strict, loose in zip(both, starts, strict=True):
        assert {tuple(row) for row in strict.candidates.triples.tolist()} <= {
            tuple(row) for row in loose.candidates.triples.tolist()
        }
    assert sum(len(item.candidates.triples) for item in starts) > sum(len(item.candidates.triples) for item in both)
    assert extractor.model.head.ends is not relaxed.model.head.ends


@pytest.mark.slow
def test_a_quick_run_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    few = dataclasses.replace(
        heads.QUICK,
        contenders={"relations": (RELATIONS[0], RELATIONS[3], RELATIONS[5]), "entities": ENTITIES[-1:]},
        most=8,
    )
    monkeypatch.setattr(heads, "QUICK", few)
    page = run_study("heads", StudyOptions(tmp_path, quick=True, say=lambda line: None, device="cpu"))
    text = page.read_text("utf-8")
    for name in ("CasRel", "TPLinker", "GPLinker", "CRF"):
        assert text.count(f"| {name} |") >= 2
    for heading in ("Question", "Relations, phee", "Entities alone, phee", "Cost, phee", "Verdict", "To repeat it"):
        assert f"## {heading}\n" in text
    assert re.search(r"Trainings: \d+ on .*torch", " ".join(text.split()))
    assert not list((tmp_path / "models").iterdir())
