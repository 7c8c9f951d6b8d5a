"""A model of a service: it has a name, works in batches, and ends when it has finished what it took."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, ClassVar, Generic

from kexue.server.batcher import Batcher, Item, Result


class Host(ABC, Generic[Item, Result]):
    """What is asked for goes through `batcher`."""

    job: ClassVar[str]

    def __init__(self, name: str, batcher: Batcher[Item, Result]) -> None:
        self.name = name
        self.batcher = batcher

    def submit(self, items: Sequence[Item]) -> list[Future[Result]]:
        """A future for each; raises `OverloadError`."""
        return self.batcher.submit(items)

    def close(self) -> None:
        """Finish what was taken."""
        self.batcher.close()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a client may want to know of the model."""
