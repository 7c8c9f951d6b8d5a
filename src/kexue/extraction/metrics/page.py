"""An evaluation as one HTML page: the scores, and every error in its sentence.

The page stands alone: style, program and data are inside, and its content security policy forbids it to load
anything. The texts travel as JSON and are only ever set as text, so nothing in them can become markup. It
draws one screenful at a time, which keeps thousands of documents quick; page.html is its template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from kexue.extraction.document import Document
from kexue.extraction.metrics.evaluation import Evaluation, Part, Score
from kexue.extraction.metrics.page_data import documents_with_errors


def page(evaluation: Evaluation, gold: Sequence[Document], predicted: Sequence[Document]) -> str:
    """The page, to be written as UTF-8; `gold` and `predicted` are those that were evaluated."""
    parts = {
        "summary": _summary(evaluation),
        "scores": _scores(evaluation),
        "labels": _labels(evaluation.relations if evaluation.relations.by_label else evaluation.entities),
        "data": _embedded(documents_with_errors(gold, predicted)),
    }
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    filled = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)
    return filled.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be written


def _embedded(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _summary(evaluation: Evaluation) -> str:
    parts = {"relations": evaluation.relations, "entities": evaluation.entities, "events": evaluation.events}
    figures = [_figure(name, part.headline) for name, part in parts.items() if part is not None]
    return f"<p>{evaluation.num_documents:,} documents</p>" + "".join(figures)


def _figure(name: str, score: Score) -> str:
    counts = score.counts
    interval = "" if score.interval is None else f" <small>({_interval(score)})</small>"
    return (
        f'<div class="figure"><b>{100 * counts.f1:.1f}</b>{interval}<br>F1 of {name}'
        f"<br><small>precision {100 * counts.precision:.1f}, recall {100 * counts.recall:.1f}</small></div>"
    )


def _scores(evaluation: Evaluation) -> str:
    parts = {"relations": evaluation.relations, "entities": evaluation.entities, "events": evaluation.events}
    return _table(
        "matching",
        (
            (f"{name}, {matching.replace('_', ' ')}", score)
            for name, part in parts.items()
            if part is not None
            for matching, score in part.matchings.items()
        ),
    )


def _labels(part: Part) -> str:
    return _table("label", sorted(part.by_label.items(), key=lambda item: (-item[1].counts.gold, item[0])))


def _table(first: str, rows: Iterable[tuple[str, Score]]) -> str:
    names = (first, "P", "R", "F1", "95% interval", "right", "predicted", "gold")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f"<tr>{_cells(name, score)}</tr>" for name, score in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(name: str, score: Score) -> str:
    counts = score.counts
    values = [f"{100 * value:.1f}" for value in (counts.precision, counts.recall, counts.f1)]
    values += [_interval(score), *(f"{n:,}" for n in (counts.correct, counts.predicted, counts.gold))]
    cells = "".join(f"<td>{value}</td>" for value in values)
    return f'<th scope="row"><bdi>{escape(name)}</bdi></th>{cells}'


def _interval(score: Score) -> str:
    return "" if score.interval is None else "{:.1f} to {:.1f}".format(*(100 * x for x in score.interval))
