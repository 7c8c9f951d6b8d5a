"""Under too many requests most of the work would be to refuse them: here that is done before anything is parsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from kexue.server.batcher import Batcher, OverloadError
from kexue.server.protection import refuse


class Refusal:
    """Answers 503 where every model that a path leads to has more to do than can be begun in time.

    A request for one of several models, of which others have time, is refused once it is known which it is for.
    """

    def __init__(self, app: ASGIApp, batchers: Mapping[str, Sequence[Batcher]]) -> None:
        self.app, self.batchers = app, batchers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass the request on."""
        batchers = self.batchers.get(scope["path"], ()) if scope["type"] == "http" else ()
        errors = [error for batcher in batchers if (error := overload(batcher)) is not None]
        if not errors or len(errors) < len(batchers):
            await self.app(scope, receive, send)
            return
        first = min(errors, key=lambda error: error.retry_after)
        await refuse(send, 503, str(first), retry_after(first))


def overload(batcher: Batcher) -> OverloadError | None:
    """What stands against a request that comes now."""
    try:
        batcher.check()
    except OverloadError as error:
        return error
    return None


def retry_after(error: OverloadError) -> dict[str, str]:
    """The header that says when there may be less to do."""
    return {"retry-after": str(math.ceil(error.retry_after))}
