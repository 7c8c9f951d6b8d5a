"""`kexue graph`: load, query, export, show; what it prints, and mistakes in one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.commands import Command
from tests.integrations.graph.samples import document, write

A, B = ("Aspirin", "drug"), ("rash", "effect")


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    return write(tmp_path / "facts.jsonl", document("1", (A, "causes", B, 0.5)), document("2", (A, "causes", B, 0.75)))


@pytest.fixture
def loaded(facts: Path, kexue: Command) -> Path:
    folder = facts.parent / "graph"
    assert kexue("graph", "load", facts, "--database", folder).code == 0
    return folder


QUERY = "MATCH (a:Entity)-[f:FACT]->(b:Entity) RETURN a.name AS who, f.predicate, b.name, f.score, f.statements"


def test_loading_says_what_it_did_and_twice_is_once(facts: Path, kexue: Command):
    folder = facts.parent / "graph"
    first, again = (kexue("graph", "load", facts, facts, "--database", folder) for _ in range(2))
    assert first.err.splitlines() == [
        "4 documents, 2 new, 0 changed: 2 statements added, 0 removed",
        f"{folder}: 2 entities, 1 facts, 2 statements",
    ]
    assert again.err.splitlines()[0] == "4 documents, 0 new, 0 changed: 0 statements added, 0 removed"
    assert again.err.splitlines()[1:] == first.err.splitlines()[1:]


def test_an_answer_is_a_table_or_json_or_csv(loaded: Path, kexue: Command):
    table = kexue("graph", "query", loaded, QUERY).out
    assert all(word in table for word in ("who", "Aspirin", "causes", "rash", "0.75"))
    (line,) = kexue("graph", "query", loaded, QUERY, "--format", "json").out.splitlines()
    assert json.loads(line) == {
        "who": "Aspirin",
        "f.predicate": "causes",
        "b.name": "rash",
        "f.score": 0.75,
        "f.statements": 2,
    }
    rows = list(csv.reader(io.StringIO(kexue("graph", "query", loaded, QUERY, "--format", "csv").out)))
    assert rows == [
        ["who", "f.predicate", "b.name", "f.score", "f.statements"],
        ["Aspirin", "causes", "rash", "0.75", "2"],
    ]


def test_nodes_edges_and_paths_are_answers_too(loaded: Path, kexue: Command):
    done = kexue(
        "graph",
        "query",
        loaded,
        "MATCH p = (a:Entity)-[f:FACT]->(b) RETURN a, f, p, sum(f.statements) AS n",
        "--format",
        "json",
    )
    answer = json.loads(done.out)
    assert answer["a"]["label"] == "Entity" and answer["a"]["key"] == "drug/aspirin"
    assert answer["f"]["predicate"] == "causes" and answer["n"] == 2
    assert [it["name"] for it in answer["p"]["nodes"]] == ["Aspirin", "rash"] and len(answer["p"]["edges"]) == 1
    assert "_id" not in done.out.lower()


def test_a_parameter_is_a_value_and_never_part_of_the_query(loaded: Path, kexue: Command):
    query = "MATCH (e:Entity {name: $name}) RETURN e.key AS key"
    for name, keys in (("Aspirin", ["drug/aspirin"]), ("x'}) RETURN 1 //", []), ("a=b", [])):
        done = kexue("graph", "query", loaded, query, "-p", f"name={name}", "--format", "json")
        assert [json.loads(line)["key"] for line in done.out.splitlines()] == keys


def test_names_that_look_like_markup_are_shown_as_they_are(facts: Path, kexue: Command):
    write(facts, document("1", (("[red]x[/red]", ""), "[b]", ("y", ""), 0.5)))
    kexue("graph", "load", facts, "--database", facts.parent / "g")
    shown = kexue("graph", "query", facts.parent / "g", "MATCH (a)-[f:FACT]->(b) RETURN a.name AS `[i]`, f.predicate")
    assert all(word in shown.out for word in ("[red]x[/red]", "[b]", "[i]"))


def test_replacing_and_aliases_reach_the_graph(facts: Path, loaded: Path, kexue: Command):
    aliases = facts.parent / "aliases.csv"
    aliases.write_text("Aspirin,D1\n", "utf-8")
    write(facts, document("1", (A, "causes", B, 0.5)))
    done = kexue("graph", "load", facts, "--database", loaded, "--aliases", aliases, "--replace")
    assert "1 documents, 0 new, 1 changed: 1 statements added, 1 removed" in done.err
    keys = kexue(
        "graph", "query", loaded, "MATCH (e:Entity) RETURN e.key ORDER BY e.key", "--format", "csv"
    ).out.split()
    assert keys == ["e.key", "D1", "drug/aspirin", "effect/rash"]


def test_exports_are_what_their_endings_say(facts: Path, kexue: Command):
    for name in ("x.nt", "x.ttl", "x.nt.gz", "x.graphml"):
        assert kexue("graph", "export", facts, "--output", facts.parent / name).code == 0
    lines = (facts.parent / "x.nt").read_bytes()
    assert gzip.decompress((facts.parent / "x.nt.gz").read_bytes()) == lines
    assert all(line.endswith(" .") for line in lines.decode().splitlines())
    assert (facts.parent / "x.ttl").read_text("utf-8").startswith("@prefix ")
    assert ET.parse(facts.parent / "x.graphml").getroot().tag.endswith("graphml")


def test_a_picture_is_drawn(loaded: Path, kexue: Command):
    done = kexue("graph", "show", loaded, "aspirin", "--output", loaded.parent / "x.svg")
    assert done.code == 0 and "1 facts around 'drug/aspirin'" in done.err
    assert "causes" in (loaded.parent / "x.svg").read_text("utf-8")


def test_a_graph_that_is_not_whole_says_so(facts: Path, loaded: Path, kexue: Command):
    facts.write_text(facts.read_text("utf-8") + "broken\n", "utf-8")
    assert kexue("graph", "load", facts, "--database", loaded).complaint.startswith(f"{facts}:3: is not a JSON record")
    done = kexue("graph", "query", loaded, QUERY, "--format", "csv")
    assert done.err == f"{loaded}: the last load was cut off; run it again to have all of it\n" and done.code == 0


MISTAKES = [
    ("load {folder}/none.jsonl --database {folder}/g", "{folder}/none.jsonl: there is no such file"),
    ("load {facts} --database {folder}", "{folder}: is something else than a graph"),
    ("load {facts} --database {folder}/g --aliases {folder}/none.csv", "{folder}/none.csv: cannot be read"),
    ("query {folder}/none QUERY", "{folder}/none: holds no graph"),
    ("query {graph} MATCH", "the query was refused: Parser exception"),
    ("query {graph} CREATE(:Entity{{key:'x'}})", "read-only"),
    ("query {graph} MATCH --format cvs", "unknown format 'cvs'. Did you mean 'csv'?"),
    ("query {graph} MATCH -p name", "--parameter 'name' must be NAME=VALUE"),
    ("export {facts} --output {folder}/x.rdf", "must end in .nt, .ttl, .nt.gz, .ttl.gz or .graphml"),
    ("export {facts} --output {folder}/x.nt --base nowhere", "the base 'nowhere' is no address"),
    ("export {facts} --output {folder}/x.graphml --base http://a/", "--base is for RDF"),
    ("show {graph} asprin --output {folder}/x.svg", "no entity is called 'asprin'; is 'Aspirin' meant?"),
    ("show {graph} aspirin --output {folder}/x.jpg", "{folder}/x.jpg: a picture ends in .svg or .png"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line(line: str, said: str, facts: Path, loaded: Path, kexue: Command):
    places = {"folder": facts.parent, "facts": facts, "graph": loaded}
    assert said.format(**places) in kexue("graph", *(it.format(**places) for it in line.split())).complaint
    assert not list(facts.parent.glob("x.*"))
