"""Documents that state given facts, and the graph that they make, merged by plain counting."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kexue.extraction.document import Document, Relation, Span
from kexue.integrations.graph import GraphDatabase, entity_key, to_source
from kexue.integrations.graph.statements import Source

End = tuple[str, str]  # name, type
Stated = tuple[End, str, End, float | None]

HOSTILE = (
    "x'}) MATCH (n) DETACH DELETE n //",
    '"}) DETACH DELETE n; $rows',
    "`Entity` \\u0041 \\",
    "<script>alert(1)</script> & ]]> &amp; <!--",
    '" . <http://evil/> <http://evil/> <http://evil/> . \\"',
    "'''\"\"\" \\n \\",
    "nul\x00 bell\x07 escape\x1b form\x0c",
    "line\nbreak\r\nreturn\rtab\t",
    "\u2028\u2029\u0085\ufeff\u202e",
    "\ufffe\uffff",
    "half \ud800 pair",
    "http://evil/> <b",
    "../../etc/passwd?a=b#c%41",
    "😀 喜悦 ﷽ ｆｕｌｌ",
)


def document(identity: str | None, *stated: Stated) -> Document:
    """A text of one sentence for each fact, with its mentions where they stand."""
    text, relations = "", []
    for (subject, kind), predicate, (object, other), score in stated:
        first = Span(len(text), len(text) + len(subject), kind)
        text += f"{subject} then "
        second = Span(len(text), len(text) + len(object), other)
        text += f"{object}. "
        relations.append(Relation(first, predicate, second, score))
    return Document(text or "Nothing.", relations=relations, id=identity)


def sources(*documents: Document) -> list[Source]:
    return [to_source(it) for it in documents]


def write(path: Path, *documents: Document) -> Path:
    path.write_text("".join(json.dumps(it.to_json()) + "\n" for it in documents), "utf-8")
    return path


def merged(
    documents: Iterable[Document], key: Any = entity_key
) -> dict[tuple[str, str, str], tuple[float | None, int]]:
    """(highest score, number of places) of each fact, where a document with the same id is given once."""
    facts: dict[tuple[str, str, str], list[float | None]] = defaultdict(list)
    for it in documents:
        for relation in it.relations:
            ends = [key(span.surface(it.text), span.label) for span in (relation.subject, relation.object)]
            facts[ends[0], relation.predicate, ends[1]].append(relation.score)
    return {fact: (_highest(scores), len(scores)) for fact, scores in facts.items()}


def _highest(scores: Sequence[float | None]) -> float | None:
    return max((score for score in scores if score is not None), default=None)


def facts(graph: GraphDatabase) -> dict[tuple[str, str, str], tuple[float | None, int]]:
    """The same, as the graph has it."""
    rows = graph.run("MATCH (s:Entity)-[f:FACT]->(o:Entity) RETURN s.key, f.predicate, o.key, f.score, f.statements")
    found = {(subject, predicate, object): (score, count) for subject, predicate, object, score, count in rows}
    assert len(found) == len(rows), "a fact is there twice"
    return found


def everything(graph: GraphDatabase) -> dict[str, list[list[Any]]]:
    """All that a graph holds, in an order that does not depend on how it came there."""
    queries = {
        "entities": "MATCH (e:Entity) RETURN e.key, e.folded, e.type",
        "facts": "MATCH (s)-[f:FACT]->(o) RETURN s.key, f.predicate, o.key, f.score, f.statements",
        "statements": "MATCH (t:Statement)-[:STATED_IN]->(d), (t)-[:SUBJECT]->(s), (t)-[:OBJECT]->(o) "
        "RETURN t.id, t.predicate, t.score, t.text, t.subject, t.subject_start, t.subject_end, t.object, "
        "t.object_start, t.object_end, d.id, s.key, o.key",
        "lonely": "MATCH (t:Statement) RETURN t.id",
        "documents": "MATCH (d:Document) RETURN d.id, d.text_digest",
    }
    return {name: sorted(graph.run(query), key=repr) for name, query in queries.items()}
