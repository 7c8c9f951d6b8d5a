"""Around every request: who asks, how much they send and how long they take to, and what a browser may do with it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 30.0  # seconds in which a body must have come
LINGER = 5.0  # seconds for which a body that is refused is still read
DISCARDED = 2**26  # bytes of it that are, at most
OPEN = ("/", "/health", "/page/")  # what anybody may see: the page asks for the key itself
POLICY = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
GONE = 499  # for the metrics: the client left before its answer, and nothing is sent
UNREAD = {"connection": "close"}  # of an answer to a body that was not read to its end


class BodyLimit:
    """Refuses a body of more than so many bytes with 413, and one that does not arrive in time with 408."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, then hand it on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and len(length) < 20 and int(length) > self.max_bytes:
            await linger(scope, receive)
            await refuse(send, 413, f"the body is larger than the {self.max_bytes} bytes that are allowed", UNREAD)
            return
        try:
            body = await asyncio.wait_for(self._read(scope, receive), SLOWEST)
        except TimeoutError:
            await refuse(send, 408, f"the body did not arrive within {SLOWEST:g} s", UNREAD)
            return
        if body is None:
            await refuse(send, GONE, "the client has gone")
            return
        if len(body) > self.max_bytes:
            await refuse(send, 413, f"the body is larger than the {self.max_bytes} bytes that are allowed", UNREAD)
            return
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, of one that is too large no more than shows it; None if the client has gone."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_bytes:
                if message.get("more_body"):
                    await linger(scope, receive)
                return b"".join(parts)
            if not message.get("more_body"):
                return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then what the server says, so that a client that leaves is noticed."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class ApiKeys:
    """Asks for `Authorization: Bearer KEY`; keys are compared in a time that says nothing of them.

    Who cannot send that, as Label Studio, sends the key as the password of `Authorization: Basic`.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 where the key is missing or wrong."""
        if scope["type"] != "http" or self._may(scope):
            await self.app(scope, receive, send)
            return
        await linger(scope, receive)
        asking = UNREAD | {"www-authenticate": "Bearer"}
        await refuse(send, 401, "an API key is needed: Authorization: Bearer KEY", asking)

    def _may(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in OPEN or path.startswith(OPEN[-1]) or scope["method"] == "OPTIONS":
            return True
        given = _given(Headers(scope=scope).get("authorization", ""))
        right = [hmac.compare_digest(given, known) for known in self.keys]
        return any(right)


def _given(authorization: str) -> bytes:
    """The key in a header; empty where there is none."""
    kind, _, key = authorization.partition(" ")
    given = key.strip().encode("utf-8", "surrogateescape")
    if kind.lower() == "bearer":
        return given
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


class BrowserHeaders:
    """Tells browsers to load nothing from elsewhere and to guess no types."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to every answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


async def linger(scope: Scope, receive: Receive) -> None:
    """Read what is on its way of a body that is refused: a client whose sending is cut off sees no answer."""
    if "expect" not in Headers(scope=scope):  # who asks before sending is sending nothing yet
        with suppress(TimeoutError):
            await asyncio.wait_for(_discard(receive), LINGER)


async def _discard(receive: Receive) -> None:
    size = 0
    while size < DISCARDED:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return


async def refuse(send: Send, status: int, error: str, headers: dict[str, str] | None = None) -> None:
    """Answer with a reason."""
    body = json.dumps({"error": error}).encode()
    own = {"content-type": "application/json", "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in (own | (headers or {})).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
