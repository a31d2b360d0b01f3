"""What is counted: requests by route template, and how much there is of everything.

With several workers each counts into files of a common folder, and whichever is asked adds them up.
No label says anything about a firm or a person.
"""

import logging
import os
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import ACCESS
from api.permissions import TABLE
from zyz_match.ops_desk import Gauges

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the folder of prometheus_client for several workers
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABELS = ("method", "route")


class Metrics:
    """The counters of one application in this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "zyz_http_requests", "Requests answered.", (*_LABELS, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "zyz_http_request_seconds", "Seconds to the end of the answer.", _LABELS,
            registry=self._registry, buckets=_SECONDS,
        )  # fmt: skip

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self, gauges: Gauges) -> bytes:
        """Everything in the format of Prometheus: of all workers, and of the store."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        store = CollectorRegistry()
        store.register(_Store(gauges))
        return generate_latest(registry) + generate_latest(store)


class _Store(Collector):
    """How much there is of everything, as found a moment ago."""

    def __init__(self, found: Gauges) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Each as a gauge."""
        for name in ("firms", "towns", "leads", "lists", "audit", "changes"):
            yield GaugeMetricFamily(
                f"zyz_{name}", f"How many {name} there are.", getattr(self._found, name)
            )
        for name in ("jobs", "deliveries"):
            family = GaugeMetricFamily(
                f"zyz_{name}", f"How many {name} by state.", labels=["state"]
            )
            for state, count in sorted(getattr(self._found, name).items()):
                family.add_metric([state], count)
            yield family


class Observe:
    """Outermost of all: counts every request and writes its line into the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        found = TABLE.find(scope["method"], scope["path"])
        route = found.template if found else "unknown"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.count(method, route, status, seconds)
        if ACCESS.isEnabledFor(logging.INFO):
            state = scope.get("state", {})
            caller = state.get("caller")
            line = {
                "request_id": state.get("request_id", ""), "method": method, "route": route,
                "status": status, "ms": round(1000 * seconds, 1),
                "actor": caller.name if caller else "",
            }  # fmt: skip
            ACCESS.info("request", extra=line)
