"""`kexue graph`: extracted facts as a graph to query, to draw and to hand on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kexue.cli.console import err, out

if TYPE_CHECKING:
    from kexue.integrations.graph import GraphDatabase
    from kexue.integrations.graph.statements import Source

graph = typer.Typer(
    name="graph",
    help="Make a graph of extracted facts, query it with Cypher, draw it, hand it on as RDF or GraphML.",
    no_args_is_help=True,
)

Facts = Annotated[list[Path], typer.Argument(help="JSON Lines files that `kexue extract` wrote; also .gz.")]
Aliases = Annotated[
    Path | None, typer.Option(help="CSV or .tsv with name, id or name, type, id: names with one id are one entity.")
]
Folder = Annotated[Path, typer.Argument(help="Folder of the graph.")]


@graph.command()
def load(
    facts: Facts,
    database: Annotated[Path, typer.Option(help="Folder of the graph, made where it is not there yet.")],
    aliases: Aliases = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what these documents stated before, instead of adding to it.")
    ] = False,
) -> None:
    """Merge facts into a graph. What is there already is not added again; after an interruption run it again.

    Example: `kexue graph load facts.jsonl --database graph`
    """
    from kexue.integrations import graph as graphs

    with _reading(facts, aliases) as sources, graphs.GraphDatabase(database, writable=True) as opened:
        done = graphs.load(opened, sources, replace=replace)
        entities, merged, statements = (_count(opened, pattern) for pattern in _PATTERNS)
    err.print(
        f"{done.documents} documents, {done.new} new, {done.changed} changed: "
        f"{done.added} statements added, {done.removed} removed",
        highlight=False,
    )
    err.print(
        f"{database}: {entities} entities, {merged} facts, {statements} statements", highlight=False, markup=False
    )


@graph.command()
def query(
    database: Folder,
    cypher: Annotated[str, typer.Argument(help="A query in Cypher; it can only read.")],
    format: Annotated[str, typer.Option(help="table, json (an object a line) or csv.")] = "table",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="NAME=VALUE, which the query has as $NAME; repeatable."),
    ] = None,
) -> None:
    """Ask a graph.

    Example: `kexue graph query graph "MATCH (a:Entity)-[f:FACT]->(b:Entity) RETURN a.name, b.name LIMIT 9"`
    """
    from kexue.errors import OptionError, unknown
    from kexue.integrations.graph.answers import worded, write_csv, write_json_lines

    formats = {"table": None, "json": write_json_lines, "csv": write_csv}
    if format not in formats:
        raise OptionError(unknown("format", format, list(formats)))
    given = [it.partition("=") for it in parameter or ()]
    for name, sign, _ in given:
        if not name or not sign:
            raise OptionError(f"--parameter {name!r} must be NAME=VALUE")
    with _opened(database) as opened:
        answer = opened.query(cypher, {name: value for name, _, value in given})
        write = formats[format]
        if write is not None:
            write(answer, sys.stdout)
            return
        table = Table()
        for name in answer.columns:
            table.add_column(Text(name))
        for row in worded(answer):
            table.add_row(*map(Text, row))
        out.print(table)


@graph.command()
def export(
    facts: Facts,
    output: Annotated[Path, typer.Option(help="File to write: .nt or .ttl (RDF, also .gz), or .graphml.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="Beginning of the addresses in RDF, one of your own.", show_default="http://example.org/kexue/"
        ),
    ] = None,
    aliases: Aliases = None,
) -> None:
    """Write facts for other programs: RDF with scores and provenance for triple stores, GraphML for networkx and Gephi.

    Example: `kexue graph export facts.jsonl --output facts.nt`
    """
    from kexue.errors import OptionError
    from kexue.integrations import graph as graphs
    from kexue.integrations.graph.addresses import BASE

    endings = "".join(output.suffixes[-2:]) if output.suffix == ".gz" else output.suffix
    if endings == ".graphml":
        if base is not None:
            raise OptionError("--base is for RDF: GraphML has no addresses")
        with _reading(facts, aliases) as sources:
            entities, merged = graphs.export_graphml(sources, output)
        err.print(f"{entities} entities, {merged} facts -> {output}", highlight=False, markup=False)
    elif endings.removesuffix(".gz") in (".nt", ".ttl"):
        with _reading(facts, aliases) as sources:
            count = graphs.write_rdf(sources, output, base=BASE if base is None else base)
        err.print(f"{count} triples -> {output}", highlight=False, markup=False)
    else:
        raise OptionError(f"{output}: must end in .nt, .ttl, .nt.gz, .ttl.gz or .graphml")


@graph.command()
def show(
    database: Folder,
    name: Annotated[str, typer.Argument(help="Name of an entity, as any text has it, or its key.")],
    output: Annotated[Path, typer.Option(help="Picture to write: .svg or .png.")],
    type: Annotated[str | None, typer.Option(help="Its type, where several entities are called so.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=4, help="How far to go from it.")] = 1,
    limit: Annotated[int, typer.Option(min=1, help="Facts to show for each step, those stated most often first.")] = 24,
) -> None:
    """Draw an entity and the facts around it.

    Example: `kexue graph show graph aspirin --output aspirin.svg`
    """
    from kexue.integrations import graph as graphs

    with _opened(database) as opened:
        around = graphs.neighbourhood(opened, graphs.find(opened, name, type), steps=steps, limit=limit)
    graphs.write_picture(around, output)
    err.print(f"{len(around.edges)} facts around {around.center.key!r} -> {output}", highlight=False, markup=False)


_PATTERNS = ("(n:Entity)", "(:Entity)-[n:FACT]->(:Entity)", "(n:Statement)")


def _count(opened: GraphDatabase, pattern: str) -> int:
    return opened.run(f"MATCH {pattern} RETURN count(*)")[0][0]


@contextmanager
def _opened(folder: Path) -> Iterator[GraphDatabase]:
    from kexue.integrations.graph import GraphDatabase

    with GraphDatabase(folder) as opened:
        if opened.unfinished:
            err.print(
                f"{folder}: the last load was cut off; run it again to have all of it", highlight=False, markup=False
            )
        yield opened


@contextmanager
def _reading(facts: list[Path], aliases: Path | None) -> Iterator[Iterator[Source]]:
    """The documents of the files, with a bar of how far they are read."""
    from kexue.errors import DataError
    from kexue.integrations.graph import AliasTable, entity_key, read_facts

    for path in facts:
        if not path.is_file():
            raise DataError("there is no such file", path=path)
    key: Any = entity_key if aliases is None else AliasTable.read(aliases)
    columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("reading", total=sum(path.stat().st_size for path in facts))
        yield read_facts(facts, key, report=lambda position: bar.update(task, completed=position))
