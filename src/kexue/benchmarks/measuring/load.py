"""Requests to a service, by clients that wait for their answers or at a rate that heeds nothing.

A client costs the machine that it shares with the service as little as can be: a socket that is kept open, a request
that is bytes already, an answer whose status and length alone are read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

import numpy as np

PATIENCE = 30.0
"""Seconds that a client waits for an answer."""
REST = 0.05
"""Seconds until a refused client that waits for answers asks again; it does not heed Retry-After."""
HEAD = b"POST %s HTTP/1.1\r\nhost: benchmark\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
LOST = 0
"""The status of a request without an answer."""


@dataclass(frozen=True)
class Call:
    """How a service is asked: its path, and what stands in the body beside the text."""

    path: str = "/extract"
    fields: Mapping[str, object] = field(default_factory=dict)

    def body(self, text: str) -> dict[str, object]:
        """What asks for a text."""
        return {"text": text, **self.fields}


EXTRACT = Call()


@dataclass
class Seen:
    """Answers to clients: seconds by status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """One more answer."""
        self.seconds.setdefault(status, []).append(seconds)

    def count(self, status: int) -> int:
        """Answers of a status."""
        return len(self.seconds.get(status, []))

    def others(self, *statuses: int) -> int:
        """Answers of other statuses than these."""
        return sum(len(seconds) for status, seconds in self.seconds.items() if status not in statuses)

    def quantile(self, status: int, share: float) -> float:
        """Seconds within which such a share of the answers came; 0 where there are none."""
        return float(np.quantile(self.seconds.get(status) or [0.0], share))


class Connection:
    """One socket to the service, opened when it is first needed and again where the service closed it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer; `LOST` where none came."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self.host, self.port)
            return await asyncio.wait_for(self._ask(*self._streams, request), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            await self.close()
            return LOST

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while length := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(length + 2)
            await reader.readexactly(2)
        else:
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        if b"connection: close" in head:
            await self.close()
        return int(head.split(b" ", 2)[1])

    async def close(self) -> None:
        """Give the socket back."""
        if self._streams is not None:
            self._streams[1].close()
            with suppress(OSError):
                await self._streams[1].wait_closed()
            self._streams = None


def requests(texts: Sequence[str], call: Call = EXTRACT) -> Iterator[bytes]:
    """What asks for one text after the other, for ever."""
    for text in cycle(texts):
        body = json.dumps(call.body(text)).encode()
        yield HEAD % (call.path.encode(), len(body)) + body


async def waiting_clients(
    address: str, texts: Sequence[str], clients: int, seconds: float, call: Call = EXTRACT
) -> Seen:
    """So many clients, each of which asks again once it has its answer, for so long."""
    seen, end, asked = Seen(), time.monotonic() + seconds, requests(texts, call)

    async def client() -> None:
        connection = Connection(address)
        while (began := time.monotonic()) < end:
            status = await connection.ask(next(asked))
            seen.add(status, time.monotonic() - began)
            if status != 200:
                await asyncio.sleep(REST)
        await connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seen


async def steady_rate(address: str, texts: Sequence[str], rate: float, seconds: float, connections: int) -> Seen:
    """So many requests a second whatever comes back.

    A request that finds all connections taken waits for one, and that counts; that this process was late itself, on
    processors that it shares with the service, does not.
    """
    seen, asked = Seen(), requests(texts)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Connection(address))

    async def one(began: float) -> None:
        connection = await free.get()
        status = await connection.ask(next(asked))
        seen.add(status, time.monotonic() - began)
        free.put_nowait(connection)

    began, tasks = time.monotonic(), set()
    for number in range(round(rate * seconds)):
        if (early := began + number / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
        task = asyncio.ensure_future(one(time.monotonic()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    while not free.empty():
        await free.get_nowait().close()
    return seen
