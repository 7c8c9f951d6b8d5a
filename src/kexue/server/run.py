"""A service on an address, until it is told to end: then it takes nothing more and finishes what it took."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from kexue.server.connections import PatientProtocol

BACKLOG = 1024  # connections that the system keeps waiting


def reserve(host: str, port: int) -> socket.socket:
    """The address, held before models are loaded for it; connections are taken by `run` only.

    Raises OSError where it cannot be had.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        remedy = "; another --port may be free" if error.errno == errno.EADDRINUSE else ""
        raise OSError(error.errno, f"{error.strerror}: {host}, port {port}{remedy}") from None
    return held


def run(app: FastAPI, held: socket.socket, *, timeout: float, announce: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is told the address once it takes connections.

    SIGTERM ends the process with code 0: before anything was taken at once, then when all that was taken is answered.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # uvicorn keeps a signal to itself until it has answered
    held.listen(BACKLOG)
    host, port = held.getsockname()[:2]
    announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_level="warning",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=round(timeout) + 1,
        server_header=False,
    )
    spare_the_collector()
    uvicorn.Server(config).run(sockets=[held])


def spare_the_collector() -> None:
    """Leave what is loaded by now out of garbage collections: to look through all of it stops everything for 0.3 s."""
    gc.collect()
    gc.freeze()
