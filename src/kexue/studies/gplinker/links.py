"""The rule for triples, given every right score: what it finds, with the links of ends and without.

Recall is always 1, as every triple sets its own four scores. Precision is not: where spans share a start (or an end)
the links cannot tell which start belongs to which end.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kexue.data import demo_path
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

Place = tuple[int, int]
Triple = tuple[str, Place, Place]
RULES = ("starts and ends", "starts only")


def decode(gold: Iterable[Triple], *, ends: bool) -> set[Triple]:
    """All triples whose subject, object and links (of starts, and of ends where wanted) are labelled."""
    gold = set(gold)
    subjects, objects = {subject for _, subject, _ in gold}, {object_ for _, _, object_ in gold}
    starts = {(predicate, subject[0], object_[0]) for predicate, subject, object_ in gold}
    last = {(predicate, subject[1], object_[1]) for predicate, subject, object_ in gold}
    return {
        (predicate, subject, object_)
        for predicate in {predicate for predicate, _, _ in gold}
        for subject in subjects
        for object_ in objects
        if (predicate, subject[0], object_[0]) in starts and (not ends or (predicate, subject[1], object_[1]) in last)
    }


def measure(lab: Lab) -> Any:
    """Precision and share of exact texts by data and rule."""
    num = lab.pick(50, 2000)
    chance = random.Random(lab.seed)
    texts = {
        "30 tokens, 10 triples, 5 predicates, nested": [_random(chance, 30, 10, 5, nested=True) for _ in range(num)],
        "10 tokens, 10 triples, 1 predicate, nested": [_random(chance, 10, 10, 1, nested=True) for _ in range(num)],
        "30 tokens, 10 triples, 5 predicates, flat": [_random(chance, 30, 10, 5, nested=False) for _ in range(num)],
    }
    texts |= {name: [_triples(document) for document in documents] for name, documents in _documents(lab).items()}
    return {name: _row([some for some in found if some]) for name, found in texts.items()}


def _documents(lab: Lab) -> dict[str, list[Document]]:
    names = {"PHEE": demo_path("phee", "train"), "CNShipNet": demo_path("cnshipnet", "train")}
    folder = lab.options.data.get("conll04")
    if folder is not None:
        names["CoNLL04"] = Path(folder) / "conll04_train.json"
    return {name: read_documents(path).documents[: lab.pick(50, None)] for name, path in names.items()}


def _triples(document: Document) -> set[Triple]:
    return {
        (
            fact.predicate,
            (fact.subject.start, fact.subject.end - 1),
            (fact.object.start, fact.object.end - 1),
        )
        for fact in document.relations
    }


def _random(chance: random.Random, length: int, num: int, predicates: int, *, nested: bool) -> set[Triple]:
    """Triples of spans of up to four tokens; flat ones do not overlap."""
    if nested:
        starts = range(length)
        spans = [(start, min(length - 1, start + chance.randrange(4))) for start in starts for _ in range(4)]
    else:
        spans, start = [], 0
        while start < length:
            end = min(length - 1, start + chance.randrange(4))
            spans.append((start, end))
            start = end + 1
    return {(str(chance.randrange(predicates)), chance.choice(spans), chance.choice(spans)) for _ in range(num)}


def _row(texts: list[set[Triple]]) -> dict[str, Any]:
    row: dict[str, Any] = {"texts": len(texts), "triples": sum(map(len, texts))}
    for rule in RULES:
        found = [decode(gold, ends=rule == RULES[0]) for gold in texts]
        right = sum(len(gold & some) for gold, some in zip(texts, found, strict=True))
        row[rule] = {
            "precision": right / sum(map(len, found)),
            "recall": right / row["triples"],
            "exact": sum(gold == some for gold, some in zip(texts, found, strict=True)) / len(texts),
        }
    return row


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each data set."""
    page.heading("The rule, given the right scores")
    page.text(
        """Gold triples are turned into the labels of the heads and decoded again: precision of the triples and the
        share of texts that come back exactly, with the links of starts and ends and with those of starts alone.
        Subjects and objects are given. At random: spans of up to four tokens, anywhere (nested) or side by side
        (flat)."""
    )
    page.table(
        ["data", "texts", "triples", *(f"{rule}: {what}" for rule in RULES for what in ("precision", "exact"))],
        [
            [
                name,
                f"{row['texts']:,}",
                f"{row['triples']:,}",
                *(f"{row[rule][what]:.2%}" for rule in RULES for what in ("precision", "exact")),
            ]
            for name, row in result.items()
        ],
    )
    recall = min(row[rule]["recall"] for row in result.values() for rule in RULES)
    flat = result["30 tokens, 10 triples, 5 predicates, flat"]
    real = {name: row for name, row in result.items() if "tokens" not in name}
    worst = min(real, key=lambda name: real[name][RULES[0]]["exact"])
    return [
        judge("Nothing that is labelled is lost by the four terms", recall == 1, f"recall {recall:.0%} everywhere"),
        judge(
            "The four terms say which triples there are",
            all(row[RULES[0]]["exact"] == 1 for row in result.values()),
            "not always: spans that share starts and ends can be joined crosswise. On real text "
            + ", ".join(f"{row[RULES[0]]['exact']:.2%} of {name}" for name, row in real.items())
            + f" come back exactly (least: {worst}); with ten triples of one predicate on ten tokens "
            f"{result['10 tokens, 10 triples, 1 predicate, nested'][RULES[0]]['exact']:.0%}",
            partly=min(row[RULES[0]]["exact"] for row in real.values()) > 0.9,
        ),
        judge(
            "Without nested spans the links of starts would do",
            flat[RULES[1]]["exact"] == 1,
            f"flat spans: {flat[RULES[1]]['exact']:.0%} exact; on real text precision falls from "
            + ", ".join(
                f"{row[RULES[0]]['precision']:.2%} to {row[RULES[1]]['precision']:.2%} ({name})"
                for name, row in real.items()
            ),
        ),
    ]
