"""`kexue serve` as a process: begun, told to end, and refused where it cannot work."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.commands import Command
from tests.extraction.tiny import TEXTS
from tests.server.hostile import post
from tests.server.running import running

TEXT = " ".join(TEXTS) * 40
LONG = json.dumps({"texts": [TEXT] * 16}).encode()


def leave(address: str, sent: bytes) -> None:
    """Send this on a connection of its own, and close it while the service is at it."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(sent)
        time.sleep(0.2)


def counted(address: str) -> dict[str, float]:
    """How often each status was counted for `/extract`."""
    told = httpx.get(f"{address}/metrics", timeout=60).text
    found = re.findall(r'kexue_requests_total\{path="/extract",status="(\d+)"\} (\S+)', told)
    return {status: float(count) for status, count in found}


def test_told_to_end_it_finishes_what_it_took_and_takes_nothing_more(model_folder: Path):
    with running(str(model_folder)) as service, ThreadPoolExecutor(4) as pool, ExitStack() as opened:
        clients = [opened.enter_context(httpx.Client(base_url=service.address, timeout=60)) for _ in range(4)]
        for client in clients:
            client.get("/health")  # connected: only the request itself is then on its way when the service is told
        asked = [pool.submit(client.post, "/extract", json={"texts": [TEXT] * 16}) for client in clients]
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        assert {each.result().status_code for each in asked} <= {200, 503}
        assert 200 in {each.result().status_code for each in asked}
        assert service.process.wait(30) == 0
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{service.address}/health")


def test_told_to_end_before_anybody_asked_it_ends_at_once(model_folder: Path):
    with running(str(model_folder)) as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0


def test_a_client_that_leaves_does_not_stop_the_service(model_folder: Path):
    with running(str(model_folder)) as service:
        for _ in range(5):
            with suppress(httpx.ReadTimeout):
                httpx.post(f"{service.address}/extract", json={"texts": [TEXT] * 30}, timeout=0.05)
        answer = httpx.post(f"{service.address}/extract", json={"text": TEXTS[0]}, timeout=60)
        assert answer.status_code in (200, 503)
        worked = re.search(r'items_total\{model="people"\} (\S+)', httpx.get(f"{service.address}/metrics").text)
        assert worked is not None
        assert float(worked[1]) < 5 * 30


def test_clients_that_leave_are_counted_as_such_wherever_they_leave(model_folder: Path):
    with running(str(model_folder)) as service:
        for sent in (post("/extract", LONG)[:-10], post("/extract", LONG)):
            leave(service.address, sent)
        end = time.monotonic() + 30
        while sum(counted(service.address).values()) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        assert counted(service.address) == {"499": 2.0}


def test_a_client_that_sends_two_requests_at_once_and_leaves_is_nothing_to_log(model_folder: Path):
    request = post("/extract", LONG).replace(b"connection: close\r\n", b"")
    with running(str(model_folder)) as service:
        leave(service.address, request * 2)
        end = time.monotonic() + 30
        while not counted(service.address) and time.monotonic() < end:
            time.sleep(0.1)
        assert counted(service.address) == {"499": 1.0}
        assert httpx.get(f"{service.address}/health").status_code == 200
        service.process.terminate()
        assert service.process.stderr is not None
        assert service.process.stderr.read() == ""


def test_a_port_that_is_taken_and_a_folder_that_is_no_model_are_told_in_one_line(
    model_folder: Path,
    tmp_path: Path,
    kexue: Command,
):
    (tmp_path / "not even looked into").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = kexue("serve", tmp_path / "not even looked into", "--port", port, "--device", "cpu")
    assert ended.code == 1
    assert f"in use: 127.0.0.1, port {port};" in ended.err and len(ended.err.splitlines()) == 1
    assert "is not a finished kexue model" in kexue("serve", tmp_path, "--port", 0).complaint
    twice = kexue("serve", model_folder, f"people={model_folder}", "--port", 0, "--device", "cpu")
    assert "two models are called 'people'" in twice.complaint


def test_a_file_of_keys_is_read_line_by_line_and_must_hold_one(
    model_folder: Path,
    tmp_path: Path,
    kexue: Command,
):
    (tmp_path / "keys").write_text("one\n\n two \n", encoding="utf-8")
    with running(str(model_folder), "--api-keys", str(tmp_path / "keys")) as service:
        assert httpx.get(f"{service.address}/models").status_code == 401
        allowed = httpx.get(f"{service.address}/models", headers={"authorization": "Bearer two"})
        assert allowed.status_code == 200
    (tmp_path / "keys").write_text("\n", encoding="utf-8")
    assert "holds no key" in kexue("serve", model_folder, "--api-keys", tmp_path / "keys").complaint
