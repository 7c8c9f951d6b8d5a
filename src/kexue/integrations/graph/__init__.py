"""Facts that were extracted as a graph: a database that takes Cypher, RDF, GraphML, a picture.

from kexue.integrations.graph import GraphDatabase, load, read_facts

with GraphDatabase("graph", writable=True) as graph:
    load(graph, read_facts([Path("facts.jsonl")]))
    for row in graph.query("MATCH (a:Entity)-[f:FACT]->(b:Entity) RETURN a.name, f.predicate, b.name").rows:
        ...
"""

from kexue.integrations.graph.database import GraphDatabase, Rows
from kexue.integrations.graph.graphml import export_graphml, write_graphml
from kexue.integrations.graph.keys import AliasTable, KeyFunction, entity_key, normalise
from kexue.integrations.graph.loading import Loaded, load
from kexue.integrations.graph.neighbourhood import find, neighbourhood
from kexue.integrations.graph.picture import write_picture
from kexue.integrations.graph.rdf import write_rdf
from kexue.integrations.graph.reading import read_facts
from kexue.integrations.graph.statements import to_source

__all__ = [
    "AliasTable",
    "GraphDatabase",
    "KeyFunction",
    "Loaded",
    "Rows",
    "entity_key",
    "export_graphml",
    "find",
    "load",
    "neighbourhood",
    "normalise",
    "read_facts",
    "to_source",
    "write_graphml",
    "write_picture",
    "write_rdf",
]
