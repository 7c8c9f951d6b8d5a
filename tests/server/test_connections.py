"""Who does not finish a head or takes nothing of an answer is let go; who does, is not."""

from __future__ import annotations

import asyncio
from unittest.mock import MagicMock

import pytest
import uvicorn
from uvicorn.server import ServerState

from kexue.server import connections


async def connected() -> tuple[connections.PatientProtocol, MagicMock]:
    """A protocol and the transport of its client."""

    async def app(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(60)

    config = uvicorn.Config(app, log_config=None)
    config.load()
    protocol = connections.PatientProtocol(config=config, server_state=ServerState(), app_state={})
    transport = MagicMock()
    transport.get_extra_info.return_value = None
    transport.is_closing.return_value = False
    protocol.connection_made(transport)
    return protocol, transport


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_does_not_end_ends_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch):
    async def dawdle() -> None:
        protocol, transport = await connected()
        if sent:  # of nothing no event loop ever tells
            protocol.data_received(sent)
        await asyncio.sleep(0.3)
        transport.close.assert_called()

    monkeypatch.setattr(connections, "HEAD", 0.05)
    asyncio.run(dawdle())


def test_a_whole_head_has_the_time_that_its_answer_takes(monkeypatch: pytest.MonkeyPatch):
    async def ask() -> None:
        protocol, transport = await connected()
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.3)
        transport.close.assert_not_called()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    monkeypatch.setattr(connections, "HEAD", 0.05)
    asyncio.run(ask())


@pytest.mark.parametrize("takes", [False, True])
def test_an_answer_that_nobody_takes_ends_the_connection(takes: bool, monkeypatch: pytest.MonkeyPatch):
    async def wait() -> None:
        protocol, transport = await connected()
        protocol.pause_writing()
        if takes:
            protocol.resume_writing()
        await asyncio.sleep(0.3)
        assert transport.abort.called == (not takes)

    monkeypatch.setattr(connections, "TAKEN", 0.05)
    asyncio.run(wait())


def test_all_requests_of_a_connection_are_told_that_it_is_lost_but_those_that_were_answered():
    async def leave() -> None:
        protocol, _ = await connected()
        cycles = []
        for _ in range(3):
            protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            cycles.append(protocol.cycle)
        await cycles[0].send({"type": "http.response.start", "status": 204})
        await cycles[0].send({"type": "http.response.body"})
        protocol.connection_lost(None)
        assert [cycle.disconnected for cycle in cycles] == [False, True, True]
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(leave())
