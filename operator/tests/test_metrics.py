from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from codesession_crds.paths import PODS
from codesession_operator.audit import Audit
from codesession_operator.metrics import Metrics
from codesession_operator.workqueue import Key, WorkQueue
from tests.api_model import NAMESPACE, ApiModel
from tests.operator_model import OperatorModel

Values = dict[tuple[str, ...], float]


class Told:
    """What is told of an operator with one environment, its pool of two, and one claimed session."""

    def __init__(self, operator: OperatorModel) -> None:
        client: Any = operator.api
        self.queue = WorkQueue()
        audit = Audit(client, operator.world, NAMESPACE, interval=60, grace=0)
        self.metrics = Metrics(operator.world, self.queue, audit, {("POST", "pods"): 3})

    def __call__(self, name: str) -> Values:
        """Values of samples by the values of their labels."""
        families = text_string_to_metric_families(self.metrics.rendered().decode())
        samples = [sample for family in families for sample in family.samples]
        prefix = "codesession_operator_"
        return {tuple(s.labels.values()): s.value for s in samples if s.name == prefix + name}


@pytest.fixture
async def told() -> Told:
    operator = OperatorModel(ApiModel(datetime(2026, 11, 21, 12, tzinfo=UTC)))
    operator.environment(warmPool={"replicas": 2})
    operator.session()
    await operator.settle()
    operator.world.last_heard[PODS] = 0.0
    return Told(operator)


async def test_what_is_so_now(told: Told) -> None:
    told.queue.add(Key("session", "s"))
    assert told("queue_length") == {(): 1}
    assert told("objects")["codesessions",] == 3
    assert sum(told("sessions").values()) == 3
    assert {environment for environment, _ in told("sessions")} == {"default"}
    assert told("pool_wanted") == {("default",): 2}
    assert sum(told("pool_sessions").values()) == 2
    assert told("requests_total") == {("POST", "pods"): 3}
    assert told("watch_age_seconds")["pods",] > 0
    assert told("audit_age_seconds")[()] < 60
    assert told("watches_behind") == {(): 0}


async def test_reconciling_is_timed_and_counted_however_it_ends(told: Told) -> None:
    with told.metrics.reconciling("session"):
        pass
    with pytest.raises(ValueError, match="no"), told.metrics.reconciling("session"):
        raise ValueError("no")
    assert told("reconciled_total") == {("session", "done"): 1, ("session", "failed"): 1}
    assert told("reconcile_seconds_count") == {("session",): 2}
