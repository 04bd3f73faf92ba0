"""Whatever happens, in whatever order it is heard, the end is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api_model import ApiModel
from tests.operator_model import OperatorModel

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME = "s" * 21


def models(**config: Any) -> tuple[ApiModel, OperatorModel]:
    api = ApiModel(NOON)
    return api, OperatorModel(api, **config)


def gone(api: ApiModel, plural: str) -> None:
    for obj in api.of(plural):
        api.remove(plural, obj["metadata"]["name"])


def environment_returns(operator: OperatorModel) -> None:
    if not operator.api.of("codeenvironments"):
        operator.environment(replicas=2)


def image_changes(operator: OperatorModel) -> None:
    if operator.api.of("codeenvironments"):
        operator.change("codeenvironments", "default", image=f"i:{operator.api.now}")


def mode(value: str) -> Callable[[OperatorModel], None]:
    def change(operator: OperatorModel) -> None:
        if ("codesessions", NAME) in operator.api.objects:
            operator.change("codesessions", NAME, operatingMode=value)

    return change


def nodes(answer: bool) -> Callable[[OperatorModel], None]:
    def change(operator: OperatorModel) -> None:
        operator.api.nodes_answer = answer

    return change


def orphan_one(operator: OperatorModel) -> None:
    names = [one["metadata"]["name"] for one in operator.api.sessions()]
    if spare := [name for name in names if name != NAME]:
        operator.api.orphan(spare[0])


def quota(pods: int) -> Callable[[OperatorModel], None]:
    def change(operator: OperatorModel) -> None:
        operator.api.pods_allowed = pods

    return change


HAPPENINGS: dict[str, Callable[[OperatorModel], None]] = {
    "hear one": lambda operator: operator.hear(1),
    "hear some": lambda operator: operator.hear(4),
    "pods start": lambda operator: operator.api.kubelet_starts(),
    "pods stop": lambda operator: operator.api.kubelet_stops(),
    "pods fail": lambda operator: operator.api.pods_fail(),
    "pods are deleted": lambda operator: gone(operator.api, "pods"),
    "volumes are deleted": lambda operator: gone(operator.api, "persistentvolumeclaims"),
    "policies are deleted": lambda operator: gone(operator.api, "networkpolicies"),
    "environments are deleted": lambda operator: gone(operator.api, "codeenvironments"),
    "the environment returns": environment_returns,
    "the image changes": image_changes,
    "garbage is collected": lambda operator: operator.api.collect_garbage(),
    "nodes are lost": nodes(False),
    "nodes are back": nodes(True),
    "a session is deleted without its children": orphan_one,
    "suspend": mode("Suspended"),
    "resume": mode("Running"),
    "quota is full": quota(1),
    "quota is wide": quota(1000),
    "the operator restarts": lambda operator: operator.restart(),
    "seconds pass": lambda operator: operator.passes(3),
    "a minute passes": lambda operator: operator.passes(60),
}


async def live_through(happenings: list[str]) -> None:
    api, operator = models()
    operator.environment(replicas=2)
    operator.session(NAME)
    for happening in happenings:
        HAPPENINGS[happening](operator)
        await operator.work(3)
    environment_returns(operator)
    mode("Running")(operator)
    quota(1000)(operator)
    await operator.settle()
    await assert_settled(api, operator)


async def assert_settled(api: ApiModel, operator: OperatorModel) -> None:
    session = api.objects["codesessions", NAME]
    pods = {pod["metadata"]["name"]: pod for pod in api.pods()}
    assert session["status"]["phase"] == "Ready"
    assert session["status"]["podUID"] == pods[NAME]["metadata"]["uid"]
    assert pods.keys() == {one["metadata"]["name"] for one in api.sessions()}
    assert pods.keys() == {volume["metadata"]["name"] for volume in api.volumes()}
    (environment,) = api.of("codeenvironments")
    assert environment["status"]["warm"] == len(pods) - 1 == 2
    assert {policy["metadata"]["name"] for policy in api.of("networkpolicies")} == {"codesession-default"}
    before = api.writes.copy()
    operator.restart()
    await operator.settle()
    # A new process applies the namespace's limits once; besides that nothing is written.
    assert api.writes - before == {("apply", "resourcequotas"): 1, ("apply", "limitranges"): 1}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(sorted(HAPPENINGS)), max_size=25))
def test_all_roads_lead_to_one_ready_pod(happenings: list[str]) -> None:
    asyncio.run(live_through(happenings))
