"""A graph in a folder, which takes Cypher: LadybugDB, embedded, with what kexue keeps beside it.

    (:Entity {key, name, folded, type})
    (:Entity)-[:FACT {predicate, score, statements, statement}]->(:Entity)
    (:Statement {id, predicate, score, text, subject, subject_start, subject_end, subject_key, object, ...})
    (:Statement)-[:SUBJECT|OBJECT]->(:Entity), (:Statement)-[:STATED_IN]->(:Document {id, ...})

A fact is merged from all its statements: `score` is the highest of theirs, `statements` how many they are, `statement`
the id of the best. Names and predicates are values, never part of a query, so no text can become Cypher.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from kexue.errors import OptionError
from kexue.files import write_json
from kexue.integrations.graph.extra import need
from kexue.integrations.graph.statements import storable

FORMAT = 1
_ANEW = "load the facts into a new folder"
MEMORY = 256 * 2**20  # bytes of the database's page cache
_DATABASE, _ABOUT, _LOCK = "graph.lbug", "graph.json", "graph.lock"
_TABLES = (
    "CREATE NODE TABLE IF NOT EXISTS Entity(key STRING PRIMARY KEY, name STRING, folded STRING, type STRING)",
    "CREATE NODE TABLE IF NOT EXISTS Document"
    "(id STRING PRIMARY KEY, text_digest STRING, content_digest STRING, loaded_by STRING)",
    "CREATE NODE TABLE IF NOT EXISTS Statement(id STRING PRIMARY KEY, predicate STRING, score DOUBLE, text STRING, "
    "subject STRING, subject_start INT64, subject_end INT64, subject_key STRING, "
    "object STRING, object_start INT64, object_end INT64, object_key STRING)",
    "CREATE REL TABLE IF NOT EXISTS FACT"
    "(FROM Entity TO Entity, predicate STRING, score DOUBLE, statements INT64, statement STRING)",
    "CREATE REL TABLE IF NOT EXISTS SUBJECT(FROM Statement TO Entity)",
    "CREATE REL TABLE IF NOT EXISTS OBJECT(FROM Statement TO Entity)",
    "CREATE REL TABLE IF NOT EXISTS STATED_IN(FROM Statement TO Document)",
)


@dataclass(frozen=True)
class Rows:
    """The answer to a query: the names of its columns, and its rows, read as they are asked for."""

    columns: list[str]
    rows: Iterator[list[Any]]


class GraphDatabase:
    """The graph in a folder; a context manager. `writable` makes the folder where it is not there yet.

    Raises `OptionError` for a folder that holds something else, that another process is writing, or that another
    version wrote.
    """

    def __init__(self, folder: str | Path, *, writable: bool = False) -> None:
        self.folder = Path(folder)
        self._ladybug = need("ladybug")
        self._lock = FileLock(self.folder / _LOCK, timeout=0)
        if writable:
            self._prepare()
        self._about = self._read_about()
        try:
            self._database, self._connection = self._open(writable)
            for table in _TABLES if writable else ():
                self.run(table)
        except BaseException:
            self._lock.release()
            raise

    @property
    def unfinished(self) -> bool:
        """Whether the last load was cut off, so that a part of its documents is missing; loading again mends it."""
        return bool(self._about["loading"])

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """The answer to one query; `$name` in it stands for `parameters["name"]`.

        Raises `OptionError` with the database's own words for a query that it refuses.
        """
        given = {name: storable(it) if isinstance(it, str) else it for name, it in (parameters or {}).items()}
        try:
            # With no parameter at all, the database takes each that is missing for null and says nothing.
            result = self._connection.execute(cypher, {"_": 0} | given)
        except RuntimeError as error:
            raise OptionError(f"the query was refused: {error}") from None
        if isinstance(result, list):
            raise OptionError("there are several queries; ask one at a time")
        return Rows(result.get_column_names(), iter(result))

    def run(self, cypher: str, **parameters: Any) -> list[list[Any]]:
        """All rows of a query of our own."""
        return self._connection.execute(cypher, parameters).get_all()

    def run_if(self, cypher: str, **parameter: Sequence[Any]) -> list[list[Any]]:
        """The same for a query over one list; nothing is asked where that is empty."""
        return self.run(cypher, **parameter) if any(parameter.values()) else []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in the block is written, or nothing of it."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Mark the graph as unfinished until the block ends without an exception and all is in the database's file."""
        self._write_about(loading=True)
        yield
        self.run("CHECKPOINT")
        self._write_about(loading=False)

    def close(self) -> None:
        """Let go of the database and of the folder."""
        self._connection.close()
        self._database.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the folder if need be, and hold it."""
        about = self.folder / _ABOUT
        if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir()) and not about.is_file()):
            raise OptionError(f"{self.folder}: is something else than a graph; name a new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not about.exists():
            self._write_about(loading=False)
        self._hold()

    def _read_about(self) -> dict[str, Any]:
        path = self.folder / _ABOUT
        if not path.is_file() or not (self._lock.is_locked or (self.folder / _DATABASE).exists()):
            raise OptionError(f"{self.folder}: holds no graph; `kexue graph load` makes one")
        about = json.loads(path.read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            raise OptionError(f"{self.folder}: was written by another version of kexue; {_ANEW}")
        return about

    def _write_about(self, *, loading: bool) -> None:
        self._about = {"format": FORMAT, "ladybug": self._ladybug.__version__, "loading": loading}
        write_json(self.folder / _ABOUT, self._about)

    def _open(self, writable: bool) -> tuple[Any, Any]:
        """The database and a connection; of a journal that a killed process left, what is whole is taken over."""
        try:
            try:
                return self._connect(writable)
            except RuntimeError:
                if writable:
                    raise
                self._recover()
                return self._connect(writable)
        except RuntimeError as error:
            wrote, here = self._about["ladybug"], self._ladybug.__version__
            versions = "" if wrote == here else f" It was written by ladybug {wrote}, here is {here}: {_ANEW}."
            raise OptionError(f"{self.folder}: cannot be opened now: {error}{versions}") from None

    def _connect(self, writable: bool) -> tuple[Any, Any]:
        database = self._ladybug.Database(
            self.folder / _DATABASE,
            buffer_pool_size=MEMORY,
            read_only=not writable,
            throw_on_wal_replay_failure=False,
        )
        return database, self._ladybug.Connection(database)

    def _recover(self) -> None:
        """Finish what a process had begun that was killed while it moved its journal into the file."""
        self._hold()
        try:
            for part in reversed(self._connect(writable=True)):
                part.close()
        finally:
            self._lock.release()

    def _hold(self) -> None:
        """Hold the folder for this process; the system lets go of it however the process ends."""
        try:
            self._lock.acquire()
        except Timeout:
            raise OptionError(f"{self.folder}: is being loaded by another process; wait for it") from None
