"""Statements into a graph, batch by batch, each written whole or not at all, and any number of times over.

A statement has the same id in every run, so it is kept once. A document whose content is there already costs one
look-up; one that says something else than before is merged with what is there, or takes its place if asked to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kexue.errors import DataError
from kexue.integrations.graph.database import GraphDatabase
from kexue.integrations.graph.keys import normalise
from kexue.integrations.graph.statements import Mention, Source, Statement

BATCH = 2000  # statements or documents that are written together
Fact = tuple[str, str, str]
"""Key of the subject, predicate, key of the object."""

_KNOWN = "UNWIND $ids AS id MATCH (d:Document {id: id}) RETURN d.id, d.text_digest, d.content_digest, d.loaded_by"
_ENTITIES = (
    "UNWIND $rows AS r MERGE (e:Entity {key: r.key}) "
    "ON CREATE SET e.name = r.name, e.folded = r.folded, e.type = r.type"
)
_DOCUMENTS = (
    "UNWIND $rows AS r MERGE (d:Document {id: r.id}) "
    "SET d.text_digest = r.text_digest, d.content_digest = r.content_digest, d.loaded_by = $run"
)
_STATEMENTS = (
    "UNWIND $rows AS r "
    "MATCH (s:Entity {key: r.subject_key}), (o:Entity {key: r.object_key}), (d:Document {id: r.document}) "
    "CREATE (t:Statement {id: r.id, predicate: r.predicate, score: CAST(r.score AS DOUBLE), text: r.text, "
    "subject: r.subject, subject_start: r.subject_start, subject_end: r.subject_end, "
    "object: r.object, object_start: r.object_start, object_end: r.object_end}), "
    "(t)-[:SUBJECT]->(s), (t)-[:OBJECT]->(o), (t)-[:STATED_IN]->(d)"
)
# A batch holds each fact once: what ON CREATE has set is not seen by an ON MATCH of the same query.
_FACTS = (
    "UNWIND $rows AS r MATCH (s:Entity {key: r.subject}), (o:Entity {key: r.object}) "
    "MERGE (s)-[f:FACT {predicate: r.predicate}]->(o) "
    "ON CREATE SET f.score = CAST(r.score AS DOUBLE), f.statements = r.statements, f.statement = r.statement "
    "ON MATCH SET "
    "f.statement = CASE WHEN CAST(r.score AS DOUBLE) > coalesce(f.score, -1.0) THEN r.statement ELSE f.statement END, "
    "f.score = CASE WHEN CAST(r.score AS DOUBLE) > coalesce(f.score, -1.0) THEN CAST(r.score AS DOUBLE) ELSE f.score END, "
    "f.statements = f.statements + r.statements"
)
_STATED = (
    "UNWIND $ids AS id MATCH (s:Entity)<-[:SUBJECT]-(t:Statement {id: id})-[:OBJECT]->(o:Entity) "
    "RETURN id, t.score, s.key, t.predicate, o.key"
)
_STATED_BY = (
    "UNWIND $ids AS id "
    "MATCH (d:Document {id: id})<-[:STATED_IN]-(t:Statement)-[:SUBJECT]->(s:Entity), (t)-[:OBJECT]->(o:Entity) "
    "RETURN t.id, t.score, s.key, t.predicate, o.key"
)
_FORGET = "UNWIND $ids AS id MATCH (t:Statement {id: id}) DETACH DELETE t"
_REMAINING = (
    "UNWIND $rows AS r "
    "MATCH (s:Entity {key: r.subject})<-[:SUBJECT]-(t:Statement)-[:OBJECT]->(o:Entity {key: r.object}) "
    "WHERE t.predicate = r.predicate RETURN r.subject, r.predicate, r.object, t.id, t.score"
)
_DROP = (
    "UNWIND $rows AS r MATCH (s:Entity {key: r.subject})-[f:FACT]->(o:Entity {key: r.object}) "
    "WHERE f.predicate = r.predicate DELETE f"
)
_MERGE_ANEW = (
    "UNWIND $rows AS r MATCH (s:Entity {key: r.subject})-[f:FACT]->(o:Entity {key: r.object}) "
    "WHERE f.predicate = r.predicate "
    "SET f.score = CAST(r.score AS DOUBLE), f.statements = r.statements, f.statement = r.statement"
)
_ORPHANS = (
    "UNWIND $keys AS key MATCH (e:Entity {key: key}) "
    "WHERE NOT EXISTS { MATCH (e)<-[:SUBJECT|OBJECT]-(:Statement) } DETACH DELETE e"
)


@dataclass
class Loaded:
    """What a load did: documents read, how many of them were new or said something else; statements added, removed."""

    documents: int = 0
    new: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0


def load(graph: GraphDatabase, sources: Iterable[Source], *, replace: bool = False, batch: int = BATCH) -> Loaded:
    """Merge what documents state into a graph; `replace` forgets what the same documents stated before.

    Raises `DataError` if two texts have one document id: within these sources always, with an earlier load unless
    `replace`. Then, and if the process is killed, the batches before are in the graph; the same call continues.
    """
    run, done = uuid.uuid4().hex, Loaded()
    with graph.loading():
        for part in _batches(sources, batch):
            with graph.transaction():
                _load_batch(graph, part, run, replace, done)
    return done


def _batches(sources: Iterable[Source], size: int) -> Iterator[list[Source]]:
    """Sources in batches of about `size` statements, in none of which a document comes twice."""
    part: dict[str, Source] = {}
    count = 0
    for source in sources:
        if part and (source.id in part or count + len(source.statements) > size or len(part) >= size):
            yield list(part.values())
            part, count = {}, 0
        part[source.id] = source
        count += len(source.statements)
    if part:
        yield list(part.values())


def _load_batch(graph: GraphDatabase, sources: Sequence[Source], run: str, replace: bool, done: Loaded) -> None:
    known = {row[0]: _Known(*row[1:]) for row in graph.run(_KNOWN, ids=[source.id for source in sources])}
    new = [source for source in sources if source.id not in known]
    changed, replaced = [], []
    for source in sources:
        before = known.get(source.id)
        if before is None or before.content_digest == source.content_digest:
            continue
        if before.text_digest != source.text_digest and (not replace or before.loaded_by == run):
            raise _same_id(source, here=before.loaded_by == run)
        (replaced if replace and before.loaded_by != run else changed).append(source)
    stated = _stated(graph, changed, replaced)
    wanted = {it.id: (source, it) for source in changed + replaced for it in source.statements}
    kept = {
        id for id, before in stated.items() if id in wanted and before == (wanted[id][1].score, _fact(wanted[id][1]))
    }
    forgotten = sorted(stated.keys() - kept)
    added = [(source, it) for source in new for it in source.statements]
    added += [pair for id, pair in wanted.items() if id not in kept]
    if forgotten:
        graph.run(_FORGET, ids=forgotten)
    _write_documents(graph, new + replaced, changed, run)
    _write_statements(graph, added)
    _settle(graph, {stated[id][1] for id in forgotten})
    done.documents += len(sources)
    done.new += len(new)
    done.changed += len(changed) + len(replaced)
    done.added += len(added)
    done.removed += len(forgotten)


@dataclass(frozen=True, slots=True)
class _Known:
    """A document that is in the graph. `content_digest` is empty where several versions of it were merged."""

    text_digest: str
    content_digest: str
    loaded_by: str


def _same_id(source: Source, *, here: bool) -> DataError:
    message = f"the document id {source.id!r} was given to another text before; "
    remedy = "give each document an id of its own"
    return DataError(
        f"{source.place + ': ' if source.place else ''}{message}{remedy}"
        + ("" if here else ", or --replace the old one")
    )


def _stated(
    graph: GraphDatabase, changed: Sequence[Source], replaced: Sequence[Source]
) -> dict[str, tuple[float | None, Fact]]:
    """Score and fact of the statements that are there: all of replaced documents, of changed ones those that come again."""
    again = [it.id for source in changed for it in source.statements]
    rows = graph.run(_STATED, ids=again) if again else []
    rows += graph.run(_STATED_BY, ids=[source.id for source in replaced]) if replaced else []
    return {id: (score, (subject, predicate, object)) for id, score, subject, predicate, object in rows}


def _write_documents(graph: GraphDatabase, whole: Sequence[Source], merged: Sequence[Source], run: str) -> None:
    digests = [(it, it.content_digest) for it in whole] + [(it, "") for it in merged]
    rows = [{"id": it.id, "text_digest": it.text_digest, "content_digest": content} for it, content in digests]
    if rows:
        graph.run(_DOCUMENTS, rows=rows, run=run)


def _write_statements(graph: GraphDatabase, added: Sequence[tuple[Source, Statement]]) -> None:
    if not added:
        return
    entities = {end.entity.key: end.entity for _, it in reversed(added) for end in (it.object, it.subject)}
    names = [
        {"key": it.key, "name": it.name, "folded": normalise(it.name), "type": it.type} for it in entities.values()
    ]
    graph.run(_ENTITIES, rows=names)
    graph.run(_STATEMENTS, rows=[_row(source, it) for source, it in added])
    facts: dict[Fact, list[Statement]] = {}
    for _, it in added:
        facts.setdefault(_fact(it), []).append(it)
    graph.run(_FACTS, rows=[_merged(fact, [(it.score, it.id) for it in its]) for fact, its in facts.items()])


def _settle(graph: GraphDatabase, facts: set[Fact]) -> None:
    """Merge facts anew that have lost statements; those that have none left go, and entities that no text names."""
    if not facts:
        return
    remaining: dict[Fact, list[tuple[float | None, str]]] = {fact: [] for fact in sorted(facts)}
    for subject, predicate, object, id, score in graph.run(_REMAINING, rows=[_named(fact) for fact in remaining]):
        remaining[subject, predicate, object].append((score, id))
    lost = [_named(fact) for fact, its in remaining.items() if not its]
    if lost:
        graph.run(_DROP, rows=lost)
        graph.run(_ORPHANS, keys=sorted({key for row in lost for key in (row["subject"], row["object"])}))
    left = [_merged(fact, its) for fact, its in remaining.items() if its]
    if left:
        graph.run(_MERGE_ANEW, rows=left)


def _fact(statement: Statement) -> Fact:
    return statement.subject.entity.key, statement.predicate, statement.object.entity.key


def _named(fact: Fact) -> dict[str, Any]:
    return dict(zip(("subject", "predicate", "object"), fact, strict=True))


def _merged(fact: Fact, statements: Sequence[tuple[float | None, str]]) -> dict[str, Any]:
    """A fact with the score and the id of its best statement, of equals the first."""
    score, best = max(statements, key=lambda it: -1.0 if it[0] is None else it[0])
    return {**_named(fact), "score": score, "statement": best, "statements": len(statements)}


def _row(source: Source, statement: Statement) -> dict[str, Any]:
    return {
        "id": statement.id,
        "document": source.id,
        "predicate": statement.predicate,
        "score": statement.score,
        "text": statement.text,
        "subject_key": statement.subject.entity.key,
        "object_key": statement.object.entity.key,
        **_place("subject", statement.subject),
        **_place("object", statement.object),
    }


def _place(name: str, mention: Mention) -> dict[str, Any]:
    return {name: mention.entity.name, f"{name}_start": mention.start, f"{name}_end": mention.end}
