"""What waits while a batch runs becomes the next batch; what would wait too long is refused at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from kexue.server.batcher import Batcher, ClosedError, OverloadError


class Work:
    """Doubles numbers when it is let; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Event()
        self.may = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.began.set()
        assert self.may.wait(10)
        if 13 in items:
            raise ValueError("13 is unlucky")
        return [2 * item for item in items]


def batcher(work: Work, **changes: float) -> Batcher[int, int]:
    return Batcher(work, float, **({"budget": 10.0, "rate": 10.0} | changes))


def test_what_waits_becomes_one_batch_in_its_order():
    work = Work()
    them = batcher(work)
    first = them.submit([1])
    assert work.began.wait(10)
    later = [*them.submit([2, 3]), *them.submit([4])]
    assert them.waiting == 3
    work.may.set()
    assert [future.result(10) for future in (*first, *later)] == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]
    assert (them.batches, them.items) == (2, 4)


def test_a_batch_takes_half_of_the_budget_at_the_measured_rate_and_one_item_at_least(monkeypatch):
    monkeypatch.setattr("kexue.server.batcher.NEWS", 0.0)  # the rate stays
    work = Work()
    them = batcher(work, budget=2.0, rate=100.0)
    them.submit([1])
    assert work.began.wait(10)
    them.submit([60, 60, 30, 200, 5])
    work.may.set()
    them.close()
    assert work.batches == [[1], [60], [60, 30], [200], [5]]


def test_more_than_can_be_begun_in_time_is_refused_whole_and_says_when_to_come_back():
    work = Work()
    them = batcher(work, budget=1.0, rate=1.0)
    them.submit([5])  # an idle service takes anything
    with pytest.raises(OverloadError) as refusal:
        them.submit([1, 1])
    assert refusal.value.retry_after == pytest.approx(4.5)
    assert them.waiting <= 1
    work.may.set()


def test_what_is_promised_leaves_a_quarter_of_the_budget_for_a_slower_machine():
    work = Work()
    them = batcher(work, budget=1.0, rate=100.0)
    them.submit([70])
    them.submit([5])
    them.submit([1])
    with pytest.raises(OverloadError):
        them.submit([1])
    work.may.set()


def test_who_has_an_answer_finds_it_counted():
    work = Work()
    work.may.set()
    them = batcher(work)
    counts = []
    for _ in range(20):
        future = them.submit([1])[0]
        future.add_done_callback(lambda _: counts.append((them.batches, them.items)))
        future.result(10)
    them.close()
    assert counts == [(number, number) for number in range(1, 21)]


def test_after_an_overload_it_takes_work_again():
    work = Work()
    work.may.set()
    them = batcher(work, budget=0.05, rate=1.0)
    assert them.submit([5])[0].result(10) == 10
    for _ in range(100):
        try:
            assert them.submit([1])[0].result(10) == 2
            return
        except OverloadError:
            time.sleep(0.01)
    pytest.fail("it never took work again")


def test_a_cancelled_item_is_not_worked_on():
    work = Work()
    them = batcher(work)
    them.submit([1])
    assert work.began.wait(10)
    cancelled, kept = them.submit([2, 3])
    assert cancelled.cancel()
    work.may.set()
    assert kept.result(10) == 6
    assert work.batches == [[1], [3]]
    with pytest.raises(CancelledError):
        cancelled.result()


def test_an_item_that_fails_takes_no_other_with_it():
    work = Work()
    them = batcher(work)
    them.submit([1])
    assert work.began.wait(10)
    good, bad, fine = them.submit([2, 13, 3])
    work.may.set()
    assert (good.result(10), fine.result(10)) == (4, 6)
    with pytest.raises(ValueError, match="unlucky"):
        bad.result(10)


def test_closing_finishes_what_was_taken_and_takes_nothing_more():
    work = Work()
    them = batcher(work)
    futures = them.submit([1, 2, 3])
    assert work.began.wait(10)
    closing = threading.Thread(target=them.close)
    closing.start()
    while not them._closed:
        time.sleep(0.001)
    with pytest.raises(ClosedError):
        them.submit([4])
    work.may.set()
    closing.join(10)
    assert [future.result(0) for future in futures] == [2, 4, 6]


def test_the_rate_follows_what_is_measured():
    work = Work()
    work.may.set()
    them = batcher(work, rate=1e-3)
    for _ in range(50):
        them._ahead = 0.0
        them.submit([1])[0].result(10)
    assert them.rate > 10
