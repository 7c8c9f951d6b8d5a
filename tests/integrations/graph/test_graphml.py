"""GraphML that networkx reads back as the merged graph, whatever the names hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

from kexue.data import demo_path
from kexue.integrations.graph import GraphDatabase, export_graphml, graphml, load, read_facts, write_graphml
from kexue.integrations.graph.statements import storable
from tests.integrations.graph.samples import HOSTILE, document, facts, sources


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphDatabase]:
    with GraphDatabase(tmp_path / "graph", writable=True) as opened:
        yield opened


@pytest.mark.parametrize("page", [7, 20_000])
def test_networkx_reads_the_merged_graph(
    page: int, graph: GraphDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(graphml, "PAGE", page)
    load(graph, list(read_facts([demo_path("phee", "test")]))[:40])
    counts = write_graphml(graph, tmp_path / "x.graphml")
    read = networkx.read_graphml(tmp_path / "x.graphml", force_multigraph=True)
    keys = dict(read.nodes(data="key"))
    found = {
        (keys[subject], it["label"], keys[object]): (it.get("score"), it["statements"])
        for subject, object, it in read.edges(data=True)
    }
    assert found == facts(graph)
    assert counts == (read.number_of_nodes(), read.number_of_edges())
    for _, _, it in read.edges(data=True):
        assert it["weight"] == it["statements"] and it["document"] and it["text"] and it["object_end"] > 0
    names = graph.run("MATCH (e:Entity) RETURN e.key, e.name, e.type")
    assert sorted(names) == sorted([it["key"], it["label"], it["type"]] for _, it in read.nodes(data=True))


def test_two_facts_between_two_entities_are_two_edges(tmp_path: Path):
    both = document("1", (("a", "t"), "p", ("b", "t"), 0.5), (("a", "t"), "q", ("b", "t"), 0.25))
    assert export_graphml(
        sources(both, document("2", (("A", "t"), "p", ("B", "t"), 0.75))), tmp_path / "x.graphml"
    ) == (2, 2)
    read = networkx.read_graphml(tmp_path / "x.graphml")
    edges = {it["label"]: (it["weight"], it["score"], it["document"]) for _, _, it in read.edges(data=True)}
    assert edges == {"p": (2.0, 0.75, "2"), "q": (1.0, 0.25, "1")}
    assert read.is_directed() and read.is_multigraph()


def test_ids_are_xml_name_tokens_and_the_same_in_every_file(tmp_path: Path):
    one = document("1", (("a b/&", "t"), "p", ("喜悦", ""), 0.5))
    export_graphml(sources(one), tmp_path / "a.graphml")
    export_graphml(sources(one, document("2", (("x", ""), "p", ("y", ""), 0.5))), tmp_path / "b.graphml")
    ids = [set(networkx.read_graphml(tmp_path / name).nodes) for name in ("a.graphml", "b.graphml")]
    assert ids[0] < ids[1]
    assert all(re.fullmatch(r"n[0-9a-f]{32}", it) for it in ids[1])


def test_any_name_is_well_formed_and_comes_back_but_for_what_xml_cannot_hold(tmp_path: Path):
    documents = [document(f"id {name}", ((name, name), name, (f"{name} too", ""), 0.5)) for name in HOSTILE]
    path = tmp_path / "x.graphml"
    export_graphml(sources(*documents), path)
    ET.parse(path)
    read = networkx.read_graphml(path)
    labels = {it["label"] for _, _, it in read.edges(data=True)}
    assert labels == {re.sub("[\x00\x07\x1b\x0c\ufffe\uffff]", "\ufffd", storable(name)) for name in HOSTILE}
    assert read.number_of_edges() == len(HOSTILE) and read.number_of_nodes() == 2 * len(HOSTILE)


def test_what_gephi_looks_for_is_there(tmp_path: Path):
    """Its importer takes `label` and `weight` by these titles, and ignores types it does not know."""
    path = tmp_path / "x.graphml"
    export_graphml(sources(document("1", (("a", "t"), "p", ("b", "t"), 0.5))), path)
    keys = [it.attrib for it in ET.parse(path).getroot() if it.tag.endswith("key")]
    titles = {(it["for"], it["attr.name"]) for it in keys}
    assert {("node", "label"), ("edge", "label"), ("edge", "weight")} <= titles
    assert {it["attr.type"] for it in keys} <= {"string", "int", "double"}
    order = [it.tag.rpartition("}")[2] for it in ET.parse(path).getroot().iter()]
    assert order.index("edge") > max(place for place, tag in enumerate(order) if tag == "node")
