"""What an operator watches, in the words of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kexue.server.host import Host

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Batches(Collector):
    """The queues of all models, read when asked for."""

    def __init__(self, hosts: Mapping[str, Host[Any, Any]]) -> None:
        self.hosts = hosts

    def collect(self) -> Iterable[Metric]:
        """Items that wait, items and batches done."""
        waiting = GaugeMetricFamily("kexue_waiting_items", "Texts or drawings that wait.", labels=["model"])
        items = CounterMetricFamily("kexue_items", "Texts or drawings that were worked on.", labels=["model"])
        batches = CounterMetricFamily("kexue_batches", "Batches that were worked on.", labels=["model"])
        for name, host in self.hosts.items():
            waiting.add_metric([name], host.batcher.waiting)
            items.add_metric([name], host.batcher.items)
            batches.add_metric([name], host.batcher.batches)
        return waiting, items, batches


class Measures:
    """All that is counted and timed."""

    def __init__(self, hosts: Mapping[str, Host[Any, Any]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Batches(hosts))
        self.requests = Counter("kexue_requests", "Requests answered.", ["path", "status"], registry=self._registry)
        self.seconds = Histogram(
            "kexue_request_seconds", "From request to answer.", ["path"], buckets=SECONDS, registry=self._registry
        )

    def text(self) -> bytes:
        """All measures as Prometheus reads them."""
        return generate_latest(self._registry)


class Watched:
    """Counts and times every request by path and status."""

    def __init__(self, app: ASGIApp, measures: Measures, paths: Iterable[str]) -> None:
        self.app = app
        self.measures = measures
        self.paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        began = time.monotonic()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.measures.requests.labels(path, message["status"]).inc()
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self.measures.seconds.labels(path).observe(time.monotonic() - began)
