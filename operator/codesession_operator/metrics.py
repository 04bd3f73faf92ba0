"""What Prometheus is told: what was counted, and what is known at the moment that it asks.

Labels name environments and kinds of objects, never a session.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from codesession_operator.audit import Audit
from codesession_operator.workqueue import WorkQueue
from codesession_operator.world import World

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types there

_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_PREFIX = "codesession_operator_"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class Metrics:
    """One operator's, in a registry of its own. `requests` are calls to the API server by method and kind."""

    def __init__(
        self, world: World, queue: WorkQueue, audit: Audit, requests: Mapping[tuple[str, str], int]
    ) -> None:
        self._world = world
        self._queue = queue
        self._audit = audit
        self._requests = requests
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            _PREFIX + "reconcile_seconds",
            "Time to reconcile one object, calls to the API server included.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._reconciled = Counter(
            _PREFIX + "reconciled",
            "Objects reconciled, by how it went.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def rendered(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    @contextlib.contextmanager
    def reconciling(self, kind: str) -> Iterator[None]:
        """Time the block; it went well unless it raises."""
        begun, outcome = time.perf_counter(), "failed"
        try:
            yield
            outcome = "done"
        finally:
            self._seconds.labels(kind).observe(time.perf_counter() - begun)
            self._reconciled.labels(kind, outcome).inc()

    def collect(self) -> Iterator[Metric]:
        """What is so now, for the registry."""
        yield _gauge("queue_length", "Objects that wait to be reconciled.", {(): len(self._queue)})
        yield self._objects()
        yield from self._sessions()
        yield from self._pools()
        yield from self._watches()
        requests = CounterMetricFamily(
            _PREFIX + "requests", "Calls to the API server.", labels=("method", "resource")
        )
        for (method, resource), count in sorted(self._requests.items()):
            requests.add_metric((method, resource), count)
        yield requests

    def _objects(self) -> Metric:
        kinds = self._world.kinds.items()
        counts = {(resource.plural,): len(kind.cache) for resource, kind in kinds}
        return _gauge("objects", "Objects known of, by kind.", counts, "resource")

    def _sessions(self) -> Iterator[Metric]:
        phases = Tally((session.environment, session.phase.value) for session in self._world.sessions.all())
        yield _gauge("sessions", "Sessions by environment and phase.", phases, "environment", "phase")

    def _pools(self) -> Iterator[Metric]:
        wanted, depth = {}, {}
        for environment in self._world.environments.all():
            wanted[environment.name,] = environment.spec.warm_pool.replicas
            waiting = self._world.sessions.warm(environment.name)
            ready = sum(one.is_ready for one in waiting)
            depth[environment.name, "ready"] = ready
            depth[environment.name, "starting"] = len(waiting) - ready
        yield _gauge("pool_wanted", "Warm sessions that an environment asks for.", wanted, "environment")
        yield _gauge("pool_sessions", "Unclaimed sessions there are.", depth, "environment", "state")

    def _watches(self) -> Iterator[Metric]:
        now = time.monotonic()
        ages = {(resource.plural,): now - moment for resource, moment in self._world.last_heard.items()}
        yield _gauge("watch_age_seconds", "Time since a watch told anything.", ages, "resource")
        yield _gauge(
            "audit_age_seconds",
            "Time since the caches were compared with the API server.",
            {(): self._audit.age},
        )
        behind = {(): float(not self._audit.healthy)}
        yield _gauge(
            "watches_behind", "1 while a watch is behind the API server, or not known not to be.", behind
        )


def _gauge(name: str, documentation: str, values: Mapping[_Labels, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, documentation, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family
