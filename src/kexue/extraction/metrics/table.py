"""An evaluation as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kexue.extraction.metrics.evaluation import Evaluation, Part, Score
from kexue.extraction.metrics.scores import Counts, Macro

MOST_LABELS = 20


def render(evaluation: Evaluation, console: Console) -> None:
    """Print the scores of an evaluation: all matchings, labels by support, and where relations are missed."""
    for table in _tables(evaluation):
        console.print(table)
    bootstrap = evaluation.bootstrap
    note = f"{evaluation.num_documents:,} documents"
    if bootstrap.num_samples:
        note += (
            f"; {bootstrap.confidence:.0%} intervals of F1 from {bootstrap.num_samples:,} resamples of the "
            f"documents, seed {bootstrap.seed}"
        )
    console.print(note, style="dim", highlight=False)


def _tables(evaluation: Evaluation) -> Iterable[Table]:
    yield _scores(evaluation)
    if evaluation.relations.by_label:
        yield _labels("Relations, strict", evaluation.relations)
    if len(evaluation.entities.by_label) > 1:
        yield _labels("Entities, strict", evaluation.entities)
    if evaluation.relations.headline.counts.gold:
        yield _breakdown(evaluation)
        yield _mistakes(evaluation)
        yield _peers(evaluation)


def _scores(evaluation: Evaluation) -> Table:
    table = _table("Scores", "matching")
    parts = {"relations": evaluation.relations, "entities": evaluation.entities, "events": evaluation.events}
    for name, part in parts.items():
        if part is not None and (part.headline.counts.gold or part.headline.counts.predicted):
            for matching, score in part.matchings.items():
                table.add_row(f"{name}, {matching.replace('_', ' ')}", *_row(score))
            table.add_row(f"{name}, macro over {part.macro.num_labels} labels", *_percents(part.macro))
            table.add_section()
    return table


def _labels(title: str, part: Part) -> Table:
    table = _table(title, "label")
    by_support = sorted(part.by_label.items(), key=lambda item: (-item[1].counts.gold, item[0]))
    for label, score in by_support[:MOST_LABELS]:
        table.add_row(escape(label), *_row(score))
    if len(by_support) > MOST_LABELS:
        table.caption = f"the {MOST_LABELS} of most support; {len(by_support) - MOST_LABELS} more in the report"
    return table


def _breakdown(evaluation: Evaluation) -> Table:
    table = _table("Relations, strict: where", "class", interval=False)
    found = evaluation.breakdown
    for title, subsets in (("", found.by_pattern), (" in the gold", found.by_triple_count)):
        for name, subset in subsets.items():
            if subset.num_documents:
                row = f"{name}{title}, {subset.num_documents:,} documents"
                table.add_row(row, *_percents(subset.counts), *_numbers(subset.counts))
        table.add_section()
    for name, counts in found.by_distance.items():
        if counts.gold or counts.predicted:
            row = name if name == "not placed" else f"{name} words apart"
            table.add_row(row, *_percents(counts), *_numbers(counts))
    return table


def _mistakes(evaluation: Evaluation) -> Table:
    table = Table(title="Relations: what went wrong", title_justify="left")
    table.add_column("mistake")
    table.add_column("missed", justify="right")
    table.add_column("spurious", justify="right")
    for kind, counts in evaluation.breakdown.mistakes.items():
        if any(counts.values()):
            table.add_row(kind, f"{counts['missed']:,}", f"{counts['spurious']:,}")
    return table


def _peers(evaluation: Evaluation) -> Table:
    table = _table("Relations as others count them", "scorer", interval=False)
    for name, counts in evaluation.as_peers_count.items():
        table.add_row(name, *_percents(counts), *_numbers(counts))
    return table


def _table(title: str, first: str, *, interval: bool = True) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(first)
    columns = ("P", "R", "F1", *(("interval",) if interval else ()), "right", "predicted", "gold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _row(score: Score) -> tuple[str, ...]:
    interval = "" if score.interval is None else "{:.1f} to {:.1f}".format(*(100 * x for x in score.interval))
    return (*_percents(score.counts), interval, *_numbers(score.counts))


def _percents(scores: Counts | Macro) -> tuple[str, ...]:
    return tuple(f"{100 * value:.1f}" for value in (scores.precision, scores.recall, scores.f1))


def _numbers(counts: Counts) -> tuple[str, ...]:
    return f"{counts.correct:,.10g}", f"{counts.predicted:,}", f"{counts.gold:,}"
