"""Thousands of hostile requests against the real service: no 500, none unanswered, nothing leaks."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kexue.diffusion.checkpoint import save_generator
from tests.extraction.tiny import TEXTS
from tests.server.conftest import tiny_generator
from tests.server.hostile import CLOSED, attack, dawdlers, held
from tests.server.running import Running, running

MOST_MEMORY = 240  # MiB more than after the warm-up, as the largest batch may come later; one for each request is more
AGAIN = 60.0  # seconds in which everything is let go


@contextmanager
def serving(folder: Path, models: Path, module: str) -> Iterator[Running]:
    save_generator(tiny_generator(), folder / "dots")
    with running(str(models), str(folder / "dots"), module=module) as service:
        yield service


def answers(address: str) -> list[Any]:
    """What the service says to honest questions; asked again while it is too busy."""
    told = []
    for path, body in (("/extract", {"texts": list(TEXTS)}), ("/generate", {"num": 2, "steps": 3, "seed": 7})):
        while (answer := httpx.post(address + path, json=body, timeout=60)).status_code == 503:
            time.sleep(0.2)
        assert answer.status_code == 200
        told.append(
            [(document["entities"], document["relations"]) for document in answer.json()["documents"]]
            if path == "/extract"
            else answer.text.splitlines()[-1]
        )
    return told


def waiting(address: str) -> float:
    told = httpx.get(f"{address}/metrics", timeout=60).text
    return sum(map(float, re.findall(r"kexue_waiting_items\{.*?\} (\S+)", told)))


def settle(service: Running, descriptors: int) -> dict[str, int]:
    """What the service holds once it has let go of what it can."""
    end = time.monotonic() + AGAIN
    while time.monotonic() < end and (
        waiting(service.address) or held(service.process.pid)["descriptors"] > descriptors
    ):
        time.sleep(0.5)
    return held(service.process.pid)


def check(service: Running, num: int, seed: int, *, warm_up: int, takes: float) -> Counter[tuple[str, int]]:
    """Attack, then compare with what was before."""
    attack(service.address, warm_up, seed=-1, takes=0)  # so that everything is loaded and every pool is filled
    told, before = answers(service.address), settle(service, 10**6)
    seen = attack(service.address, num, seed, takes=takes)
    after = settle(service, before["descriptors"])
    assert answers(service.address) == told
    assert waiting(service.address) == 0
    assert after["descriptors"] <= before["descriptors"] + 2, (before, after)
    assert after["threads"] <= before["threads"] + 2, (before, after)
    assert after["memory"] <= before["memory"] + MOST_MEMORY, (before, after)
    assert service.process.poll() is None
    let_go = {"a body without end": 408, "a second request that never ends": 200}
    sure = [hostile.kind for hostile in dawdlers(takes) if hostile.kind != "takes nothing"]  # how much waits is chance
    assert all(seen[kind, let_go.get(kind, CLOSED)] for kind in sure), seen
    return seen


@pytest.mark.slow
def test_hundreds_of_hostile_requests_are_answered_and_leave_nothing_behind(tmp_path: Path, model_folder: Path):
    with serving(tmp_path, model_folder, "tests.server.limited") as service:
        seen = check(service, 250, seed=0, warm_up=100, takes=8.0)
    assert {status for _, status in seen} >= {200, 400, 413, 422}


@pytest.mark.long
def test_ten_thousand_hostile_requests_are_answered_and_leave_nothing_behind(tmp_path: Path, model_folder: Path):
    with serving(tmp_path, model_folder, "kexue") as service:
        seen = check(service, 10_000, seed=1, warm_up=1500, takes=60.0)
    print(*sorted(seen.items()), sep="\n")
