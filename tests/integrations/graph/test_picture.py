"""A picture in which every name can be read: nothing overlaps, nothing comes from elsewhere, no name is markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.errors import OptionError
from kexue.integrations.graph import GraphDatabase, find, load, neighbourhood, write_picture
from kexue.integrations.graph.layout import SMALL, lay_out, text_width
from kexue.integrations.graph.neighbourhood import Edge, Neighbourhood, Node
from kexue.integrations.graph.picture import draw, without_font
from tests.integrations.graph.samples import HOSTILE, document, sources

SHIP = Node("/hq051", "HQ051", "ship")


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphDatabase]:
    with GraphDatabase(tmp_path / "graph", writable=True) as opened:
        a, b, c, d = ("Aspirin", "drug"), ("rash", "effect"), ("pain", "disorder"), ("Bayer", "company")
        load(
            opened,
            sources(
                document("1", (a, "causes", b, 0.5), (a, "treats", c, 0.75), (d, "makes", a, 0.9)),
                document("2", (a, "causes", b, 0.25), (("ibuprofen", "drug"), "treats", c, 0.5), (a, "is", a, 0.5)),
                document("3", (("Aspirin", "brand"), "of", d, None)),
            ),
        )
        yield opened


def test_an_entity_is_found_by_its_key_its_name_and_what_a_text_calls_it(graph: GraphDatabase):
    assert find(graph, "brand/aspirin").type == "brand"
    assert find(graph, " BAYER").key == "company/bayer"
    assert find(graph, "aspirin", "Drug").key == "drug/aspirin"
    graph.run("MATCH (e:Entity {key: 'effect/rash'}) SET e.name = 'exanthema', e.folded = 'exanthema'")
    assert find(graph, "Rash").key == "effect/rash"


@pytest.mark.parametrize(
    ("name", "type", "said"),
    [
        ("aspirin", None, "several entities are called 'aspirin': 'brand/aspirin', 'drug/aspirin'"),
        ("aspirn", None, "no entity is called 'aspirn'; is 'Aspirin' meant"),
        ("bayer", "drug", "no entity is called 'bayer' and is of type 'drug'"),
        ("x'}) DETACH DELETE n //", None, "no entity is called"),
    ],
)
def test_a_name_of_none_or_several_is_refused(name: str, type: str | None, said: str, graph: GraphDatabase):
    with pytest.raises(OptionError) as error:
        find(graph, name, type)
    assert str(error.value).startswith(said)


def test_the_facts_around_are_those_of_the_graph(graph: GraphDatabase):
    center = find(graph, "drug/aspirin")
    near = neighbourhood(graph, center)
    assert {(it.subject.name, it.predicate, it.object.name, it.score, it.statements) for it in near.edges} == {
        ("Aspirin", "causes", "rash", 0.5, 2),
        ("Aspirin", "treats", "pain", 0.75, 1),
        ("Bayer", "makes", "Aspirin", 0.9, 1),
        ("Aspirin", "is", "Aspirin", 0.5, 1),
    }
    assert near.left_out == 0
    far = neighbourhood(graph, center, steps=2)
    assert {it.fact for it in far.edges} - {it.fact for it in near.edges} == {
        ("drug/ibuprofen", "treats", "disorder/pain"),
        ("brand/aspirin", "of", "company/bayer"),
    }
    few = neighbourhood(graph, center, limit=1)
    assert ([it.predicate for it in few.edges], few.left_out) == (["causes"], 3)


def test_the_picture_says_what_it_shows_and_what_not(graph: GraphDatabase):
    svg = draw(neighbourhood(graph, find(graph, "drug/aspirin")))
    words = [" ".join("".join(it.itertext()).split()) for it in ET.fromstring(svg).iter() if it.tag.endswith("text")]
    assert {"Aspirin (drug)", "causes 0.50 ×2", "treats 0.75", "makes 0.90", "rash", "Bayer", "company"} <= set(words)
    assert "4 facts, stated 5 times; 1 not drawn, between entities of one column" in words
    limited = draw(neighbourhood(graph, find(graph, "drug/aspirin"), limit=1))
    assert "1 fact, stated 2 times; 3 more left out" in limited


WORDS = st.sampled_from(
    ["rash", "江苏宏强船舶重工有限公司", "a very long name of an effect that goes on and on", "W" * 40, ""]
)
PREDICATES = st.sampled_from(["causes", "船舶总吨位", "has a predicate with a long name"])


@st.composite
def neighbourhoods(data: st.DrawFn) -> Neighbourhood:
    nodes = [SHIP] + [Node(f"k{n}", data(WORDS), "t") for n in range(data(st.integers(0, 8)))]
    pick = st.sampled_from(nodes)
    facts = data(st.lists(st.tuples(pick, PREDICATES, pick), unique=True, max_size=14))
    reached, edges = {SHIP.key}, []
    for _ in facts:  # only what hangs together, as a neighbourhood does
        for subject, predicate, object in facts:
            if {subject.key, object.key} & reached:
                reached |= {subject.key, object.key}
                edge = Edge(subject, predicate, object, 0.5, len(predicate), "")
                edges += [edge] if edge not in edges else []
    return Neighbourhood(SHIP, edges, 0)


@settings(max_examples=60, deadline=None)
@given(neighbourhoods())
def test_no_two_boxes_and_no_two_labels_overlap_and_every_fact_is_drawn_once_or_counted(around: Neighbourhood):
    layout = lay_out(around)
    boxes = [
        (it.x - it.width / 2, it.y - it.height / 2, it.x + it.width / 2, it.y + it.height / 2) for it in layout.boxes
    ]
    labels = []
    for line in layout.lines:
        side = 1 if line.x2 > line.x0 else -1
        ends = line.x1 + 10 * side, line.x1 + (10 + text_width(f"{line.label} {line.note}", SMALL)) * side
        assert abs(ends[1]) < abs(line.x2), "the label ends before the box"
        labels.append((min(ends), line.y1 - 5 - SMALL, max(ends), line.y1 - 2))
    for one, other in combinations(boxes + labels, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1], (one, other)
    assert len(layout.lines) + layout.undrawn == len(around.edges)
    drawn = {it.edge.fact for it in layout.lines}
    assert len(drawn) == len(layout.lines)
    for line in layout.lines:
        tip = line.x2 if line.outward else line.x0
        target = next(it for it in layout.boxes if it.node == line.edge.object)
        assert abs(abs(tip - target.x) - target.width / 2) < 1e-6, "the arrow points to the object"


def test_any_name_is_text_and_nothing_is_loaded(tmp_path: Path):
    edges = [Edge(SHIP, name, Node(name, name, name), 0.5, 1, name) for name in HOSTILE]
    path = tmp_path / "x.svg"
    write_picture(Neighbourhood(Node("k", HOSTILE[3], HOSTILE[0]), [], 0), path)
    ET.parse(path)
    svg = draw(Neighbourhood(SHIP, edges, 0))
    tree = ET.fromstring(svg.encode("utf-8", "strict"))
    tags = {it.tag.rpartition("}")[2] for it in tree.iter()}
    assert tags == {"svg", "rect", "text", "tspan", "g", "title", "path", "circle"}
    assert not {name for it in tree.iter() for name in it.attrib if "href" in name or name.startswith("on")}
    assert not re.search(r"url\(|@import|<!|<\?", svg)


def test_a_picture_of_one_entity_alone(tmp_path: Path):
    assert "0 facts, stated 0 times" in draw(Neighbourhood(SHIP, [], 0))


def test_chinese_names_are_drawn_in_a_png(tmp_path: Path):
    from PIL import Image

    around = Neighbourhood(SHIP, [Edge(SHIP, "船舶类型", Node("k", "散货船“喜悦”号", "类型"), 0.9, 2, "")], 0)
    missing = without_font("散货船喜悦号")
    if missing:
        pytest.skip(f"no font here has {missing}")
    write_picture(around, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.width > 400 and len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_a_png_without_a_font_for_its_names_is_refused(tmp_path: Path):
    character = "\U00012000"  # a cuneiform sign
    if not without_font(character):
        pytest.skip("a font here has cuneiform")
    around = Neighbourhood(Node("k", f"sign {character}", ""), [], 0)
    with pytest.raises(OptionError, match=f"no font of this machine has {character}; install one"):
        write_picture(around, tmp_path / "x.png")
    write_picture(around, tmp_path / "x.svg")
    with pytest.raises(OptionError, match=r"ends in \.svg or \.png"):
        write_picture(around, tmp_path / "x.jpg")
    assert [it.name for it in tmp_path.iterdir()] == ["x.svg"]
    assert without_font("abc 123") == []
