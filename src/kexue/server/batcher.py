"""Requests of many clients as few passes through a model: what waits while one batch runs becomes the next.

    submit -> bounded queue -> threads: take a batch, run it -> futures

Nobody waits on purpose: a lone request runs at once, and under load batches fill by themselves. How long a new request
would wait is the work before it over the measured rate; near the budget it is refused at once, so the queue is bounded
in time, whatever the length of texts and the speed of the machine.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from kexue.errors import KexueError

Item = TypeVar("Item")
Result = TypeVar("Result")

SHARE = 0.5  # of the budget that one batch may take, so that two of them fit
PROMISED = 0.75  # of the budget, by the rate so far: to refuse a flood takes processor time, so the rate falls in one
NEWS = 0.2  # weight of the last batch in the measured rate


class OverloadError(KexueError):
    """There is more work than can be done in time; `retry_after` seconds from now there may be less."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("overloaded: more requests than can be answered in time; try again later")
        self.retry_after = retry_after


class ClosedError(KexueError):
    """The service is shutting down and takes no more requests."""

    def __init__(self) -> None:
        super().__init__("shutting down: no more requests are taken")


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    cost: float
    future: Future[Result]


class Batcher(Generic[Item, Result]):
    """Threads that run `work` on batches of what is submitted, first come first served.

    Args:
        work: items to results, in order.
        cost: how much work an item is, in any unit.
        budget: seconds within which a request is to be begun; more is refused.
        rate: units of cost a second and thread, a first guess that every batch corrects.
        threads: batches at the same time.
        largest: items in a batch, at most.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result]],
        cost: Callable[[Item], float],
        *,
        budget: float,
        rate: float,
        threads: int = 1,
        largest: float = math.inf,
    ) -> None:
        self.work, self.cost, self.budget, self.rate = work, cost, budget, rate
        self.largest = largest
        self.batches = 0
        self.items = 0
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._ahead = 0.0  # cost of what waits and of what runs
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name="batcher", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._queue)

    def check(self) -> None:
        """Raises `OverloadError` if what comes now could not be promised to begin within the budget."""
        delay = self._ahead / (self.rate * len(self._threads))
        if delay > PROMISED * self.budget:
            raise OverloadError(delay - self.budget / 2)

    def submit(self, items: Sequence[Item]) -> list[Future[Result]]:
        """A future for each item; all are taken or none.

        Raises `OverloadError` as `check` does, `ClosedError` after `close`. An idle service takes any request.
        """
        waiting: list[_Waiting[Item, Result]] = [_Waiting(item, self.cost(item), Future()) for item in items]
        with self._changed:
            if self._closed:
                raise ClosedError
            self.check()
            self._queue.extend(waiting)
            self._ahead += sum(each.cost for each in waiting)
            self._changed.notify()
        return [each.future for each in waiting]

    def close(self) -> None:
        """Take nothing more, finish what was taken, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._take():
            wanted = [each for each in batch if each.future.set_running_or_notify_cancel()]
            began = time.monotonic()
            answers = self._work_on(wanted)
            seconds = time.monotonic() - began
            with self._changed:  # before anybody is answered: who has an answer finds it counted
                self._learn(wanted, seconds)
                self._ahead -= sum(each.cost for each in batch)
            for answer in answers:
                answer()

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next batch, of one item at least; none when the batcher is closed and all is done.

        Threads that wait share what is there.
        """
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._queue or self._closed)
            batch: list[_Waiting[Item, Result]] = []
            room = SHARE * self.budget * self.rate
            most = min(self.largest, math.ceil(len(self._queue) / self._idle))
            while len(batch) < most and (not batch or self._queue[0].cost <= room):
                batch.append(self._queue.popleft())
                room -= batch[-1].cost
            self._idle -= 1
            if self._queue:
                self._changed.notify()
            return batch

    def _work_on(self, batch: list[_Waiting[Item, Result]]) -> list[Callable[[], None]]:
        """What gives every future its result or error; of a batch that fails each item is tried by itself."""
        if not batch:
            return []
        try:
            results = self.work([each.item for each in batch])
            return [partial(each.future.set_result, result) for each, result in zip(batch, results, strict=True)]
        except Exception as error:
            if len(batch) == 1:
                return [partial(batch[0].future.set_exception, error)]
            return [answer for each in batch for answer in self._work_on([each])]

    def _learn(self, batch: list[_Waiting[Item, Result]], seconds: float) -> None:
        if not batch:
            return
        self.batches += 1
        self.items += len(batch)
        rate = sum(each.cost for each in batch) / max(seconds, 1e-6)
        self.rate += NEWS * (rate - self.rate)
