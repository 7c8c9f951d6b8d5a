"""Label Studio: tasks of its JSON export, and pre-annotations that it imports.

    [{"id": 1, "data": {"text": "..."},
      "annotations": [{"id": 8, "was_cancelled": false, "result": [
          {"id": "a", "type": "labels", "from_name": "label", "to_name": "text",
           "value": {"start": 0, "end": 7, "text": "Aspirin", "labels": ["drug"]}},
          {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["causes"]}]}]}]

"completions" of versions before 1.0 are annotations. Of several annotations the first that was not cancelled
is taken; of a task with none, the first of "predictions". A task that nobody annotated, or that all
cancelled, is read as a text without annotation, with `meta["annotated"] = False`; so is a task of `kexue suggest`
that has predictions only (data "pre_annotated"), or a model would be trained on what it said itself. Results of other
kinds (choices, ratings, ...) stay in `meta["results"]`. A relation "left" is turned round, "bi" gives both, one
without a label is called "relation".

Offsets count characters since version 1.5 and counted UTF-16 code units before (issues 1008, 1347; pull
request 1559), with CR LF as two; the reader takes the counting under which the surfaces in the file agree
with the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from kexue.errors import DataError
from kexue.extraction.document import Document, Span, read_score
from kexue.extraction.formats.offsets import Mark, choose, code_points, utf16_units
from kexue.extraction.formats.records import field, named, optional, strings
from kexue.extraction.formats.source import Sample, read_records
from kexue.extraction.formats.standoff import UNTYPED, End, mentions, numbered, place, relate
from kexue.files import atomic_write

_MODEL = "kexue"
_UNLABELLED = "relation"


@dataclass(frozen=True)
class Names:
    """What a project's interface calls the tag that holds the labels, and the text."""

    labels: str = "label"
    text: str = "text"


def detect(sample: Sample) -> bool:
    """Whether the first record is a task: "data" and annotations, completions or predictions."""
    record = sample.record
    return (
        isinstance(record, Mapping)
        and isinstance(record.get("data"), Mapping)
        and any(key in record for key in ("annotations", "completions", "predictions"))
    )


def read(path: Path) -> Iterator[Document]:
    """Documents of an export, one a task; a span whose surface the text does not show is kept as unaligned.

    Raises `DataError` with path and line for a task of another shape.
    """
    for line, task in read_records(path):
        try:
            document = named(_document(task))
        except DataError as error:
            raise DataError(str(error), path=path, line=line) from None
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise DataError(
                f"is not a Label Studio task ({type(error).__name__}: {error}); "
                "export the project as JSON, not JSON-MIN",
                path=path,
                line=line,
            ) from None
        yield document


def write(documents: Iterable[Document], path: Path) -> None:
    """Write tasks with predictions, to be imported into a project with the interface of `labeling_config`.

    A span without a label is called "entity". Label Studio has no discontinuous spans, so that the outer ends
    are written, and no events: these, gold without a place, the id and `meta` travel in the task's data,
    which an export gives back. The score of a task is that of its least certain span or relation, so that it
    can be sorted by it.
    """
    write_tasks(map(make_task, documents), path)


