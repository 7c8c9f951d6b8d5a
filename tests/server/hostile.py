"""Requests that no client should send, raw as they go over the wire, the same for the same seed.

python -m tests.server.hostile http://127.0.0.1:8000 --num 10000 --seed 0         attack a service of one's own
python -m tests.server.hostile http://127.0.0.1:8000 --seed 0 --only 417          one request of it again
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile import FRAGMENTS, damage_bytes, damage_json, deep, wild

TEXT = "Marie Curie was born in Warsaw. 居里夫人出生于华沙。"
EXTRACT = [
    {"text": TEXT},
    {"texts": [TEXT, "", "Nothing."], "threshold": 0.5, "model": "people"},
]
GENERATE = [{"num": 2, "sampler": "ddim", "steps": 2, "seed": 1, "label": "bee", "guidance": 2.0, "model": "dots"}]
TRAVERSALS = (
    "../../etc/passwd",
    "..",
    "/etc/passwd",
    "people/../people",
    "people\0",
    "people%00",
    "C:\\model",
    "~",
    "",
)
PATHS = (
    "/page/../app.py",
    "/page/%2e%2e/app.py",
    "/page/..%2fapp.py",
    "/page/%00",
    "/page/\\..\\app.py",
    "/page/" + "a" * 5000,
    "/page//etc/passwd",
    "/extract/../metrics",
    "/%ff%fe",
    "/models?" + "a=b&" * 5000,
    "/health/",
    "//",
    "*",
    "http://elsewhere.example/extract",
)
TYPES = (
    "text/plain",
    "application/xml",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "",
    "\xff",
)
ANSWERS = {200, 400, 404, 405, 408, 413, 422, 503, 504}
SLOW = 4.0
AT_ONCE = 8
HALF_CLOSED = {"length", "chunks", "cut short", "waits to be asked", "damaged"}
"""Kinds after which nothing more is sent: the service is not left to wait for the rest."""
CLOSED = 0
"""Instead of a status, where the service closed the connection without an answer."""


@dataclass(frozen=True)
class Hostile:
    """What is sent, in pieces with pauses of `pause` seconds between; `may_close`: no answer is an answer too."""

    kind: str
    pieces: tuple[bytes, ...]
    may_close: bool = False
    pause: float = 0.0
    takes: float | None = 0.0
    """Seconds after which the answer is taken; None: it never is."""


@dataclass(frozen=True)
class Outcome:
    """What came back, and after how many seconds."""

    status: int
    seconds: float
    sending: float = 0.0
    """Of these the seconds until all was sent; who takes `SLOW` of them may be let go."""


def post(path: str, body: bytes, content_type: str = "application/json", *headers: str) -> bytes:
    """A request with a whole body."""
    lines = [f"POST {path} HTTP/1.1", "host: x", "connection: close", f"content-length: {len(body)}", *headers]
    lines += [f"content-type: {content_type}"] if content_type else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


# --- bodies ---


def bodies(chance: random.Random) -> tuple[str, bytes]:
    """A kind and a body of it."""
    whole: Any = chance.choice(EXTRACT + GENERATE)
    number = chance.choice(["1e999", "-1e999", "NaN", "Infinity", "9" * 400, "9" * 5000, "-0", "1e-400", "0x10", "1_0"])
    key = chance.choice(["text", "texts", "threshold", "model", "num", "steps", "seed", "guidance", "label", "sampler"])
    kinds: dict[str, Callable[[], bytes]] = {
        "structure": lambda: damage_json(whole, chance).encode("utf-8", "surrogatepass"),
        "structure again": lambda: damage_json(whole, chance).encode("utf-8", "surrogatepass"),
        "bytes": lambda: damage_bytes(json.dumps(whole, ensure_ascii=False).encode(), chance),
        "noise": lambda: chance.randbytes(chance.randrange(2000)),
        "nothing": lambda: b"",
        "deep": lambda: b'{"text": ' + chance.choice([b"[", b'{"a":']) * chance.choice([10, 990, 100_000]),
        "deep and closed": lambda: json.dumps({key: deep(chance.choice([100, 400, 900]))}).encode(),
        "encoding": lambda: json.dumps(whole, ensure_ascii=False).encode(
            chance.choice(["utf-16", "utf-16-le", "utf-32", "gb18030", "utf-8-sig", "utf-7"])
        ),
        "no characters": lambda: json.dumps({"text": "".join(chr(chance.randrange(0x20)) for _ in range(99))}).encode(),
        "any characters": lambda: json.dumps(
            {"text": "".join(chr(chance.randrange(0x110000)) for _ in range(200))}
        ).encode(),
        "halves": lambda: json.dumps({key: chr(chance.randrange(0xD800, 0xE000)) * 9, "text": "a"}).encode(),
        "bad utf-8": lambda: b'{"text": "a' + chance.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5"]) + b'"}',
        "number": lambda: f'{{"text": "a", "{key}": {number}}}'.encode(),
        "twice": lambda: b'{"text": "a", "text": ' + json.dumps(wild(chance)).encode() + b"}",
        "traversal": lambda: json.dumps({"text": "a", "model": chance.choice(TRAVERSALS)}).encode(),
        "long name": lambda: json.dumps({"text": "a", key: "x" * 10**6}).encode(),
        "long text": lambda: json.dumps(
            {"text": chance.choice(["a", "a ", "é", "的", "\u0301", "😀"]) * 3000}
        ).encode(),
        "too long": lambda: json.dumps({"text": "a" * 300_000}).encode(),
        "many texts": lambda: json.dumps({"texts": ["a"] * chance.choice([256, 257, 300_000])}).encode(),
        "many mistakes": lambda: json.dumps({"texts": [0] * 300_000}).encode(),
        "many keys": lambda: json.dumps({f"k{number}": 0 for number in range(100_000)}).encode(),
        "too large": lambda: b'{"text": "' + b"a" * 5_000_000 + b'"}',
        "no object": lambda: json.dumps(wild(chance)).encode("utf-8", "surrogatepass"),
    }
    kind = chance.choice(list(kinds))
    return kind, kinds[kind]()


# --- what surrounds them ---


def requests(chance: random.Random) -> Hostile:
    """Any request; most are whole requests with a hostile body."""
    path = chance.choice(["/extract", "/extract", "/generate"])
    kind, body = bodies(chance)
    if chance.random() < 0.7:
        return Hostile(kind, (post(path, body),))
    good = json.dumps(EXTRACT[0]).encode()
    head = b"POST /extract HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    length = chance.choice(["-1", "+5", "abc", "1e3", "9" * 30, "0x10", "5, 5", "", " "])
    method = chance.choice(
        ["GET", "PUT", "DELETE", "TRACE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "BREW", "post", "\x00"]
    )
    kinds: dict[str, Callable[[], Hostile]] = {
        "content type": lambda: Hostile("content type", (post(path, good, chance.choice(TYPES)),)),
        "compressed": lambda: Hostile(
            "compressed",
            (
                post(
                    path,
                    gzip.compress(b'{"text": "' + b"a" * 10**7 + b'"}', mtime=0),
                    "application/json",
                    "content-encoding: gzip",
                ),
            ),
        ),
        "path": lambda: Hostile(
            "path", (f"GET {chance.choice(PATHS)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode(),), True
        ),
        "method": lambda: Hostile(
            "method", (f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode("latin-1"),), True
        ),
        "length": lambda: Hostile("length", (head + f"content-length: {length}\r\n\r\n".encode() + good,), True),
        "two lengths": lambda: Hostile(
            "two lengths", (head + b"content-length: 5\r\ncontent-length: 9\r\n\r\n" + good,), True
        ),
        "smuggled": lambda: Hostile(
            "smuggled",
            (head + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",),
            True,
        ),
        "chunks": lambda: Hostile(
            "chunks",
            (
                head + b"transfer-encoding: chunked\r\n\r\n",
                chance.choice([b'5\r\n{"a":\r\n', b"ffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"1;" + b"x" * 10**5]),
            ),
            True,
        ),
        "cut short": lambda: Hostile(
            "cut short",
            (head + f"content-length: {len(good) + 100}\r\n\r\n".encode() + good[: chance.randrange(99)],),
            True,
        ),
        "more than said": lambda: Hostile("more than said", (head + b"content-length: 13\r\n\r\n" + good * 100,), True),
        "many headers": lambda: Hostile(
            "many headers",
            (head + b"".join(b"x-%d: y\r\n" % n for n in range(chance.choice([200, 20_000]))) + b"\r\n",),
            True,
        ),
        "a long header": lambda: Hostile(
            "a long header", (head + b"x: " + b"y" * chance.choice([60_000, 10**6]) + b"\r\n\r\n",), True
        ),
        "odd headers": lambda: Hostile(
            "odd headers",
            (head + b"x" + chance.choice(FRAGMENTS[:12]) + b": " + chance.randbytes(20) + b"\r\n\r\n",),
            True,
        ),
        "ranges": lambda: Hostile(
            "ranges",
            (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nrange: bytes=" + b"0-1," * 2000 + b"5-\r\n\r\n",),
        ),
        "waits to be asked": lambda: Hostile(
            "waits to be asked", (head + b"expect: 100-continue\r\ncontent-length: 10000000\r\n\r\n",), True
        ),
        "upgrade": lambda: Hostile(
            "upgrade", (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",), True
        ),
        "another protocol": lambda: Hostile(
            "another protocol",
            (
                chance.choice(
                    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", chance.randbytes(300)]
                )
                + b"\r\n\r\n",
            ),
            True,
        ),
        "damaged": lambda: Hostile("damaged", (damage_bytes(post(path, good), chance),), True),
        "leaves": lambda: Hostile("leaves", (post(path, body),), True, takes=None),
    }
    return kinds[chance.choice(list(kinds))]()


def dawdlers(takes: float) -> list[Hostile]:
    """Clients that take their time: each holds a connection as long as it may, one takes its answers so late."""
    whole = post("/extract", json.dumps(EXTRACT[0]).encode())
    head, body = whole.split(b"\r\n\r\n")
    letters = tuple(bytes([letter]) for letter in head)
    return [
        Hostile("says nothing", (b"",), True),
        Hostile("a letter a second", letters[:60], True, pause=1.0),
        Hostile("an end of line now and then", (head[:30], *(b"\r\nx: y",) * 60), True, pause=1.0),
        Hostile("takes nothing", (b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 1000,), True, takes=takes),
        Hostile("a body without end", (head + b"\r\n\r\n", *(body[:1],) * 60), True, pause=1.0),
        Hostile(
            "a second request that never ends", (whole.replace(b"connection: close\r\n", b""), *letters[:60]), True, 1.0
        ),
    ]


# --- the attack ---


async def send(host: str, port: int, hostile: Hostile, patience: float) -> Outcome:
    """Send it and take the answer; raises TimeoutError where none comes within `patience` seconds."""
    began, sent = time.monotonic(), None
    async with asyncio.timeout(patience):
        reader, writer = await _connect(host, port, small=bool(hostile.takes))
        taking = None if hostile.takes is None else asyncio.ensure_future(_take(reader, hostile.takes))
        try:
            for piece in hostile.pieces:
                writer.write(piece)
                await writer.drain()
                if hostile.pause:
                    await asyncio.sleep(hostile.pause)
                if taking is not None and taking.done():
                    break
            if hostile.kind in HALF_CLOSED:
                writer.write_eof()
            sent = time.monotonic()
            answer = b"" if taking is None else await taking
        except (ConnectionError, OSError):
            answer = taking.result() if taking is not None and taking.done() and not taking.exception() else b""
        finally:
            if taking is not None:
                taking.cancel()
            writer.close()
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer.removeprefix(b"HTTP/1.1 100 \r\n\r\n"))
    found = found or re.search(rb"^HTTP/1\.[01] ([2-5]\d\d) ", answer, re.MULTILINE)
    ended = time.monotonic()
    return Outcome(int(found[1]) if found else CLOSED, ended - began, (sent or ended) - began)


async def _connect(host: str, port: int, *, small: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; of one with a small buffer little is taken before it is read."""
    if not small:
        return await asyncio.open_connection(host, port)
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (host, port))
    return await asyncio.open_connection(sock=own, limit=4096)


