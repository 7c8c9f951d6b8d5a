"""RDF that an independent parser reads back as what was said: facts, scores, characters, any text."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import rdflib
from rdflib.namespace import RDF, RDFS

from kexue.data import demo_path
from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation, Span
from kexue.integrations.graph import read_facts, to_source, write_rdf
from kexue.integrations.graph.addresses import Addresses, escaped
from kexue.integrations.graph.statements import storable
from tests.integrations.graph.samples import HOSTILE, document, sources

BASE = "http://example.org/kexue/"
NIF = rdflib.Namespace("http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#")
ITS = rdflib.Namespace("http://www.w3.org/2005/11/its/rdf#")
WHERE = """
    PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
    PREFIX nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#>
    PREFIX itsrdf: <http://www.w3.org/2005/11/its/rdf#>
    PREFIX prov: <http://www.w3.org/ns/prov#>
    PREFIX dcterms: <http://purl.org/dc/terms/>
    SELECT ?document ?text ?name ?relation ?confidence ?begin ?end ?anchor WHERE {
        ?statement a rdf:Statement; rdf:subject ?entity; rdf:predicate/rdfs:label ?relation;
            prov:wasDerivedFrom ?mention .
        OPTIONAL { ?statement nif:confidence ?confidence }
        ?mention itsrdf:taIdentRef ?entity; nif:beginIndex ?begin; nif:endIndex ?end; nif:anchorOf ?anchor;
            nif:referenceContext ?context .
        ?context dcterms:identifier ?document; nif:isString ?text .
        ?entity rdfs:label ?name .
    }
