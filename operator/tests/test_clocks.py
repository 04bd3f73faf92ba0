"""The operator's clock is ahead of the API server's and the kubelets', or behind: what differs is when, by as
much at most, and never what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.api_model import ApiModel
from tests.operator_model import OperatorModel
from tests.test_convergence import NAME, assert_settled, gone

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = 5
"""Seconds; `OperatorModel.settle` lets as many pass at a time."""
skewed = pytest.mark.parametrize("skew", [-90, -30, 30, 90])


def model(skew: float) -> tuple[ApiModel, OperatorModel]:
    api = ApiModel(NOON)
    return api, OperatorModel(api, skew=skew)


async def until(operator: OperatorModel, what: str, seconds: float) -> float:
    """Seconds until that is so of the session, as the API server counts them."""
    begun = operator.api.now
    while (operator.api.now - begun).total_seconds() <= seconds:
        session = operator.api.objects.get(("codesessions", NAME))
        if (session or {}).get("status", {}).get("phase", "gone") == what:
            return (operator.api.now - begun).total_seconds()
        operator.api.collect_garbage()
        operator.api.kubelet_stops()
        operator.api.kubelet_starts()
        operator.hear()
        await operator.work()
        operator.passes(STEP)
    raise AssertionError(f"not {what} within {seconds} s")


@skewed
async def test_a_session_ends_earlier_or_later_by_the_difference(skew: float) -> None:
    _, operator = model(skew)
    operator.environment()
    operator.session(seconds=600)
    await until(operator, "Ready", 30)
    lived = await until(operator, "gone", 800)
    assert abs(lived - (600 - skew)) <= 4 * STEP


@skewed
async def test_a_pod_that_failed_is_replaced_at_once_all_the_same(skew: float) -> None:
    """By its kubelet's clock it may have ended at a time that has not come here. The next ones, which are
    waited with, come later by that."""
    api, operator = model(skew)
    operator.environment()
    operator.session()
    await until(operator, "Ready", 30)
    for later in (0, max(0, -skew)):
        api.pods_fail()
        operator.hear()
        await operator.work()
        assert api.objects["codesessions", NAME]["status"]["phase"] == "Pending"
        await until(operator, "Ready", later + 4 * STEP)


@skewed
async def test_the_end_is_the_same(skew: float) -> None:
    api, operator = model(skew)
    operator.environment(replicas=2)
    operator.session(NAME)
    await operator.settle()
    gone(api, "pods")
    api.nodes_answer = False
    operator.passes(60)
    await operator.work()
    api.nodes_answer = True
    await operator.settle()
    await assert_settled(api, operator)
    assert timedelta(0) < api.now - NOON
