"""A service on an address, until it is told to end: then it takes nothing more and finishes what it took."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from kexue.server.connections import PatientProtocol

BACKLOG = 1024  # connections that the system keeps waiting


def run(app: FastAPI, host: str, port: int, *, timeout: float, announce: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is told the address once it takes connections.

    Raises OSError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listening:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        announce(f"http://{shown}:{listening.getsockname()[1]}")
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            log_level="warning",
            timeout_keep_alive=5,
            timeout_graceful_shutdown=round(timeout) + 1,
            server_header=False,
        )
        spare_the_collector()
        uvicorn.Server(config).run(sockets=[listening])


def spare_the_collector() -> None:
    """Leave what is loaded by now out of garbage collections: to look through all of it stops everything for 0.3 s."""
    gc.collect()
    gc.freeze()
