"""A client that dawdles is let go: one that does not finish the head of a request, or does not take its answer.

uvicorn waits for both without end, and every such connection holds a file descriptor and perhaps an answer. How long a
body may take is said in `protection`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = 10.0  # seconds in which the head of a request must have come, counted from its first byte or the connection
TAKEN = 30.0  # seconds in which a client must take something of an answer that waits for it

Base: Any = AutoHTTPProtocol


class PatientProtocol(Base):
    """uvicorn's protocol with an end to its patience."""

    _hurry: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The first request is to come soon."""
        super().connection_made(transport)
        self._unanswered: deque[Any] = deque()  # requests of this connection, in their order
        self._hurry = self.loop.call_later(HEAD, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more, and all requests are told: uvicorn tells the last of several only."""
        self._stop("_hurry")
        self._stop("_stuck")
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Either this completes a head, or the rest of one is to come soon."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop("_hurry")
        elif self._hurry is None:
            self._hurry = self.loop.call_later(HEAD, self._close)

    def on_headers_complete(self) -> None:
        """One more request, unless it is an upgrade."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._unanswered.append(self.cycle)

    def on_response_complete(self) -> None:
        """The next head, if one was begun, has its own time; keeping alive without one is uvicorn's matter."""
        self._stop("_hurry")
        if self._unanswered:
            self._unanswered.popleft()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        super().pause_writing()
        self._stop("_stuck")
        self._stuck = self.loop.call_later(TAKEN, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._stop("_stuck")

    def _close(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _stop(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)
