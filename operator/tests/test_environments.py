"""What is said of an environment, and what is not made while it must not be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codesession_crds.conditions import EnvironmentReason
from codesession_operator.environment_status import environment_status, says_more_than_counts
from tests.api_model import ApiModel
from tests.operator_model import OperatorModel

Object = dict[str, Any]
READY = (EnvironmentReason.READY, "")
OPEN = {"mode": "Allow", "egress": [{"cidr": "0.0.0.0/0", "ports": [443]}]}


def condition(environment: Object, kind: str) -> Object:
    (found,) = [one for one in environment["status"]["conditions"] if one["type"] == kind]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({}, "GVisor", ""),
        ({"runtimeClassName": "runsc-kvm"}, "GVisor", ""),
        ({"runtimeClassName": "", "insecureRuntime": True}, "InsecureRuntime", "the cluster's own runtime"),
        ({"runtimeClassName": "kata", "insecureRuntime": True}, "InsecureRuntime", "RuntimeClass kata"),
    ],
)
def test_a_runtime_without_gvisor_is_said(make: Any, spec: Object, reason: str, said: str) -> None:
    environment = make.environment(**spec)
    status = environment_status(environment, READY, 0, 0, make.now)
    isolated = condition({"status": status.to_json()}, "Isolated")
    assert (isolated["reason"], isolated["status"]) == (reason, str(reason == "GVisor"))
    assert said in isolated["message"]
    assert condition({"status": status.to_json()}, "Ready")["status"] == "True"


def test_a_status_that_holds_is_not_written_again(make: Any) -> None:
    environment = make.environment()
    first = environment_status(environment, READY, 0, 0, make.now)
    known = environment.model_copy(update={"status": first})
    again = environment_status(known, READY, 0, 0, make.now + timedelta(hours=1))
    assert again == first
    assert not says_more_than_counts(first, again)


async def test_an_allow_list_that_would_open_the_cluster_opens_nothing() -> None:
    api = ApiModel(datetime(2026, 11, 21, 12, tzinfo=UTC))
    operator = OperatorModel(api, cluster_addresses="10.0.0.1,203.0.113.7")
    operator.environment(replicas=1)
    await operator.settle()
    assert len(api.pods()) == 1
    operator.change("codeenvironments", "default", network=OPEN, image="i:2")
    await operator.settle()
    (environment,) = api.of("codeenvironments")
    refused = condition(environment, "Ready")
    assert (refused["status"], refused["reason"]) == ("False", "Refused")
    assert "203.0.113.7" in refused["message"]
    # The sandbox of before is there still, and as closed as it was; no other is made.
    (policy,) = api.of("networkpolicies")
    assert policy["spec"]["egress"] == []
    (pod,) = api.pods()
    assert pod["spec"]["containers"][0]["image"] == "i:1"


async def test_an_allow_list_opens_what_is_not_the_clusters() -> None:
    api = ApiModel(datetime(2026, 11, 21, 12, tzinfo=UTC))
    operator = OperatorModel(
        api, cluster_addresses="10.0.0.1,203.0.113.7", denied_cidrs=["10.0.0.0/8", "203.0.113.0/24"]
    )
    operator.environment(replicas=1, network=OPEN)
    await operator.settle()
    (policy,) = api.of("networkpolicies")
    (block,) = (target["ipBlock"] for rule in policy["spec"]["egress"] for target in rule["to"])
    assert {"10.0.0.0/8", "203.0.113.0/24", "169.254.0.0/16"} <= set(block["except"])
    assert len(api.pods()) == 1
