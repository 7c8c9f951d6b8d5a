"""A graph is the merge of what was loaded, however often, in whatever order, and whatever the names are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kexue.data import demo_path
from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.integrations.graph import AliasTable, GraphDatabase, load, read_facts, to_source
from kexue.integrations.graph.statements import storable
from tests.integrations.graph.samples import HOSTILE, Stated, document, everything, facts, merged, sources

A, B, C = ("Aspirin", "drug"), ("rash", "effect"), ("pain", "disorder")
ONE = document("1", (A, "causes", B, 0.5), (A, "treats", C, 0.75))
TWO = document("2", (("ASPIRIN", "drug"), "causes", ("Rash", "effect"), 0.9))


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphDatabase]:
    with GraphDatabase(tmp_path / "graph", writable=True) as opened:
        yield opened


def test_facts_are_merged_from_all_documents(graph: GraphDatabase):
    done = load(graph, sources(ONE, TWO))
    assert facts(graph) == {
        ("drug/aspirin", "causes", "effect/rash"): (0.9, 2),
        ("drug/aspirin", "treats", "disorder/pain"): (0.75, 1),
    }
    assert (done.documents, done.new, done.changed, done.added, done.removed) == (2, 2, 0, 3, 0)
    best = "MATCH (:Entity)-[f:FACT {predicate: 'causes'}]->() MATCH (t:Statement {id: f.statement})-[:STATED_IN]->(d)"
    assert graph.run(f"{best} RETURN d.id, t.text, t.subject, t.object_start, t.object_end") == [
        ["2", "ASPIRIN then Rash.", "ASPIRIN", 13, 17]
    ]


@pytest.mark.parametrize("batch", [1, 7, 2000])
def test_the_demo_data_become_what_plain_counting_gives_and_a_second_load_changes_nothing(
    batch: int, graph: GraphDatabase
):
    path = demo_path("phee", "dev")
    found = list(read_facts([path]))[:150]
    load(graph, found, batch=batch)
    before = everything(graph)
    again = load(graph, found, batch=batch)
    assert everything(graph) == before
    assert (again.new, again.changed, again.added, again.removed) == (0, 0, 0, 0)
    from kexue.extraction.formats import read_documents

    documents = read_documents(path).documents[:150]
    assert facts(graph) == merged(documents)
    stated = [(row[0], row[5], row[6], row[8], row[9]) for row in graph.run(_PLACES)]
    texts = {it.id: it.text for it in documents}
    assert stated and all(texts[id][start:end] for id, start, end, *_ in stated)


_PLACES = (
    "MATCH (t:Statement)-[:STATED_IN]->(d) "
    "RETURN d.id, t.id, t.predicate, t.score, t.subject, t.subject_start, t.subject_end, t.object, "
    "t.object_start, t.object_end"
)


def test_the_places_of_statements_are_those_of_the_text(graph: GraphDatabase):
    load(graph, list(read_facts([demo_path("cnshipnet", "test")]))[:40])
    texts = {it.id: it.text for it in read_facts([demo_path("cnshipnet", "test")])}
    rows = graph.run(_PLACES)
    assert len(rows) > 40
    for identity, _, _, _, subject, start, end, object, first, last in rows:
        assert texts[identity][start:end] == subject
        assert texts[identity][first:last] == object


def test_files_that_overlap_are_loaded_as_one(graph: GraphDatabase, tmp_path: Path):
    load(graph, sources(ONE))
    done = load(graph, sources(ONE, TWO))
    assert (done.new, done.added) == (1, 1)
    with GraphDatabase(tmp_path / "at once", writable=True) as other:
        load(other, sources(TWO, ONE))
        assert everything(other) == everything(graph)


def test_two_extractions_from_one_document_are_joined(graph: GraphDatabase):
    """As by two models; the text is the same, the facts are others."""
    first = Document(ONE.text, relations=ONE.relations[:1], id="1")
    second = Document(ONE.text, relations=ONE.relations[1:], id="1")
    for _ in range(2):
        load(graph, sources(first))
        load(graph, sources(second, first))
        assert facts(graph) == merged([ONE])


def test_a_statement_with_another_score_takes_the_place_of_the_old_one(graph: GraphDatabase):
    load(graph, sources(ONE, TWO))
    lower = Document(TWO.text, relations=document("2", (A, "causes", B, 0.1)).relations, id="2")
    done = load(graph, sources(lower))
    assert (done.changed, done.added, done.removed) == (1, 1, 1)
    assert facts(graph)["drug/aspirin", "causes", "effect/rash"] == (0.5, 2)


def test_replacing_forgets_what_a_document_no_longer_states(graph: GraphDatabase):
    load(graph, sources(ONE, TWO))
    less = document("1", (A, "treats", C, 0.3))
    done = load(graph, sources(less), replace=True)
    assert (done.changed, done.added, done.removed) == (1, 1, 2)
    assert facts(graph) == merged([less, TWO])
    load(graph, sources(document("1"), document("2")), replace=True)
    left = everything(graph)
    assert not (left["entities"] or left["facts"] or left["statements"] or left["lonely"])
    assert len(left["documents"]) == 2


def test_one_id_for_two_texts_is_refused(graph: GraphDatabase, tmp_path: Path):
    load(graph, sources(ONE))
    other = to_source(document("1", (B, "p", A, None)), place="b.jsonl:7")
    with pytest.raises(DataError, match=r"^b\.jsonl:7: the document id '1' .* or --replace"):
        load(graph, [other])
    with GraphDatabase(tmp_path / "other", writable=True) as fresh, pytest.raises(DataError, match=r"id of its own$"):
        load(fresh, [*sources(ONE, TWO), other], replace=True)


def test_aliases_given_later_move_what_is_there(graph: GraphDatabase):
    both = [ONE, document("3", (("ASS", "drug"), "causes", B, 0.2))]
    load(graph, sources(*both))
    key = AliasTable({("ass", ""): "D1", ("aspirin", "drug"): "D1"})
    load(graph, [to_source(it, key) for it in both])
    assert facts(graph) == merged(both, key)
    assert not graph.run("MATCH (e:Entity {key: 'drug/ass'}) RETURN e.key")


def test_any_name_is_kept_as_it_is(graph: GraphDatabase):
    documents = [
        document(f"{place} {name}", ((name, name), name, (f"other {name}", ""), 0.5))
        for place, name in enumerate(HOSTILE)
    ]
    load(graph, sources(*documents))
    load(graph, sources(*documents))
    rows = graph.run("MATCH (t:Statement)-[:STATED_IN]->(d) RETURN t.subject, t.predicate, t.object, d.id")
    expected = [[name, name, f"other {name}", f"{place} {name}"] for place, name in enumerate(HOSTILE)]
    assert sorted(rows) == sorted([storable(it) for it in row] for row in expected)
    assert len(facts(graph)) == len(HOSTILE)
    assert graph.run("CALL show_tables() RETURN count(*)") == [[7]]
    for name in HOSTILE:
        answer = graph.query("MATCH (t:Statement {subject: $name}) RETURN t.predicate", {"name": name})
        assert list(answer.rows) == [[storable(name)]]


def test_scores_may_be_missing(graph: GraphDatabase):
    documents = [document(str(place), (A, "p", B, score)) for place, score in enumerate([None, None, 0.0, 0.4, None])]
    for it in documents:
        load(graph, sources(it))
        load(graph, sources(*documents[:1]))
    assert facts(graph) == merged(documents) == {("drug/aspirin", "p", "effect/rash"): (0.4, 5)}


def test_an_entity_may_be_related_to_itself(graph: GraphDatabase):
    load(graph, sources(document("1", (A, "is", A, 0.5), (A, "is", ("aspirin", "drug"), 0.6))))
    assert facts(graph) == {("drug/aspirin", "is", "drug/aspirin"): (0.6, 2)}


NAMES = st.sampled_from([A, B, C, ("Rash", "effect"), ("rash", "")])
STATED = st.tuples(NAMES, st.sampled_from(["p", "q"]), NAMES, st.sampled_from([None, 0.25, 0.5, 1.0]))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    loads=st.lists(
        st.tuples(st.booleans(), st.lists(st.tuples(st.integers(0, 3), st.lists(STATED, max_size=4)), max_size=3)),
        max_size=4,
    ),
    batch=st.integers(1, 4),
)
def test_any_sequence_of_loads_gives_what_a_dictionary_of_documents_gives(
    loads: list[tuple[bool, list[tuple[int, list[Stated]]]]], batch: int, tmp_path_factory: pytest.TempPathFactory
):
    """Documents whose texts are the same in every version: all facts are placed in one fixed text."""
    held: dict[str, dict[str, object]] = {}
    with GraphDatabase(tmp_path_factory.mktemp("any"), writable=True) as graph:
        for replace, given_documents in loads:
            replaced: set[str] = set()
            part = []
            for number, stated in given_documents:
                it = in_one_text(str(number), stated)
                part.append(it)
                if replace and it.id not in replaced:
                    held[it.id] = {}
                replaced.add(it.id)
                held.setdefault(it.id, {}).update({st.id: st for st in to_source(it).statements})
            load(graph, sources(*part), replace=replace, batch=batch)
        expected: dict[tuple[str, str, str], list[float | None]] = {}
        for statements in held.values():
            for it in statements.values():
                expected.setdefault((it.subject.entity.key, it.predicate, it.object.entity.key), []).append(it.score)
        counted = {
            fact: (max((score for score in scores if score is not None), default=None), len(scores))
            for fact, scores in expected.items()
        }
        assert facts(graph) == counted
        entities = {key for subject, _, object in counted for key in (subject, object)}
        assert {row[0] for row in everything(graph)["entities"]} == entities
        wanted = sorted(id for statements in held.values() for id in statements)
        assert sorted(row[0] for row in everything(graph)["lonely"]) == wanted
        assert len(everything(graph)["statements"]) == len(wanted)


def in_one_text(identity: str, stated: list[Stated]) -> Document:
    text = "Aspirin rash pain Rash"
    from kexue.extraction.document import Relation, Span

    def span(name: str, type: str) -> Span:
        return Span(text.index(name), text.index(name) + len(name), type)

    return Document(text, relations=[Relation(span(*s), p, span(*o), score) for s, p, o, score in stated], id=identity)


def test_a_query_only_reads(graph: GraphDatabase, tmp_path: Path):
    load(graph, sources(ONE))
    graph.close()
    with GraphDatabase(graph.folder) as opened:
        for cypher in ("CREATE (e:Entity {key: 'x'})", "MATCH (n) DETACH DELETE n", "DROP TABLE FACT"):
            with pytest.raises(OptionError, match="read-only"):
                opened.query(cypher)
        assert len(facts(opened)) == 2


@pytest.mark.parametrize(
    ("cypher", "said"),
    [
        ("MATCH (e:Entity RETURN e", "Parser exception"),
        ("MATCH (e:Entty) RETURN e", "Entty does not exist"),
        ("MATCH (e:Entity {name: $n}) RETURN e", "Parameter n not found"),
        ("RETURN 1; RETURN 2", "multiple statements"),
    ],
)
def test_a_wrong_query_is_refused_in_the_databases_words(cypher: str, said: str, graph: GraphDatabase):
    with pytest.raises(OptionError, match=said):
        graph.query(cypher)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(OptionError, match="something else than a graph"):
            GraphDatabase(folder, writable=True)
    with pytest.raises(OptionError, match="holds no graph"):
        GraphDatabase(tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_graph_of_another_version_is_refused_with_what_to_do(graph: GraphDatabase):
    graph.close()
    about = graph.folder / "graph.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    with pytest.raises(OptionError, match="load the facts into a new folder"):
        GraphDatabase(graph.folder)
    about.write_text(json.dumps({"format": 1, "ladybug": "0.1.0", "loading": False}))
    (graph.folder / "graph.lbug").write_bytes(b"something else" * 1000)
    with pytest.raises(OptionError, match=r"written by ladybug 0\.1\.0.*load the facts into a new folder"):
        GraphDatabase(graph.folder)


def test_two_loads_at_once_are_refused(graph: GraphDatabase):
    with pytest.raises(OptionError, match="being loaded by another process"):
        GraphDatabase(graph.folder, writable=True)
