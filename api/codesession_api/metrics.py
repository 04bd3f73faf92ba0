"""What Prometheus is told of one replica, on a port of its own (`CODESESSION_METRICS_PORT`).

No label names a session, a tenant, a user or a file, and none takes its value from what a client or a sandbox
sent: each has a few values that are known beforehand.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types there

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"})
_WORD = re.compile(r"(?<!^)(?=[A-Z])")

REQUESTS = Counter(
    "codesession_api_requests",
    "Requests, by how they ended.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "codesession_api_request_seconds",
    "Time from a request's head to the end of its answer.",
    ("route",),
    buckets=_SLOW,
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("codesession_api_runs_in_flight", "Exec requests under way.", registry=REGISTRY)
CLAIM_SECONDS = Histogram(
    "codesession_api_claim_seconds",
    "Time to get a fresh sandbox: a warm one of the pool (hit), or one that had to be made (miss).",
    ("pool",),
    buckets=_FAST,
    registry=REGISTRY,
)
FIRST_BYTE_SECONDS = Histogram(
    "codesession_api_first_byte_seconds",
    "Time from an exec request to the first byte that its program wrote.",
    buckets=_FAST,
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "codesession_api_run_seconds",
    "Time that runs took in their sandboxes, waiting for other runs of the session included.",
    ("language",),
    buckets=_SLOW,
    registry=REGISTRY,
)
RUNS = Counter(
    "codesession_api_runs",
    "Runs, by how they ended: the outcomes of the runner, or failed where there was none.",
    ("language", "outcome"),
    registry=REGISTRY,
)
TRANSFER_SECONDS = Histogram(
    "codesession_api_transfer_seconds",
    "Time to move one file into a sandbox (in) or out of it (out).",
    ("direction",),
    buckets=_FAST,
    registry=REGISTRY,
)
TRANSFER_BYTES = Counter(
    "codesession_api_transfer_bytes", "Bytes of files that were moved so.", ("direction",), registry=REGISTRY
)
STREAMS = Gauge("codesession_api_streams_held", "Exec streams held open into sandboxes.", registry=REGISTRY)
ERRORS = Counter(
    "codesession_api_errors",
    "Requests that were refused, by the answer's word; what a sandbox failed to do, by cause.",
    ("cause",),
    registry=REGISTRY,
)


def known_method(sent: str) -> str:
    return sent if sent in _METHODS else "other"


def requested(method: str, route: str, status: int, seconds: float) -> None:
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)


def moved(direction: str, size: int, seconds: float) -> None:
    """One file, whole."""
    TRANSFER_SECONDS.labels(direction).observe(seconds)
    TRANSFER_BYTES.labels(direction).inc(size)


def failed(error: Exception) -> None:
    """By the class of the error: `SandboxLost` is `sandbox_lost`."""
    ERRORS.labels(_WORD.sub("_", type(error).__name__).lower()).inc()


@contextlib.contextmanager
def served(host: str, port: int | None) -> Iterator[None]:
    """On a thread of its own, so that a busy replica tells too. Raises OSError when the port is taken."""
    if port is None:
        yield
        return
    server, thread = start_http_server(port, host, REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
