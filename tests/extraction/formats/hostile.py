"""Rich samples of every format, to be damaged; and how many facts a record states, counted without the readers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kexue.extraction.document import Document
from tests.extraction.formats.samples import OTHERS, RECORDS, TEXT, TOKENS
from tests.hostile import damage_bytes, damage_json

RICH: dict[str, list[Any]] = {
    **{name: [record] for name, record in (RECORDS | OTHERS).items()},
    "lic2019": [
        {
            "text": "王宁演过《绝代双骄》里的邀月",
            "spo_list": [
                {
                    "subject": "王宁",
                    "subject_type": "娱乐人物",
                    "predicate": "饰演",
                    "object": {"@value": "邀月", "inWork": "绝代双骄"},
                    "object_type": {"@value": "人物", "inWork": "影视作品"},
                },
                {"subject": "绝代双骄", "predicate": "主演", "object": "王宁", "object_type": "人物"},
                {"subject": "王宁", "predicate": "妻子", "object": "无此人"},
            ],
        }
    ],
    "triples": [
        {"text": TEXT, "triple_list": [["Marie Curie", "born in", "Warsaw"], ["Curie", "left", "nowhere"]]},
        {
            "text": TEXT,
            "relation_list": [
                {
                    "subject": "Marie Curie",
                    "predicate": "born in",
                    "object": "Warsaw",
                    "subj_char_span": [0, 11],
                    "obj_char_span": [17, 23],
                },
                {"subject": "Curie", "predicate": "left", "object": "Warsaw"},
            ],
            "entity_list": [{"text": "Warsaw", "type": "LOC", "char_span": [17, 23]}, {"text": "Curie", "type": "PER"}],
        },
    ],
    "dygie": [
        {
            "doc_key": "x",
            "sentences": [TOKENS, ["She", "studied", "."]],
            "ner": [[[0, 1, "PER"], [3, 3, "LOC"]], []],
            "relations": [[[0, 1, 3, 3, "born in"]], []],
            "events": [[[[2, "Movement"], [0, 1, "Agent"]]], []],
            "clusters": [[[0, 1], [5, 5]]],
        }
    ],
    "spert": [RECORDS["spert"], {"tokens": TOKENS, "tags": ["B-PER", "L-PER", "O", "U-LOC", "O"], "orig_id": 7}],
    "doccano": [
        OTHERS["doccano"],
        {
            "id": 1,
            "text": "😀 " + TEXT,
            "entities": [
                {"id": 3, "label": "PER", "start_offset": 3, "end_offset": 14},
                {"id": 4, "label": "LOC", "start_offset": 20, "end_offset": 26, "entity": "Warsaw"},
            ],
            "relations": [{"id": 5, "from_id": 3, "to_id": 4, "type": "born in"}],
            "Comments": [],
        },
    ],
    "label_studio": [
        {
            "id": 1,
            "data": {"text": TEXT},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [
                        *OTHERS["label_studio"]["annotations"][0]["result"],
                        {
                            "id": "b",
                            "type": "labels",
                            "from_name": "label",
                            "to_name": "text",
                            "value": {"start": 17, "end": 23, "text": "Warsaw", "labels": ["LOC", "CITY"]},
                        },
                        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["born in"]},
                    ],
                }
            ],
        }
    ],
    "native": [
        RECORDS["native"]
        | {
            "id": "7",
            "events": [
                {
                    "type": "move",
                    "arguments": [
                        {"role": "trigger", "start": 12, "end": 16, "text": "left"},
                        {"role": "who", "start": 0, "end": 11, "fragments": [[0, 5], [6, 11]]},
                    ],
                    "score": 0.5,
                }
            ],
            "unaligned": [{"kind": "relation", "label": "born in", "strings": ["x", "y"], "reason": "not there"}],
            "meta": {"a": [1, None]},
        }
    ],
}
TABLES = {
    "conll": (
        "# sent_id = 7\n# text = Marie Curie left Warsaw.\n1\tMarie\tNNP\tB-PER\n2\tCurie\tNNP\tI-PER\n"
        "3\tleft\tVBD\tO\n4\tWarsaw\tNNP\tB-LOC\n5\t.\t.\tO\n\n1\tShe\tPRP\tO\n2\tstudied\tVBD\tO\n"
    ),
}
BRAT_TEXT = "Aspirin 😀 caused\r\na bad rash.\n"
BRAT = (
    "T1\tDrug 0 7\tAspirin\nT2\tEffect 18 19;24 28\ta rash\nT3\tCause 10 16\tcaused\nR1\tCauses Arg1:T1 Arg2:T2\t\n"
    "E1\tCause:T3 Agent:T1 Agent2:T2\n*\tEquiv T1 T2\nA1\tNegation E1\nN1\tReference T1 Drugs:7\taspirin\n"
    "#1\tAnnotatorNotes T1\tsure?\n"
)


def write_damaged(name: str, folder: Path, chance: random.Random) -> Path:
    """A damaged file of a format: by structure where it is JSON, else, or sometimes too, by bytes."""
    if name == "brat":
        text, annotation = BRAT_TEXT.encode(), BRAT.encode()
        if chance.random() < 0.2:
            text = damage_bytes(text, chance)
        (folder / "x.txt").write_bytes(text)
        (folder / "x.ann").write_bytes(damage_bytes(annotation, chance))
        return folder / "x.ann"
    path = folder / "x.json"
    if name in TABLES:
        path.write_bytes(damage_bytes(TABLES[name].encode(), chance))
        return path
    records = [json.dumps(record, ensure_ascii=False) for record in RICH[name] for _ in range(chance.choice([1, 2]))]
    victim = chance.randrange(len(records))
    if chance.random() < 0.75:
        records[victim] = damage_json(json.loads(records[victim]), chance)
    content = f"[{', '.join(records)}]" if chance.random() < 0.2 else "\n".join(records) + "\n"
    encoded = content.encode("utf-8", "surrogatepass")
    path.write_bytes(damage_bytes(encoded, chance) if chance.random() < 0.3 else encoded)
    return path


# --- what a record states ---


def relations_of(document: Document) -> int:
    """Relations read, repeated or not, aligned or not."""
    unaligned = sum(item.kind == "relation" for item in document.unaligned)
    return len(document.relations) + unaligned + document.meta.get("duplicate_relations", 0)


def entities_of(document: Document) -> int:
    """Entities read, aligned or not."""
    return len(document.entities) + sum(item.kind == "entity" for item in document.unaligned)


def events_of(document: Document) -> int:
    """Events read, aligned or not."""
    return len(document.events) + sum(item.kind == "event" for item in document.unaligned)


def _slots(record: dict[str, Any]) -> int:
    return sum(
        1
        if isinstance(fact["object"], str)
        else sum(bool(value) or slot == "@value" for slot, value in fact["object"].items())
        for fact in record["spo_list"]
    )


def _rows(lists: Any) -> int:
    return len([item for part in lists or () for item in part])


def _distinct(rows: Any, width: int) -> int:
    return len({tuple(row[:width]) for row in rows})


def _regions(record: dict[str, Any]) -> list[dict[str, Any]]:
    every = record.get("annotations") or record.get("completions") or []
    done = [each for each in every if not each.get("was_cancelled")] or ([] if every else record.get("predictions"))
    return done[0]["result"] if done else []


def _labels(item: dict[str, Any]) -> int:
    return max(1, len(item["value"]["labels"]))


def _arrows(item: dict[str, Any]) -> int:
    both = item.get("direction", "right") not in ("left", "right")
    return len(item.get("labels") or [""]) * (1 + both)


Count = Callable[[dict[str, Any]], int]
STATED: dict[str, list[tuple[Callable[[Document], int], Count]]] = {
    "lic2019": [(relations_of, _slots)],
    "triples": [
        (relations_of, lambda record: len(record.get("triple_list") or ()) + len(record.get("relation_list") or ())),
    ],
    "crossre": [
        (relations_of, lambda record: len(record.get("relations") or ())),
        (entities_of, lambda record: _distinct(record["ner"], 3)),
    ],
    "token_span": [
        (relations_of, lambda record: len(record.get("relations") or ())),
        (entities_of, lambda record: _distinct(record["entities"], 3)),
    ],
    "char_span": [
        (relations_of, lambda record: len(record["spans"])),
        (entities_of, lambda record: _distinct(record.get("entities") or (), 3)),
    ],
    "dygie": [
        (relations_of, lambda record: _rows(record.get("relations"))),
        (events_of, lambda record: _rows(record.get("events"))),
        (entities_of, lambda record: _distinct([row for part in record.get("ner") or () for row in part], 3)),
    ],
    "spert": [(relations_of, lambda record: len(record.get("relations") or ()))],
    "doccano": [
        (relations_of, lambda record: len(record.get("relations") or ()) + _kept(record, "relation")),
        (
            entities_of,
            lambda record: (
                sum(len(record.get(key) or ()) for key in ("entities", "label", "labels", "annotations"))
                + _kept(record, "entity")
            ),
        ),
    ],
    "duee": [(events_of, lambda record: len(record.get("event_list") or ()))],
    "phee": [(events_of, lambda record: sum(len(annotation["events"]) for annotation in record["annotations"]))],
    "cluener": [
        (
            entities_of,
            lambda record: sum(
                max(1, len(found)) for mentions in record.get("label", {}).values() for found in mentions.values()
            ),
        )
    ],
    "label_studio": [
        (
            entities_of,
            lambda record: (
                sum(_labels(item) for item in _regions(record) if "labels" in item.get("value", ()))
                + _kept(record["data"], "entity")
            ),
        ),
        (
            relations_of,
            lambda record: (
                sum(_arrows(item) for item in _regions(record) if item["type"] == "relation")
                + _kept(record["data"], "relation")
            ),
        ),
    ],
    "native": [
        (relations_of, lambda record: len(record.get("relations") or ()) + _kept(record, "relation")),
        (entities_of, lambda record: len(record.get("entities") or ()) + _kept(record, "entity")),
        (events_of, lambda record: len(record.get("events") or ()) + _kept(record, "event")),
    ],
}


def _kept(record: dict[str, Any], kind: str) -> int:
    """Facts without a place that a record of ours carries along."""
    return sum(item["kind"] == kind for item in record.get("unaligned") or ())
