"""The merged graph as GraphML, for networkx, Gephi, Cytoscape, yEd: entities as nodes, facts as edges.

An edge has the score and the number of statements of its fact, and document, characters and words of the best of them.
Its `weight` is the number of statements, which is what Gephi draws its width by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from xml.sax.saxutils import escape

from kexue.files import atomic_write
from kexue.integrations.graph.database import GraphDatabase
from kexue.integrations.graph.loading import load
from kexue.integrations.graph.statements import Source, digest

PAGE = 20_000  # entities whose facts are in memory together
NODE = {"label": "string", "key": "string", "type": "string"}
EDGE = {
    "label": "string",
    "weight": "double",
    "score": "double",
    "statements": "int",
    "document": "string",
    "text": "string",
    "subject_start": "int",
    "subject_end": "int",
    "object_start": "int",
    "object_end": "int",
}
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_ENTITIES = "MATCH (e:Entity) WHERE e.key > $after RETURN e.key, e.name, e.type ORDER BY e.key LIMIT $page"
_FACTS = (
    "UNWIND $keys AS key MATCH (s:Entity {key: key})-[f:FACT]->(o:Entity) "
    "MATCH (t:Statement {id: f.statement})-[:STATED_IN]->(d:Document) "
    "RETURN s.key, o.key, f.predicate, f.score, f.statements, "
    "d.id, t.text, t.subject_start, t.subject_end, t.object_start, t.object_end "
    "ORDER BY s.key, f.predicate, o.key"
)


def write_graphml(graph: GraphDatabase, path: Path) -> tuple[int, int]:
    """Write all entities and facts; returns how many. The memory does not grow with the graph.

    Characters that XML cannot hold (most control characters) become U+FFFD.
    """
    nodes = edges = 0
    with atomic_write(path) as file:
        file.write(_HEAD)
        for kind, attributes in (("node", NODE), ("edge", EDGE)):
            for name, type in attributes.items():
                file.write(f'<key id="{kind}_{name}" for="{kind}" attr.name="{name}" attr.type="{type}"/>\n')
        file.write('<graph id="kexue" edgedefault="directed">\n')
        for page in _pages(graph):
            nodes += len(page)
            for key, name, kind in page:
                _write(file, "node", {"id": _id(key)}, {"label": name, "key": key, "type": kind})
        for page in _pages(graph):
            for subject, object, predicate, score, statements, *best in graph.run(
                _FACTS, keys=[row[0] for row in page]
            ):
                edges += 1
                values = dict(zip(EDGE, (predicate, statements, score, statements, *best), strict=True))
                ends = {"source": _id(subject), "target": _id(object)}
                _write(file, "edge", {"id": f"e{digest(repr((subject, predicate, object)))}", **ends}, values)
        file.write("</graph>\n</graphml>\n")
    return nodes, edges


def export_graphml(sources: Iterable[Source], path: Path) -> tuple[int, int]:
    """Write what documents state, merged in a database that is thrown away; returns how many entities and facts."""
    with TemporaryDirectory(prefix="kexue-graph-") as folder, GraphDatabase(folder, writable=True) as graph:
        load(graph, sources)
        return write_graphml(graph, path)


def _pages(graph: GraphDatabase) -> Iterator[list[list[Any]]]:
    after = ""
    while page := graph.run(_ENTITIES, after=after, page=PAGE):
        yield page
        after = page[-1][0]


def _id(key: str) -> str:
    """An XML name token that is the same for an entity in every file."""
    return f"n{digest(key)}"


def _write(file: IO[str], kind: str, ends: dict[str, str], values: dict[str, Any]) -> None:
    attributes = "".join(f' {name}="{value}"' for name, value in ends.items())
    data = "".join(
        f'<data key="{kind}_{name}">{_content(value)}</data>'
        for name, value in values.items()
        if value not in (None, "")
    )
    file.write(f"<{kind}{attributes}>{data}</{kind}>\n")


def printable(text: str) -> str:
    """The text with U+FFFD for each character that XML cannot hold, which are most control characters."""
    return _FORBIDDEN.sub("\ufffd", text)


def _content(value: Any) -> str:
    return escape(printable(str(value)), {"\r": "&#13;"})