"""


def read(path: Path) -> rdflib.Graph:
    return rdflib.Graph().parse(path, format="turtle" if ".ttl" in path.name else "nt")


@pytest.mark.parametrize(("name", "count"), [("phee", 12), ("cnshipnet", 8)])
def test_both_formats_hold_the_same_facts_with_their_places(name: str, count: int, tmp_path: Path):
    found = list(read_facts([demo_path(name, "test")]))[:count]
    lines, turtle = tmp_path / "x.nt", tmp_path / "x.ttl"
    said = write_rdf(found, lines), write_rdf(found, turtle)
    graph = read(lines)
    assert set(graph) == set(read(turtle))
    assert said[0] == said[1] == len(lines.read_text("utf-8").splitlines()) >= len(graph)
    statements = [(source, it) for source in found for it in source.statements]
    assert len(set(graph.subjects(RDF.type, RDF.Statement))) == len(statements)
    for node in graph.subjects(RDF.type, RDF.Statement):
        ends = [graph.value(node, part) for part in (RDF.subject, RDF.predicate, RDF.object)]
        assert tuple(ends) in graph, "the fact itself is a triple"
    rows = {
        (str(row.document), str(row.relation), int(row.begin), int(row.end), str(row.anchor))
        for row in graph.query(WHERE)
    }
    expected = {
        (source.id, it.predicate, start, end, source.text[start:end])
        for source, it in statements
        for start, end in it.subject.pieces
    }
    assert rows == expected
    assert all(str(row.text)[int(row.begin) : int(row.end)] == str(row.anchor) for row in graph.query(WHERE))


def test_a_score_is_a_decimal_and_a_place_a_natural_number(tmp_path: Path):
    path = tmp_path / "x.nt"
    write_rdf(sources(document("1", (("a", "t"), "p", ("b", ""), 0.00001), (("a", "t"), "q", ("b", ""), None))), path)
    graph = read(path)
    (score,) = graph.objects(None, NIF.confidence)
    assert (score.datatype, score.value) == (rdflib.XSD.decimal, Decimal("0.00001"))
    places = [*graph.objects(None, NIF.beginIndex), *graph.objects(None, NIF.endIndex)]
    assert {place.datatype for place in places} == {rdflib.XSD.nonNegativeInteger}


def test_addresses_are_readable_and_under_the_base(tmp_path: Path):
    path = tmp_path / "x.ttl"
    write_rdf(
        sources(document("报告 1", (("Ｂａｙｅｒ AG", "公司"), "has_part", ("喜悦", ""), 0.5))),
        path,
        base="https://我.example/g#",
    )
    graph = read(path)
    fact = tuple(
        map(
            rdflib.URIRef,
            (f"https://我.example/g#{it}" for it in ("entity/公司/bayer_ag", "relation/has%5Fpart", "entity//喜悦")),
        )
    )
    assert fact in graph
    assert str(graph.value(fact[0], RDFS.label)) == "Ｂａｙｅｒ AG"
    assert graph.value(fact[0], RDF.type) == rdflib.URIRef("https://我.example/g#type/公司")
    subjects = {str(it) for it in graph.subjects()}
    assert all(it.startswith("https://我.example/g#") for it in subjects)
    assert not [it for it in (*graph.subjects(), *graph.objects()) if isinstance(it, rdflib.BNode)]


def test_ids_that_are_addresses_stay_as_they_are(tmp_path: Path):
    path = tmp_path / "x.nt"
    it = document(
        "https://pubmed.ncbi.nlm.nih.gov/1/#abstract", (("a", "t"), "http://schema.org/cures", ("b", ""), 0.5)
    )
    keys = {"a": "http://www.wikidata.org/entity/Q18216", "b": "https://not an address"}
    write_rdf([to_source(it, lambda name, _: keys[name])], path)
    graph = read(path)
    fact = keys["a"], "http://schema.org/cures", f"{BASE}entity/https%3A//not_an_address"
    assert tuple(map(rdflib.URIRef, fact)) in graph
    mentions = {str(it) for it in graph.subjects(ITS.taIdentRef)}
    assert mentions == {f"https://pubmed.ncbi.nlm.nih.gov/1/#abstract/char={it}" for it in ("0,1", "7,8")}


@pytest.mark.parametrize("suffix", [".nt", ".ttl"])
def test_any_text_comes_back_as_it_was(suffix: str, tmp_path: Path):
    documents = [document(f"id {name}", ((name, name), name, (f"{name} too", ""), 0.5)) for name in HOSTILE]
    path = tmp_path / f"x{suffix}"
    write_rdf(sources(*documents), path)
    graph = read(path)
    assert {str(it) for it in graph.objects(None, NIF.isString)} == {storable(it.text) for it in documents}
    assert {str(it) for it in graph.objects(None, NIF.anchorOf)} == {
        storable(f"{it}{end}") for it in HOSTILE for end in ("", " too")
    }
    labels = {str(graph.value(it, RDFS.label)) for it in graph.subjects(RDF.type, RDF.Property)}
    assert labels == {storable(it) for it in HOSTILE}
    assert len(set(graph.subjects(RDF.type, RDF.Statement))) == len(HOSTILE)
    vocabularies = ("http://www.w3.org/", "http://persistence.uni-leipzig.org/", "http://purl.org/dc/terms/")
    facts = [triple for triple in graph if not str(triple[1]).startswith(vocabularies)]
    assert len(facts) == len(HOSTILE)
    assert all(str(it).startswith(BASE) for triple in facts for it in triple)


def test_a_broken_name_has_a_place_for_each_piece(tmp_path: Path):
    text = "left and right eye pain"
    broken = Span(0, 18, "part", fragments=((0, 4), (15, 18)))
    path = tmp_path / "x.nt"
    write_rdf(sources(Document(text, relations=[Relation(broken, "p", Span(19, 23))], id="d")), path)
    graph = read(path)
    places = {
        str(it).partition("#")[2] for it in graph.subjects(ITS.taIdentRef, rdflib.URIRef(f"{BASE}entity/part/left_eye"))
    }
    assert places == {"char=0,4", "char=15,18"}


def test_the_same_documents_give_the_same_file_twice_also_compressed(tmp_path: Path):
    found = list(read_facts([demo_path("phee", "test")]))[:20]
    for name in ("a.nt", "b.nt", "c.nt.gz", "d.nt.gz"):
        write_rdf(found, tmp_path / name)
    plain, same, zipped, again = ((tmp_path / name).read_bytes() for name in ("a.nt", "b.nt", "c.nt.gz", "d.nt.gz"))
    assert plain == same == gzip.decompress(zipped) and zipped == again
    graph = rdflib.Graph().parse(data=plain, format="nt")
    assert len(graph) == len(graph.parse(data=same, format="nt")), "loaded twice, a store holds it once"


@pytest.mark.parametrize("base", ["", "example.org", "http://a b/", "ftp://x/", "http:"])
def test_a_base_that_is_no_address_is_refused(base: str, tmp_path: Path):
    with pytest.raises(OptionError, match="is no address"):
        write_rdf([], tmp_path / "x.nt", base=base)


def test_two_names_never_have_one_address():
    names = ["a b", "a_b", "a%20b", "a%5Fb", "a/b", "a%2Fb", "A b", "喜悦", "%E5%96%9C", "a\u0301", "á"]
    assert len({escaped(name) for name in names}) == len(names)
    assert Addresses().of("entity", "a b").value == f"{BASE}entity/a_b"


def test_a_broken_line_leaves_no_file(tmp_path: Path):
    path = tmp_path / "facts.jsonl"
    path.write_text('{"text": "a"}\n{"text": ', "utf-8")
    with pytest.raises(DataError, match=r"facts\.jsonl:2: is not a JSON record"):
        write_rdf(read_facts([path]), tmp_path / "x.nt")
    assert [it.name for it in tmp_path.iterdir()] == ["facts.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nt", ".ttl"])
def test_memory_does_not_grow_with_the_number_of_documents(suffix: str, tmp_path: Path):
    few, many = (peak(number, tmp_path / f"x{suffix}") for number in (2_000, 20_000))
    assert many < few + 4 * 2**10, (few, many)


def peak(number: int, path: Path) -> int:
    """KiB of memory that a process had at most which wrote so many documents, all with names of their own."""
    code = f"""
import resource
from pathlib import Path
from kexue.integrations.graph import rdf, to_source, write_rdf
from tests.integrations.graph.samples import document
rdf._REMEMBERED = 1000
documents = (document(str(n), ((f"a{{n}}", "t"), "p", (f"b{{n}}", "u"), 0.5)) for n in range({number}))
write_rdf((to_source(it) for it in documents), Path({str(path)!r}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(run.stdout)
