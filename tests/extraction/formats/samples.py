"""One small file of each text format, all saying that Marie Curie was born in Warsaw; and documents at random."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from kexue.extraction.document import Argument, Document, Event, Relation, Span, Unaligned

TEXT = "Marie Curie left Warsaw ."
TOKENS = TEXT.split()

RECORDS = {
    "lic2019": {
        "text": TEXT,
        "spo_list": [
            {
                "subject": "Marie Curie",
                "subject_type": "PER",
                "predicate": "born in",
                "object": {"@value": "Warsaw"},
                "object_type": {"@value": "LOC"},
            }
        ],
    },
    "crossre": {
        "doc_key": "x-1",
        "sentence": TOKENS,
        "ner": [[0, 1, "PER"], [3, 3, "LOC"]],
        "relations": [[0, 1, 3, 3, "born in", "", False, False]],
    },
    "dygie": {
        "doc_key": "x-1",
        "sentences": [TOKENS],
        "ner": [[[0, 1, "PER"], [3, 3, "LOC"]]],
        "relations": [[[0, 1, 3, 3, "born in"]]],
    },
    "spert": {
        "tokens": TOKENS,
        "entities": [{"type": "PER", "start": 0, "end": 2}, {"type": "LOC", "start": 3, "end": 4}],
        "relations": [{"type": "born in", "head": 0, "tail": 1}],
    },
    "token_span": {
        "tokens": TOKENS,
        "entities": [[0, 2, "PER"], [3, 4, "LOC"]],
        "relations": [[0, 2, 3, 4, "born in"]],
    },
    "char_span": {
        "text": TEXT,
        "entities": [[0, 11, "PER"], [17, 23, "LOC"]],
        "spans": [[0, 11, "born in", 17, 23]],
    },
    "triples": {"text": TEXT, "triple_list": [["Marie Curie", "born in", "Warsaw"]]},
    "native": {
        "text": TEXT,
        "entities": [{"start": 0, "end": 11, "label": "PER"}, {"start": 17, "end": 23, "label": "LOC"}],
        "relations": [
            {
                "subject": {"start": 0, "end": 11, "label": "PER"},
                "predicate": "born in",
                "object": {"start": 17, "end": 23, "label": "LOC"},
            }
        ],
    },
}
CONLL = "Marie\tB-PER\nCurie\tI-PER\nleft\tO\nWarsaw\tB-LOC\n.\tO\n"
OTHERS = {
    "label_studio": {
        "data": {"text": TEXT},
        "annotations": [
            {
                "result": [
                    {
                        "id": "a",
                        "type": "labels",
                        "from_name": "label",
                        "to_name": "text",
                        "value": {"start": 0, "end": 11, "text": "Marie Curie", "labels": ["PER"]},
                    }
                ]
            }
        ],
    },
    "doccano": {"text": TEXT, "label": [[0, 11, "PER"]]},
    "duee": {
        "text": TEXT,
        "event_list": [
            {
                "event_type": "move",
                "trigger": "left",
                "trigger_start_index": 12,
                "arguments": [{"role": "who", "argument": "Marie Curie", "argument_start_index": 0}],
            }
        ],
    },
    "phee": {
        "context": TEXT,
        "annotations": [
            {
                "events": [
                    {
                        "event_type": "move",
                        "Trigger": {"text": [["left"]], "start": [[12]]},
                        "Who": {
                            "text": [["Marie Curie"]],
                            "start": [[0]],
                            "Name": {"text": [["Marie", "."]], "start": [[0, 24]]},
                        },
                    }
                ]
            }
        ],
    },
    "cluener": {"text": TEXT, "label": {"PER": {"Marie Curie": [[0, 10]]}}},
}
PERSON, PLACE = Span(0, 11, "PER"), Span(17, 23, "LOC")
BORN = Relation(PERSON, "born in", PLACE)


def write_lines(path: Path, *records: object) -> Path:
    """A file with one JSON value per line."""
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def write_sample(name: str, folder: Path) -> Path:
    """A file of this format."""
    if name == "conll":
        path = folder / "sample.txt"
        path.write_text(CONLL, encoding="utf-8")
        return path
    return write_lines(folder / "sample.json", (RECORDS | OTHERS)[name])


# Pieces that break readers which count bytes, UTF-16 units, normalised text or universal line ends.
_PIECES = [
    "a",
    "Curie",
    "e\u0301",
    "😀",
    "👩\u200d🔬",
    "鲁迅",
    "，",
    "ｱ",
    "\r\n",
    "\t",
    " ",
    "\u2028",
    "\x85",
    '"',
    ",",
    "שלום",
]
_LABELS = st.sampled_from(["PER", "地点", "a b"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document with everything that the native format holds."""
    text = "".join(draw(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12)))

    def span() -> Span:
        start = draw(st.integers(0, len(text) - 1))
        return Span(start, draw(st.integers(start + 1, len(text))), draw(_LABELS))

    def some(make: object) -> list:
        return [make() for _ in range(draw(st.integers(0, 3)))]

    return Document(
        text,
        entities=some(span),
        relations=some(lambda: Relation(span(), draw(_LABELS), span())),
        events=some(lambda: Event(draw(_LABELS), tuple(some(lambda: Argument(draw(_LABELS), span()))))),
        id=draw(st.none() | st.sampled_from(["7", "文/1"])),
        meta=draw(st.sampled_from([{}, {"source": "x", "n": [1, None]}])),
        unaligned=some(lambda: Unaligned("relation", draw(_LABELS), ("x", "y"), "not in the text")),
    )


@st.composite
def token_lists(draw: st.DrawFn) -> list[str]:
    """Tokens in several scripts, without white space inside."""
    pieces = [piece for piece in _PIECES if not any(map(str.isspace, piece))]
    return draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=10))


@st.composite
def token_spans(draw: st.DrawFn, num_tokens: int) -> list[tuple[int, int, str]]:
    """Distinct (start, end, label) in tokens, end exclusive."""
    found = {}
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, num_tokens - 1))
        found[start, draw(st.integers(start + 1, num_tokens))] = draw(_LABELS)
    return [(start, end, label) for (start, end), label in found.items()]
