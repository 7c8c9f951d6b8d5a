"""An entity and the facts around it, as many as a picture can show."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from kexue.errors import OptionError
from kexue.integrations.graph.database import GraphDatabase
from kexue.integrations.graph.keys import normalise

_BY_KEY = "MATCH (e:Entity {key: $name}) RETURN e.key, e.name, e.type"
_BY_NAME = "MATCH (e:Entity) WHERE e.folded = $name RETURN e.key, e.name, e.type ORDER BY e.key"
_BY_MENTION = (
    "MATCH (t:Statement)-[:{end}]->(e:Entity) WHERE lower(t.{property}) = $name "
    "RETURN DISTINCT e.key, e.name, e.type ORDER BY e.key"
)
_LIKE = (
    "MATCH (e:Entity) WITH e.name AS name, min(levenshtein(e.folded, $name)) AS distance "
    "WHERE distance <= $most RETURN name ORDER BY distance, name LIMIT 3"
)
_FACTS = (
    "UNWIND $keys AS key MATCH (e:Entity {{key: key}}){left}[f:FACT]{right}(n:Entity) "
    "MATCH (t:Statement {{id: f.statement}}) "
    "RETURN e.key, e.name, e.type, n.key, n.name, n.type, f.predicate, f.score, f.statements, t.text "
    "ORDER BY f.statements DESC, f.score DESC, f.predicate, n.key LIMIT $limit"
)
_COUNT = "UNWIND $keys AS key MATCH (e:Entity {key: key})-[f:FACT]-(n:Entity) RETURN count(DISTINCT id(f))"


@dataclass(frozen=True, slots=True)
class Node:
    """An entity in the neighbourhood."""

    key: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A fact in it, with the words of its best statement."""

    subject: Node
    predicate: str
    object: Node
    score: float | None
    statements: int
    text: str

    @property
    def fact(self) -> tuple[str, str, str]:
        """What tells it from other facts."""
        return self.subject.key, self.predicate, self.object.key


@dataclass(frozen=True)
class Neighbourhood:
    """An entity and the facts around it; `left_out` are facts of the same entities that there was no room for."""

    center: Node
    edges: list[Edge]
    left_out: int


def find(graph: GraphDatabase, name: str, type: str | None = None) -> Node:
    """The entity with this key or name, or that some text calls so.

    Raises `OptionError` with what there is where none or several fit.
    """
    found = {node.key: node for node in _found(graph, name) if type is None or normalise(node.type) == normalise(type)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        keys = ", ".join(map(repr, found))
        raise OptionError(f"several entities are called {name!r}: {keys}; name one of these, or its --type")
    like = [row[0] for row in graph.run(_LIKE, name=normalise(name), most=2 + len(name) // 4)]
    hint = f"; is {' or '.join(map(repr, like))} meant?" if like else ""
    raise OptionError(f"no entity is called {name!r}{'' if type is None else f' and is of type {type!r}'}{hint}")


def _found(graph: GraphDatabase, name: str) -> list[Node]:
    rows = graph.run(_BY_KEY, name=name) or graph.run(_BY_NAME, name=normalise(name))
    for end in () if rows else ("subject", "object"):
        rows += graph.run(_BY_MENTION.format(property=end, end=end.upper()), name=name.lower())
    return [Node(*row) for row in rows]


def neighbourhood(graph: GraphDatabase, center: Node, *, steps: int = 1, limit: int = 24) -> Neighbourhood:
    """The facts within so many steps of an entity: in each step `limit` of them, those with most statements first."""
    edges: dict[tuple[str, str, str], Edge] = {}
    ring, reached = [center.key], [center.key]
    for _ in range(steps):
        most = limit + len(edges)
        found = [*_facts(graph, ring, most, outward=True), *_facts(graph, ring, most, outward=False)]
        fresh = {edge.fact: edge for edge in sorted(found, key=_rank) if edge.fact not in edges}
        taken = dict(islice(fresh.items(), limit))
        edges |= taken
        ends = dict.fromkeys(node.key for edge in taken.values() for node in (edge.subject, edge.object))
        ring = [key for key in ends if key not in reached]
        reached += ring
    expanded = [key for key in reached if key not in ring]
    return Neighbourhood(center, list(edges.values()), graph.run(_COUNT, keys=expanded)[0][0] - len(edges))


def _facts(graph: GraphDatabase, keys: list[str], limit: int, *, outward: bool) -> list[Edge]:
    query = _FACTS.format(left="-" if outward else "<-", right="->" if outward else "-")
    edges = []
    for row in graph.run(query, keys=keys, limit=limit) if keys else ():
        here, there = Node(*row[:3]), Node(*row[3:6])
        subject, object = (here, there) if outward else (there, here)
        edges.append(Edge(subject, row[6], object, *row[7:]))
    return edges


def _rank(edge: Edge) -> tuple[float, ...]:
    return -edge.statements, -(edge.score or 0)
