"""Questions of one request to their answers: limits first, and an end where the client leaves or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

from kexue.errors import OptionError
from kexue.server.protection import GONE
from kexue.server.settings import Settings

T = TypeVar("T")


def check_size(texts: Sequence[str], settings: Settings) -> None:
    """Raises `OptionError` where a request is larger than allowed."""
    characters = sum(map(len, texts))
    if len(texts) > settings.max_texts:
        raise OptionError(f"{len(texts)} texts in one request; {settings.max_texts} are allowed")
    if characters > settings.max_characters:
        raise OptionError(f"{characters} characters in one request; {settings.max_characters} are allowed")


async def await_answers(futures: Sequence[Future[T]], request: Request, timeout: float) -> list[T]:
    """The results, unless the client leaves or the time is over: then what has not begun is not done."""
    work = asyncio.gather(*map(asyncio.wrap_future, futures))
    leaving = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait((work, leaving), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if leaving.done():
            raise HTTPException(GONE, "the client has gone")
        raise HTTPException(504, f"not answered within {timeout:g} s")
    finally:
        leaving.cancel()
        if work.cancel():
            with suppress(asyncio.CancelledError):
                await work


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
