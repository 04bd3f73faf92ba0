"""Sessions and environments over the API model: what is written, and how often."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codesession_crds.paths import CODE_SESSIONS
from codesession_operator.plan import FORCE_SECONDS
from codesession_operator.world import environment_key
from tests.api_model import ApiModel
from tests.operator_model import OperatorModel

NAME = "s" * 21


@pytest.fixture
def api() -> ApiModel:
    return ApiModel(datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
def operator(api: ApiModel) -> OperatorModel:
    return OperatorModel(api)


def condition(obj: dict[str, Any]) -> dict[str, Any]:
    (one,) = obj["status"]["conditions"]
    found: dict[str, Any] = one
    return found


async def test_what_a_session_costs(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    await operator.settle()
    api.writes.clear()
    operator.session()
    await operator.settle()
    of_session = api.writes - Counter({("patch", "status"): 1})  # the environment's count
    assert of_session == {
        ("create", "persistentvolumeclaims"): 1,
        ("create", "pods"): 1,
        ("patch", "status"): 2,
    }
    api.writes.clear()
    operator.passes(3600)
    await operator.settle()
    assert api.writes.total() == 0


async def test_guards_come_first(api: ApiModel, operator: OperatorModel) -> None:
    operator.session()
    operator.environment()
    operator.hear()
    order: list[str] = []
    while operator.woken:
        before = set(api.objects)
        await operator.work(1)
        order += [plural for plural, _ in set(api.objects) - before]
    assert order.index("networkpolicies") < order.index("pods")
    assert order.index("limitranges") < order.index("pods")
    assert order.index("resourcequotas") < order.index("pods")


async def test_a_policy_that_was_opened_is_put_back(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    await operator.settle()
    (policy,) = api.of("networkpolicies")
    api.put({**policy, "spec": policy["spec"] | {"egress": [{}]}})
    operator.hear()
    operator.session()
    await operator.settle()
    (policy,) = api.of("networkpolicies")
    assert policy["spec"]["egress"] == []
    assert len(api.pods()) == 1


async def test_an_expired_session_leaves_nothing(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session(seconds=100)
    await operator.settle(3)
    assert len(api.pods()) == 1
    operator.passes(100)
    await operator.settle()
    assert (api.sessions(), api.pods(), api.volumes()) == ([], [], [])
    assert [event["reason"] for event in api.of("events")] == ["Expired"]


async def test_a_session_prolonged_at_the_last_moment_stays(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session(seconds=100)
    await operator.settle(3)
    later = (api.now + timedelta(seconds=5000)).strftime("%Y-%m-%dT%H:%M:%SZ")
    operator.change("codesessions", NAME, shutdownTime=later)
    operator.passes(100)
    await operator.work()
    assert len(api.sessions()) == 1
    await operator.settle()
    assert condition(api.objects["codesessions", NAME])["status"] == "True"


async def test_a_session_claimed_while_it_is_thrown_away_stays(
    api: ApiModel, operator: OperatorModel
) -> None:
    operator.environment(replicas=1)
    await operator.settle()
    (warm,) = api.sessions()
    name = warm["metadata"]["name"]
    claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": "2026-11-21T12:00:00Z"}
    operator.change("codesessions", name, claim=claim, shutdownTime="2026-11-22T12:00:00Z")
    operator.world.heard(CODE_SESSIONS, warm)
    api.pods_fail()
    operator.change("codeenvironments", "default", warmPool={"replicas": 0})
    await operator.settle()
    assert [one["metadata"]["name"] for one in api.sessions()] == [name]
    assert api.objects["codesessions", name]["status"]["phase"] == "Ready"


async def test_the_pool_fills_once(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment(replicas=5)
    operator.hear()
    await operator.work()
    for _ in range(20):  # watches are late: answers alone must keep the count
        operator.woken.setdefault(environment_key("default"))
        await operator.work()
    assert len(api.sessions()) == 5
    operator.restart()
    await operator.settle()
    assert len(api.sessions()) == 5
    assert len(api.pods()) == 5


async def test_a_claim_is_made_good(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment(replicas=2)
    await operator.settle()
    name = api.sessions()[0]["metadata"]["name"]
    claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": "2026-11-21T12:00:00Z"}
    operator.change("codesessions", name, claim=claim, shutdownTime="2026-11-22T12:00:00Z")
    await operator.settle()
    assert len(api.sessions()) == 3
    (environment,) = api.of("codeenvironments")
    assert (environment["status"]["warm"], environment["status"]["claimed"]) == (2, 1)


async def test_a_broken_image_is_not_tried_without_pause(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment(replicas=1)
    operator.hear()
    made: list[int] = []
    for _ in range(60):
        await operator.work()
        api.pods_fail()
        operator.hear()
        await operator.work()
        api.collect_garbage()
        api.kubelet_stops()
        operator.hear()
        operator.passes(1)
        made.append(api.writes["create", "codesessions"])
    assert made[-1] <= 7
    assert made[-1] > 3


async def test_a_new_image_reaches_the_warm_ones_without_a_gap(
    api: ApiModel, operator: OperatorModel
) -> None:
    operator.environment(replicas=2)
    await operator.settle()
    before = {one["metadata"]["name"] for one in api.sessions()}
    operator.change("codeenvironments", "default", image="i:2")
    operator.hear()
    await operator.work()
    assert before < {one["metadata"]["name"] for one in api.sessions()}
    await operator.settle()
    assert before.isdisjoint(one["metadata"]["name"] for one in api.sessions())
    assert {pod["spec"]["containers"][0]["image"] for pod in api.pods()} == {"i:2"}
    assert len(api.pods()) == 2


async def test_a_full_quota_is_told_and_passes(api: ApiModel, operator: OperatorModel) -> None:
    api.pods_allowed = 0
    operator.environment()
    operator.session()
    await operator.settle(1)
    assert condition(api.objects["codesessions", NAME])["reason"] == "QuotaExceeded"
    assert [event["reason"] for event in api.of("events")] == ["QuotaExceeded"]
    api.pods_allowed = 1
    await operator.settle()
    assert condition(api.objects["codesessions", NAME])["reason"] == "Ready"


async def test_a_lost_pod_is_replaced_on_the_same_volume(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session()
    await operator.settle()
    first, (volume,) = api.objects["codesessions", NAME]["status"], api.volumes()
    api.remove("pods", NAME)
    await operator.settle()
    second = api.objects["codesessions", NAME]["status"]
    assert second["podUID"] != first["podUID"]
    assert (second["phase"], second["restartCount"]) == ("Ready", 1)
    assert api.volumes() == [volume]
    assert [event["reason"] for event in api.of("events")] == ["PodLost"]


async def test_a_session_that_never_starts_is_given_up(api: ApiModel) -> None:
    operator = OperatorModel(api, max_restarts=2)
    operator.environment()
    operator.session()
    for _ in range(40):
        operator.hear()
        await operator.work()
        api.pods_fail()
        operator.hear()
        await operator.work()
        api.kubelet_stops()
        operator.passes(5)
    assert api.objects["codesessions", NAME]["status"]["phase"] == "Failed"
    assert api.writes["create", "pods"] == 3


async def test_when_the_environment_goes_so_do_pods_and_spare_sessions(
    api: ApiModel, operator: OperatorModel
) -> None:
    operator.environment(replicas=2)
    operator.session()
    await operator.settle()
    api.remove("codeenvironments", "default")
    operator.passes(31)
    await operator.settle(3)
    assert [one["metadata"]["name"] for one in api.sessions()] == [NAME]
    assert api.pods() == []
    assert condition(api.objects["codesessions", NAME])["reason"] == "EnvironmentMissing"
    assert api.of("networkpolicies") == []
    operator.environment()
    await operator.settle()
    assert condition(api.objects["codesessions", NAME])["reason"] == "Ready"


async def test_a_quota_that_nobody_counts_is_brought_to_notice(
    api: ApiModel, operator: OperatorModel
) -> None:
    api.counts_sessions = False
    operator.environment()
    await operator.settle(rounds=3)
    (quota,) = api.of("resourcequotas")
    assert quota["status"]["used"].keys() < quota["spec"]["hard"].keys()
    api.counts_sessions = True
    await operator.settle()
    (after,) = api.of("resourcequotas")
    assert after["status"]["used"].keys() == quota["spec"]["hard"].keys()
    assert after["spec"] == quota["spec"]
    api.writes.clear()
    operator.passes(3600)
    await operator.settle()
    assert api.writes.total() == 0


async def test_room_is_given_in_the_order_of_asking(api: ApiModel, operator: OperatorModel) -> None:
    """And whoever waits behind others does not ask."""
    operator.environment()
    api.pods_allowed = 1
    names = [letter * 21 for letter in "abcd"]
    for name in names:
        operator.session(name)
        await operator.settle(1)
    assert [pod["metadata"]["name"] for pod in api.pods()] == names[:1]
    assert {condition(one)["reason"] for one in api.sessions()[1:]} == {"QuotaExceeded"}
    api.writes.clear()
    for _ in range(6):
        operator.passes(5)
        await operator.work()
    assert api.writes == {("create", "pods"): 6}
    for name, following in itertools.pairwise(names):
        api.remove("codesessions", name)
        for _ in range(3):
            api.collect_garbage()
            api.kubelet_stops()
            operator.hear()
            await operator.work()
        assert [pod["metadata"]["name"] for pod in api.pods()] == [following]


async def test_a_pool_that_starts_makes_room_for_who_waits(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment(replicas=2)
    api.pods_allowed = 2
    operator.hear()
    await operator.work()
    assert len(api.pods()) == 2
    operator.session()
    for _ in range(4):
        operator.hear()
        await operator.work()
        api.collect_garbage()
        api.kubelet_stops()
    assert NAME in {pod["metadata"]["name"] for pod in api.pods()}
    await operator.settle()
    assert api.objects["codesessions", NAME]["status"]["phase"] == "Ready"
    assert len(api.sessions()) == 3


async def test_a_new_image_where_there_is_no_room_for_both(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment(replicas=2)
    api.pods_allowed = 2
    await operator.settle()
    operator.change("codeenvironments", "default", image="i:2")
    await operator.settle()
    assert [pod["spec"]["containers"][0]["image"] for pod in api.pods()] == ["i:2", "i:2"]


async def test_claimed_sessions_keep_their_pods_when_the_image_changes(
    api: ApiModel, operator: OperatorModel
) -> None:
    operator.environment()
    operator.session()
    await operator.settle()
    (before,) = api.pods()
    operator.change("codeenvironments", "default", image="i:2")
    await operator.settle()
    assert api.pods() == [before]


async def test_a_pod_on_a_lost_node_is_replaced(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session()
    await operator.settle()
    (first,), (volume,) = api.pods(), api.volumes()
    api.nodes_answer = False
    api.remove("pods", NAME)
    for _ in range(3):
        operator.hear()
        await operator.work()
    assert condition(api.objects["codesessions", NAME])["reason"] == "PodLost"
    await operator.settle(FORCE_SECONDS // 5 + 3)
    (second,) = api.pods()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert api.objects["codesessions", NAME]["status"]["phase"] == "Ready"
    assert api.volumes() == [volume]


async def test_orphans_are_removed_by_the_next_process(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session()
    await operator.settle()
    api.orphan(NAME)
    operator.restart()
    await operator.work()
    assert (len(api.pods()), len(api.volumes())) == (1, 1)
    await operator.settle()
    assert (api.pods(), api.volumes()) == ([], [])


async def test_a_session_not_heard_of_makes_no_orphans(api: ApiModel, operator: OperatorModel) -> None:
    operator.environment()
    operator.session()
    await operator.settle()
    session = operator.world.sessions.get(NAME)
    assert session is not None
    operator.world.gone(CODE_SESSIONS, NAME, session.uid)
    operator.passes(600)
    await operator.work()
    operator.passes(600)
    await operator.work()
    assert len(api.pods()) == 1
    assert operator.world.sessions.get(NAME) == session