async def _take(reader: asyncio.StreamReader, after: float) -> bytes:
    await asyncio.sleep(after)
    return await reader.read()


def wrong(hostile: Hostile, outcome: Outcome) -> bool:
    """Whether it is another answer than one of those that are documented."""
    if outcome.status == CLOSED:
        return not hostile.may_close and outcome.sending < SLOW
    return outcome.status not in ANSWERS


def attack(
    address: str, num: int, seed: int, *, takes: float = 60.0, patience: float = 150.0, only: Sequence[int] = ()
) -> Counter[tuple[str, int]]:
    """So many hostile requests, and beside them the dawdlers unless `takes` is 0; returns kinds and statuses.

    Raises AssertionError where some have no answer in time or a wrong one, with how to send them again.
    """
    host, port = address.removeprefix("http://").split(":")
    seen: Counter[tuple[str, int]] = Counter()
    failed: list[str] = []

    async def one(number: int, hostile: Hostile) -> None:
        again = f"seed {seed}, number {number}, {hostile.kind}: {b''.join(hostile.pieces)[:400]!r}"
        try:
            outcome = await send(host, int(port), hostile, patience)
        except TimeoutError:
            failed.append(f"no answer within {patience:g} s: {again}")
            return
        if wrong(hostile, outcome):
            failed.append(f"answered {outcome.status}: {again}")
        seen[hostile.kind, outcome.status] += 1

    async def all_of_them() -> None:
        waiting = iter(only or range(num))

        async def some() -> None:
            for number in waiting:
                await one(number, requests(random.Random(f"{seed} {number}")))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(some())
            for hostile in dawdlers(takes) if takes and not only else []:
                group.create_task(one(-1, hostile))

    asyncio.run(all_of_them())
    assert not failed, f"{len(failed)} of {num}:\n" + "\n".join(failed[:20])
    return seen


def held(process: int) -> dict[str, int]:
    """Memory in MiB, file descriptors and threads of a process."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    memory, threads = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "Threads"))
    assert memory and threads
    descriptors = len(list(Path(f"/proc/{process}/fd").iterdir()))
    return {"memory": int(memory[1]) // 1024, "descriptors": descriptors, "threads": int(threads[1])}


def main() -> None:
    """Attack a service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", default=())
    options = parser.parse_args()
    for (kind, status), count in sorted(attack(options.address, options.num, options.seed, only=options.only).items()):
        print(f"{kind:40} {status or 'closed'} {count}")


if __name__ == "__main__":
    main()
