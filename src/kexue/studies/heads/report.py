"""The page: question, what the articles claim, what was measured, verdict, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from kexue.studies.claims import Claim, add_verdicts, judge
from kexue.studies.frame import ask, begin, machines, repeat
from kexue.studies.heads.contenders import ENTITIES, RELATIONS, Contender
from kexue.studies.heads.costs import ALL_PAIRS, Cost
from kexue.studies.heads.runs import Outcome
from kexue.studies.options import StudyOptions
from kexue.studies.page import Page, spread

Outcomes = Mapping[tuple[str, str], Sequence[Outcome]]
CONTROLS = {"relations": "GPLinker", "entities": "GlobalPointer"}
"""Of each kind, what the others are compared with."""
MORE, SAME, FALLS = "more", "the same", "tens of points less"
CLAIMS = (
    ("GPLinker finds more than CasRel", "relations", "GPLinker", "CasRel, su2020", MORE),
    ("Standard and efficient scorers find the same", "relations", "GPLinker, standard", "GPLinker", SAME),
    (
        "Subjects and objects apart or merged make no clear difference",
        "relations",
        "GPLinker, subject and object apart",
        "GPLinker, subject and object merged",
        SAME,
    ),
    (
        "Without positions GlobalPointer loses tens of points",
        "entities",
        "GlobalPointer, standard, without positions",
        "GlobalPointer, standard",
        FALLS,
    ),
    ("On flat entities GlobalPointer equals a CRF", "entities", "GlobalPointer, standard", "CRF", SAME),
)
"""What is claimed, of entities or relations, of which head against which, and how they should differ."""


def write(
    outcomes: Sequence[Outcome],
    costs: Mapping[str, Mapping[str, Cost]],
    options: StudyOptions,
    recipes: Mapping[str, Mapping[str, Any]],
    seconds: float,
) -> Page:
    """The whole page; `costs` and `recipes` are those of each data set."""
    page = begin("Which head?", options)
    _question(page)
    by_data = {data: _by_name([outcome for outcome in outcomes if outcome.data == data]) for data in recipes}
    for data, recipe in recipes.items():
        _relations(page, by_data[data], data, recipe)
        _decoding(page, by_data[data], data)
        _entities(page, by_data[data], data)
    for data, own in costs.items():
        _costs(page, own, data)
    _verdict(page, by_data, costs)
    rest = f"""{seconds / 60:.1f} minutes for what was not there yet, and costs. Trainings:
        {machines(outcomes) or "none yet"}. The study wrote this page from runs.jsonl and the costs beside it."""
    device = next(iter(recipes.values()))["device"]
    repeat(page, "heads", options, device, sorted({run.seed for run in outcomes}) or [options.seed], rest)
    return page


def _by_name(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault((outcome.kind, outcome.contender), []).append(outcome)
    return grouped


def _question(page: Page) -> None:
    ask(
        page,
        """On the same encoder, the same sentences and the same trainer: which head finds the most, and what does it
        cost? What do rotary positions bring, what the query and key of its own that the standard GlobalPointer has for
        every label, what the links of ends, what the telling apart of subjects and objects?""",
        """Su Jianlin, [archives/8888](https://kexue.fm/archives/8888) (2022), on LIC2019 with BERT base: CasRel 82.20,
        GPLinker standard 82.72, efficient 82.68; training 15 % slower than CasRel, decoding nearly twice as fast;
        subjects and objects apart or merged make no clear difference; where no spans are nested the links of starts
        would do. [archives/8373](https://kexue.fm/archives/8373) (2021): without rotary positions GlobalPointer falls
        from 95.5 to 62.6 on the People's Daily; with them it equals a CRF on flat entities and is better on nested
        ones.""",
        claims="What the articles claim",
    )


def _relations(page: Page, outcomes: Outcomes, data: str, recipe: Mapping[str, Any]) -> None:
    page.heading(f"Relations, {data}")
    page.text(
        f"""Micro F1 on the test sentences, mean and standard deviation over the seeds, in percent: boundaries asks for
        the right offsets of both ends and the right predicate, strict for the types of the ends too (where subject and
        object are told apart or merged there are none to get wrong). Interval: 95 % bootstrap over the test sentences,
        mean of its ends over the seeds. Encoder {_encoder(recipe)}, {recipe["epochs"]} epochs at most, batches of
        {recipe["batch_size"]}; the epoch and the thresholds are chosen on dev."""
    )
    page.table(
        ["head", "strict", "interval", "boundaries", "entities", "seeds"],
        [
            [
                contender.name,
                _f1(runs, "strict"),
                _interval(runs),
                _f1(runs, "boundaries"),
                _f1(runs, "entities"),
                str(len(runs)),
            ]
            for contender, runs in _present(RELATIONS, outcomes, "relations")
        ],
    )


def _decoding(page: Page, outcomes: Outcomes, data: str) -> None:
    page.heading(f"Without the links of ends, {data}")
    page.text(
        """The same trained models by the rule that every score is above 0, and by the same rule where the links of ends
        say yes to everything: two spans are then joined where their starts are."""
    )
    page.table(
        ["head", "starts and ends", "starts only"],
        [
            [contender.name, _f1(runs, "starts and ends"), _f1(runs, "starts only")]
            for contender, runs in _present(RELATIONS, outcomes, "relations")
            if "starts only" in runs[0].f1
        ],
    )


def _entities(page: Page, outcomes: Outcomes, data: str) -> None:
    present = _present(ENTITIES, outcomes, "entities")
    if not present:
        return
    page.heading(f"Entities alone, {data}")
    page.text("The types and offsets of the entities of the same sentences; no head sees a relation.")
    page.table(
        ["head", "F1", "interval", "boundaries", "seeds"],
        [
            [contender.name, _f1(runs, "strict"), _interval(runs), _f1(runs, "boundaries"), str(len(runs))]
            for contender, runs in present
        ],
    )


def _costs(page: Page, costs: Mapping[str, Cost], data: str) -> None:
    page.heading(f"Cost, {data}")
    page.text(
        """The head alone, from the hidden states of one batch of training sentences that it has learnt: milliseconds of
        a step (loss and gradient) and of decoding (of the processor where there is no GPU), memory of a step (on a GPU
        its peak above what was there before, elsewhere what is kept for the gradient), weights. Ours makes TPLinker's
        pair vectors some at a time and again for the gradient; with all of them kept it is the published one."""
    )
    page.table(
        ["head", "step, ms", "decoding, ms", "memory, MB", "weights"],
        [
            [name, f"{cost.step:.1f}", f"{cost.decoding:.1f}", f"{cost.memory / 1e6:.1f}", f"{cost.parameters:,}"]
            for name, cost in costs.items()
        ],
    )


def _verdict(page: Page, by_data: Mapping[str, Outcomes], costs: Mapping[str, Mapping[str, Cost]]) -> None:
    add_verdicts(page, [claim for data, outcomes in by_data.items() for claim in judged(data, outcomes)])
    page.text("How much more than ours each head finds, for each seed, in points:")
    for data, outcomes in by_data.items():
        for kind, control in CONTROLS.items():
            _compared(page, outcomes, f"{data}, {kind}", kind, control)
    for data, own in costs.items():
        if {"GPLinker", "CasRel, su2020", "TPLinker"} <= own.keys():
            ours, casrel, tplinker, kept = (own[name] for name in ("GPLinker", "CasRel, su2020", "TPLinker", ALL_PAIRS))
            page.text(
                f"""On {data} a step of CasRel's head takes {casrel.step / ours.step:.1f} times that of GPLinker's, its
                decoding {casrel.decoding / ours.decoding:.1f} times; a step of TPLinker's takes
                {tplinker.step / ours.step:.1f} times and {tplinker.memory / ours.memory:.1f} times the memory, with all
                pair vectors kept {kept.step / ours.step:.1f} and {kept.memory / ours.memory:.1f} times."""
            )


def judged(data: str, outcomes: Outcomes) -> Iterator[Claim]:
    """The claims of the articles, each by the seeds of the two heads that it compares.

    One head finds more than another if it does so with every seed; one seed decides nothing.
    """
    for says, kind, name, than, expected in CLAIMS:
        by_seed = {run.seed: run.f1["boundaries"] for run in outcomes.get((kind, than), ())}
        runs = [run for run in outcomes.get((kind, name), ()) if run.seed in by_seed]
        if not runs:
            continue
        gains = [100 * (run.f1["boundaries"] - by_seed[run.seed]) for run in runs]
        one_sided = min(gains) > 0 or max(gains) < 0
        holds = {
            MORE: mean(gains) > 0,
            SAME: not one_sided or abs(mean(gains)) < 1,
            FALLS: mean(gains) < -10,
        }[expected]
        because = f"{data}, {kind}, {name} less {than}: {', '.join(f'{gain:+.1f}' for gain in gains)}"
        decides = len(gains) > 1 and (one_sided or expected != MORE)
        yield judge(says, holds, because, decides=decides)


def _compared(page: Page, outcomes: Outcomes, title: str, kind: str, control: str) -> None:
    """How every head differs from the control, seed by seed, where both have been measured."""
    base = {run.seed: run.f1["boundaries"] for run in outcomes.get((kind, control), ())}
    rows = []
    for (of, name), runs in outcomes.items():
        gains = [100 * (run.f1["boundaries"] - base[run.seed]) for run in runs if run.seed in base]
        if of == kind and name != control and gains:
            rows.append([name, f"{mean(gains):+.1f}", ", ".join(f"{gain:+.1f}" for gain in gains)])
    if rows:
        page.table([title, f"less {control}, boundaries", "by seed"], rows)


def _present(
    contenders: Sequence[Contender], outcomes: Outcomes, kind: str
) -> list[tuple[Contender, Sequence[Outcome]]]:
    return [(item, outcomes[kind, item.name]) for item in contenders if (kind, item.name) in outcomes]


def _f1(runs: Sequence[Outcome], measure: str) -> str:
    return spread([run.f1[measure] for run in runs], scale=100)


def _interval(runs: Sequence[Outcome]) -> str:
    low, high = (100 * mean(run.interval[end] for run in runs) for end in (0, 1))
    return f"{low:.1f} to {high:.1f}"


def _encoder(recipe: Mapping[str, Any]) -> str:
    return str(recipe["encoder"]).rsplit("/", 1)[-1]
