"""Facts as RDF, in terms that every triple store loads today.

    a fact                  a triple
    where it is stated      rdf:Statement (RDF 1.1 reification), prov:wasDerivedFrom two mentions (W3C PROV-O)
    how sure it is          nif:confidence of the statement (NIF 2.1)
    a mention               nif:RFC5147String <document#char=0,7>; itsrdf:taIdentRef its entity (W3C ITS 2.0)
    a document              nif:Context: its id and its text

Not RDF-star: it is another syntax in RDF 1.2 than in the stores that have it. Every node has an address made of what it
is and none is blank, so a second run over the same documents gives the same triples, and a store keeps them once.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

from kexue.files import atomic_write
from kexue.integrations.graph.addresses import BASE, KINDS, Addresses
from kexue.integrations.graph.extra import need
from kexue.integrations.graph.statements import Entity, Mention, Source, Statement

VOCABULARIES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "prov": "http://www.w3.org/ns/prov#",
    "nif": "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#",
    "itsrdf": "http://www.w3.org/2005/11/its/rdf#",
    "dcterms": "http://purl.org/dc/terms/",
}
_REMEMBERED = 200_000  # names and types known to be written; when there are more, some are written again


def write_rdf(sources: Iterable[Source], path: Path, *, base: str = BASE) -> int:
    """Write N-Triples or Turtle (.ttl), compressed if .gz follows; returns how many triples.

    The memory does not grow with the number of sources. Raises `OptionError` if `base` is no address.
    """
    formats = need("pyoxigraph").RdfFormat
    zipped = path.suffix == ".gz"
    format = formats.TURTLE if path.with_suffix("" if zipped else path.suffix).suffix == ".ttl" else formats.N_TRIPLES
    writer = RdfWriter(Addresses(base))
    prefixes = VOCABULARIES | {kind: f"{base}{kind}/" for kind in KINDS}
    with atomic_write(path, binary=True) as file, _compressed(file) if zipped else nullcontext(file) as sink:
        need("pyoxigraph").serialize(writer.triples(sources), sink, format, prefixes=prefixes)
    return writer.count


def _compressed(file: Any) -> Any:
    return gzip.GzipFile("", "wb", fileobj=file, mtime=0)


class RdfWriter:
    """From sources to triples, one after the other; what describes a name is given when it is first seen."""

    def __init__(self, addresses: Addresses) -> None:
        oxigraph = need("pyoxigraph")
        self._triple, self._node, self._literal = oxigraph.Triple, oxigraph.NamedNode, oxigraph.Literal
        self._addresses = addresses
        self._terms: dict[str, Any] = {}
        self._described: set[tuple[str, ...]] = set()
        self.count = 0

    def triples(self, sources: Iterable[Source]) -> Iterator[Any]:
        """The triples of all sources, as pyoxigraph has them."""
        for source in sources:
            for subject, predicate, object in self._source(source):
                self.count += 1
                yield self._triple(subject, predicate, object)

    def _source(self, source: Source) -> Iterator[tuple[Any, Any, Any]]:
        document = self._addresses.of("document", source.id)
        yield document, self._term("rdf:type"), self._term("nif:Context")
        yield document, self._term("dcterms:identifier"), self._literal(source.id)
        yield document, self._term("nif:isString"), self._literal(source.text)
        mentions = {(end.pieces, end.entity.key): end for it in source.statements for end in (it.subject, it.object)}
        for mention in mentions.values():
            yield from self._entity(mention.entity)
            yield from self._mention(mention, document, source.text)
        for statement in source.statements:
            yield from self._statement(statement, document)

    def _statement(self, statement: Statement, document: Any) -> Iterator[tuple[Any, Any, Any]]:
        ends = {"rdf:subject": statement.subject, "rdf:object": statement.object}
        subject, object = (self._addresses.of("entity", end.entity.key) for end in ends.values())
        predicate = self._addresses.of("relation", statement.predicate)
        if self._is_new("relation", statement.predicate):
            yield predicate, self._term("rdf:type"), self._term("rdf:Property")
            yield predicate, self._term("rdfs:label"), self._literal(statement.predicate)
        yield subject, predicate, object
        place = self._addresses.of("statement", statement.id)
        yield place, self._term("rdf:type"), self._term("rdf:Statement")
        yield place, self._term("rdf:subject"), subject
        yield place, self._term("rdf:predicate"), predicate
        yield place, self._term("rdf:object"), object
        if statement.score is not None:
            yield place, self._term("nif:confidence"), self._number(statement.score)
        for end in ends.values():
            for start, stop in end.pieces:
                yield place, self._term("prov:wasDerivedFrom"), self._addresses.place(document, start, stop)

    def _mention(self, mention: Mention, document: Any, text: str) -> Iterator[tuple[Any, Any, Any]]:
        entity = self._addresses.of("entity", mention.entity.key)
        for start, stop in mention.pieces:
            place = self._addresses.place(document, start, stop)
            yield place, self._term("rdf:type"), self._term("nif:RFC5147String")
            yield place, self._term("nif:referenceContext"), document
            yield place, self._term("nif:beginIndex"), self._index(start)
            yield place, self._term("nif:endIndex"), self._index(stop)
            yield place, self._term("nif:anchorOf"), self._literal(text[start:stop])
            yield place, self._term("itsrdf:taIdentRef"), entity

    def _entity(self, entity: Entity) -> Iterator[tuple[Any, Any, Any]]:
        if not self._is_new("entity", entity.key, entity.name, entity.type):
            return
        node = self._addresses.of("entity", entity.key)
        yield node, self._term("rdfs:label"), self._literal(entity.name)
        if entity.type:
            kind = self._addresses.of("type", entity.type)
            yield node, self._term("rdf:type"), kind
            if self._is_new("type", entity.type):
                yield kind, self._term("rdf:type"), self._term("rdfs:Class")
                yield kind, self._term("rdfs:label"), self._literal(entity.type)

    def _is_new(self, *name: str) -> bool:
        """Whether a name is described for the first time, as far as is remembered."""
        if name in self._described:
            return False
        if len(self._described) >= _REMEMBERED:
            self._described.clear()
        self._described.add(name)
        return True

    def _term(self, name: str) -> Any:
        if name not in self._terms:
            prefix, _, local = name.partition(":")
            self._terms[name] = self._node(VOCABULARIES[prefix] + local)
        return self._terms[name]

    def _index(self, value: int) -> Any:
        return self._literal(str(value), datatype=self._term("xsd:nonNegativeInteger"))

    def _number(self, value: float) -> Any:
        return self._literal(f"{Decimal(repr(value)):f}", datatype=self._term("xsd:decimal"))
