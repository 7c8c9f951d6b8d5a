"""Statements into a graph, batch by batch, each written whole or not at all, and any number of times over.

A statement has the same id in every run, so it is kept once. A document whose content is there already costs one
look-up; one that says something else than before is merged with what is there, or takes its place if asked to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kexue.errors import DataError
from kexue.integrations.graph import cypher
from kexue.integrations.graph.database import GraphDatabase
from kexue.integrations.graph.keys import normalise
from kexue.integrations.graph.statements import Mention, Source, Statement

BATCH = 5_000  # statements or documents that are written together
Fact = tuple[str, str, str]
"""Key of the subject, predicate, key of the object."""


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


@dataclass(frozen=True, slots=True)
class _Known:
    """A document that is in the graph. `content_digest` is empty where several versions of it were merged."""

    text_digest: str
    content_digest: str
    loaded_by: str


@dataclass(frozen=True, slots=True)
class _Merged:
    """What a fact has of its statements: the score and the id of the best, of equals the first, and their number."""

    score: float | None
    statement: str
    statements: int = 1

    def with_(self, other: Self) -> _Merged:
        better = other.score is not None and (self.score is None or other.score > self.score)
        best = other if better else self
        return _Merged(best.score, best.statement, self.statements + other.statements)


def _load_batch(graph: GraphDatabase, sources: Sequence[Source], run: str, replace: bool, done: Loaded) -> None:
    known = {row[0]: _Known(*row[1:]) for row in graph.run(cypher.KNOWN, ids=[source.id for source in sources])}
    new = [source for source in sources if source.id not in known]
    other = [it for it in sources if it.id in known and known[it.id].content_digest != it.content_digest]
    for source in other:
        _check_text(source, known[source.id], run, replace)
    replaced = [it for it in other if replace and known[it.id].loaded_by != run]
    changed = [it for it in other if it not in replaced]
    added, removed = _difference(graph, changed, replaced)
    added = [(source, it) for source in new for it in source.statements] + added
    _write_documents(graph, [(it, it.content_digest) for it in new], run, cypher.NEW_DOCUMENTS)
    _write_documents(graph, [(it, it.content_digest) for it in replaced], run, cypher.OLD_DOCUMENTS)
    _write_documents(graph, [(it, "") for it in changed], run, cypher.OLD_DOCUMENTS)
    _drop_statements(graph, removed)
    _add_statements(graph, added)
    done.documents += len(sources)
    done.new += len(new)
    done.changed += len(other)
    done.added += len(added)
    done.removed += len(removed)


def _check_text(source: Source, before: _Known, run: str, replace: bool) -> None:
    if before.text_digest != source.text_digest and (not replace or before.loaded_by == run):
        place = f"{source.place}: " if source.place else ""
        remedy = "give each document an id of its own" + (
            "" if before.loaded_by == run else ", or --replace the old one"
        )
        raise DataError(f"{place}the document id {source.id!r} was given to another text before; {remedy}")


def _difference(
    graph: GraphDatabase, changed: Sequence[Source], replaced: Sequence[Source]
) -> tuple[list[tuple[Source, Statement]], dict[str, Fact]]:
    """What known documents state and is not there, and the statements that have to go, with their facts."""
    wanted = {it.id: (source, it) for source in (*changed, *replaced) for it in source.statements}
    rows = graph.run_if(cypher.STATED, ids=[it.id for source in changed for it in source.statements])
    rows += graph.run_if(cypher.STATED_BY, ids=[source.id for source in replaced])
    there = {id: (score, tuple(fact)) for id, score, *fact in rows}
    kept = {id for id, (_, it) in wanted.items() if there.get(id) == (it.score, _fact(it))}
    added = [pair for id, pair in wanted.items() if id not in kept]
    return added, {id: fact for id, (_, fact) in there.items() if id not in kept}


def _write_documents(graph: GraphDatabase, digests: Sequence[tuple[Source, str]], run: str, query: str) -> None:
    rows = [
        {"id": it.id, "text_digest": it.text_digest, "content_digest": content, "loaded_by": run}
        for it, content in digests
    ]
    graph.run_if(query, rows=rows)


def _add_statements(graph: GraphDatabase, added: Sequence[tuple[Source, Statement]]) -> None:
    entities = {end.entity.key: end.entity for _, it in reversed(added) for end in (it.object, it.subject)}
    there = {row[0] for row in graph.run_if(cypher.ENTITIES, keys=list(entities))}
    names = [it for key, it in entities.items() if key not in there]
    rows = [{"key": it.key, "name": it.name, "folded": normalise(it.name), "type": it.type} for it in names]
    graph.run_if(cypher.NEW_ENTITIES, rows=rows)
    graph.run_if(cypher.NEW_STATEMENTS, rows=[_row(source, it) for source, it in added])
    merged = _merge((_fact(it), _Merged(it.score, it.id)) for _, it in added)
    possible = [fact for fact in merged if fact[0] in there and fact[2] in there]
    old = {(s, p, o): _Merged(*rest) for s, p, o, *rest in graph.run_if(cypher.FACTS, rows=_rows(possible))}
    graph.run_if(cypher.OLD_FACTS, rows=_rows({fact: before.with_(merged[fact]) for fact, before in old.items()}))
    graph.run_if(cypher.NEW_FACTS, rows=_rows({fact: it for fact, it in merged.items() if fact not in old}))


def _drop_statements(graph: GraphDatabase, removed: Mapping[str, Fact]) -> None:
    """Without these statements: their facts are merged anew, or go where none is left, and so do entities."""
    if not removed:
        return
    graph.run(cypher.DROP_STATEMENTS, ids=list(removed))
    facts = sorted(set(removed.values()))
    rows = graph.run(cypher.REMAINING, rows=_rows(facts))
    left = _merge(((s, p, o), _Merged(*rest)) for s, p, o, *rest in rows)
    lost = [fact for fact in facts if fact not in left]
    graph.run_if(cypher.OLD_FACTS, rows=_rows(left))
    graph.run_if(cypher.DROP_FACTS, rows=_rows(lost))
    graph.run_if(cypher.DROP_ENTITIES, keys=sorted({key for subject, _, object in lost for key in (subject, object)}))


def _merge(statements: Iterable[tuple[Fact, _Merged]]) -> dict[Fact, _Merged]:
    facts: dict[Fact, _Merged] = {}
    for fact, it in statements:
        facts[fact] = facts[fact].with_(it) if fact in facts else it
    return facts


def _rows(facts: Mapping[Fact, _Merged] | Sequence[Fact]) -> list[dict[str, Any]]:
    """Facts as parameters, with what they are merged to where that is given."""
    rows = []
    for subject, predicate, object in facts:
        row: dict[str, Any] = {"subject": subject, "predicate": predicate, "object": object}
        if isinstance(facts, Mapping):
            it = facts[subject, predicate, object]
            row |= {"score": it.score, "statement": it.statement, "statements": it.statements}
        rows.append(row)
    return rows


def _fact(statement: Statement) -> Fact:
    return statement.subject.entity.key, statement.predicate, statement.object.entity.key


def _row(source: Source, statement: Statement) -> dict[str, Any]:
    return {
        "id": statement.id,
        "document": source.id,
        "predicate": statement.predicate,
        "score": statement.score,
        "text": statement.text,
        **_end("subject", statement.subject),
        **_end("object", statement.object),
    }


def _end(name: str, mention: Mention) -> dict[str, Any]:
    entity = mention.entity
    return {name: entity.name, f"{name}_start": mention.start, f"{name}_end": mention.end, f"{name}_key": entity.key}