def write_tasks(tasks: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write tasks as one JSON array, a task a line, whole or not at all."""
    with atomic_write(path) as file:
        opening = "[\n"
        for task in tasks:
            file.write(opening + json.dumps(task, ensure_ascii=False))
            opening = ",\n"
        file.write("[]\n" if opening == "[\n" else "\n]\n")


def labeling_config(labels: Iterable[str], predicates: Iterable[str]) -> str:
    """The labelling interface (XML) of a project that holds what `write` writes."""
    return "\n".join(
        [
            "<View>",
            '  <Labels name="label" toName="text">',
            *(f"    <Label value={quoteattr(label or UNTYPED)}/>" for label in labels),
            "  </Labels>",
            "  <Relations>",
            *(f"    <Relation value={quoteattr(predicate)}/>" for predicate in predicates),
            "  </Relations>",
            '  <Text name="text" value="$text"/>',
            "</View>",
        ]
    )


def _document(task: Any) -> Document:
    data = task["data"]
    kept = {key: data[key] for key in ("events", "unaligned", "meta") if data.get(key)}
    document = Document.from_json({"text": _text(data), **kept})
    identity = data.get("id", task.get("id"))
    document.id = None if identity is None else str(identity)
    chosen = _chosen(task)
    if chosen is None:
        document.meta["annotated"] = False
        return document
    results = chosen["result"]
    ends = _read_spans(document, [item for item in results if "labels" in item.get("value", ())])
    for item in results:
        if item["type"] == "relation":
            _read_relation(document, item, ends)
    others = [item for item in results if item["type"] != "relation" and "labels" not in item["value"]]
    if others:
        document.meta["results"] = others
    return document


def _text(data: Mapping[str, Any]) -> str:
    """The field "text", or the only field that is a string."""
    strings = [value for value in data.values() if isinstance(value, str)]
    text = data.get("text", strings[0] if len(strings) == 1 else None)
    if not isinstance(text, str):
        raise DataError(f'the task\'s data must hold its text as "text"; it has {sorted(data)}')
    return text


def _chosen(task: Mapping[str, Any]) -> Any:
    annotations = task.get("annotations") or task.get("completions") or []
    done = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    open_to_all = not annotations and not task["data"].get("pre_annotated")
    return next(iter(done or (task.get("predictions") or [] if open_to_all else [])), None)


def _read_spans(document: Document, items: Sequence[Mapping[str, Any]]) -> dict[str, End]:
    """Append the spans, one for each label of a region; what relations refer to is a region's first."""
    if any("startOffset" in item["value"] for item in items):
        raise DataError("offsets into HTML cannot be placed in the text; label with a Text tag, not HyperText")
    marks = [_mark(item["value"]) for item in items]
    places = choose(document.text, marks, (code_points, utf16_units))
    ends: dict[str, End] = {}
    for item, mark in zip(items, marks, strict=True):
        for label in reversed(_labels(item["value"]) or [""]):
            ends[item["id"]] = place(document, label, mark, places, read_score(item))
    return ends


def _mark(value: Mapping[str, Any]) -> Mark:
    surface = optional(value, "text", str, "", "a region")
    start, end = field(value, "start", int, "a region"), field(value, "end", int, "a region")
    return Mark(start, end, surface if value.get("text") is not None else None)


def _labels(holder: Mapping[str, Any]) -> list[str]:
    return strings(optional(holder, "labels", list, []), "'labels'")


def _read_relation(document: Document, item: Mapping[str, Any], ends: Mapping[str, End]) -> None:
    direction = item.get("direction", "right")
    first, second = ends[item["from_id"]], ends[item["to_id"]]
    for predicate in _labels(item) or [_UNLABELLED]:
        if direction != "left":
            relate(document, first, predicate, second, read_score(item))
        if direction != "right":
            relate(document, second, predicate, first, read_score(item))


def make_task(document: Document, *, score: float | None = None, **data: Any) -> dict[str, Any]:
    """A task whose prediction is what the document says; `data` is shown and exported beside the text."""
    full = document.to_json()
    kept = {key: full[key] for key in ("id", "text", "events", "unaligned", "meta") if key in full}
    return {"data": kept | data, "predictions": [make_prediction(document, score=score)]}


def make_prediction(
    document: Document, *, names: Names = Names(), version: str = _MODEL, score: float | None = None
) -> dict[str, Any]:
    """A prediction, scored as its least certain fact where no score is given."""
    spans = mentions(document)
    ids = numbered(spans)
    result = [_region(document.text, span, number, names) for number, span in enumerate(spans, start=1)]
    result += [
        {
            "type": "relation",
            "from_id": f"s{ids[relation.subject]}",
            "to_id": f"s{ids[relation.object]}",
            "direction": "right",
            "labels": [relation.predicate],
            **_score(relation.score),
        }
        for relation in document.relations
    ]
    if score is None:
        scores = [span.score for span in spans] + [relation.score for relation in document.relations]
        score = min((each for each in scores if each is not None), default=None)
    return {"model_version": version, **_score(score), "result": result}


def _region(text: str, span: Span, number: int, names: Names) -> dict[str, Any]:
    value = {"start": span.start, "end": span.end, "text": text[span.start : span.end]}
    return {
        "id": f"s{number}",
        "type": "labels",
        "from_name": names.labels,
        "to_name": names.text,
        "value": value | {"labels": [span.label or UNTYPED]},
        **_score(span.score),
    }


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": round(score, 4)}
