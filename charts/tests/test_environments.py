"""Several environments in a release, and several releases in a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from charts import crds, render

# The first of them may have to build helm.
pytestmark = pytest.mark.timeout(900)

Chart = Callable[..., list[dict[str, Any]]]

GPU = (
    "environments.gpu.image=gpu:1",
    "environments.gpu.languages={py,r}",
    "environments.gpu.limits.runSeconds=3600",
    "environments.gpu.limits.files=10",
)


def variables(objects: list[dict[str, Any]], component: str) -> dict[str, Any]:
    (deployment,) = [
        o
        for o in objects
        if o["kind"] == "Deployment" and o["metadata"]["name"] == f"codesession-{component}"
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_the_api_offers_what_any_tenants_environment_offers(chart: Chart) -> None:
    alone = variables(chart(*GPU), "api")
    assert "CODESESSION_TENANT_ENVIRONMENTS" not in alone
    assert (alone["CODESESSION_LANGUAGES"], alone["CODESESSION_RUN_SECONDS"]) == ("py,bash", "120")
    both = variables(chart(*GPU, "api.tenantEnvironments.acme=gpu"), "api")
    assert json.loads(both["CODESESSION_TENANT_ENVIRONMENTS"]) == {"acme": "gpu"}
    assert (both["CODESESSION_LANGUAGES"], both["CODESESSION_RUN_SECONDS"]) == ("py,bash,r", "3600")
    assert (both["CODESESSION_OUTPUT_BYTES"], both["CODESESSION_RUN_FILES"]) == ("1048576", "1000")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["api.tenantEnvironments.acme=none"], "there is no environments.none"),
        (
            ["environments.default.runtimeClassName=kata", "environments.default.insecureRuntime=true"],
            'admissionPolicy.runtimeClassNames does not have "kata"',
        ),
        (["environments.default.runtimeClassName="], 'admissionPolicy.runtimeClassNames does not have ""'),
        (["environments.default.gpu.resourceName=memory"], "resourceName"),
    ],
)
def test_environments_that_cannot_work_are_refused(chart: Chart, values: list[str], said: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        chart(*values)
    assert said in refused.value.stderr


def test_a_runtime_without_gvisor_takes_two_words(chart: Chart) -> None:
    objects = chart(
        "environments.default.runtimeClassName=kata",
        "environments.default.insecureRuntime=true",
        "admissionPolicy.runtimeClassNames={gvisor,kata}",
    )
    (environment,) = [o for o in objects if o["kind"] == "CodeEnvironment"]
    assert environment["spec"]["insecureRuntime"] is True
    (policy,) = [
        o
        for o in objects
        if o["kind"] == "ValidatingAdmissionPolicy" and o["metadata"]["name"].endswith("-sandbox-pods")
    ]
    assert any("['gvisor','kata']" in rule["expression"] for rule in policy["spec"]["validations"])


def test_the_operator_knows_addresses_of_the_cluster(chart: Chart) -> None:
    told = variables(chart(), "operator")
    assert "CODESESSION_OPERATOR_DENIED_CIDRS" not in told
    assert told["NODE_ADDRESSES"] == {"fieldRef": {"fieldPath": "status.hostIPs"}}
    assert told["POD_ADDRESSES"] == {"fieldRef": {"fieldPath": "status.podIPs"}}
    addresses = told["CODESESSION_OPERATOR_CLUSTER_ADDRESSES"]
    assert addresses == "$(NODE_ADDRESSES),$(POD_ADDRESSES),$(KUBERNETES_SERVICE_HOST)"
    names = list(told)
    assert names.index("POD_ADDRESSES") < names.index("CODESESSION_OPERATOR_CLUSTER_ADDRESSES")
    named = variables(chart("networkPolicy.deniedCidrs={203.0.113.0/24,10.0.0.0/8}"), "operator")
    assert json.loads(named["CODESESSION_OPERATOR_DENIED_CIDRS"]) == ["203.0.113.0/24", "10.0.0.0/8"]


def test_a_tenant_can_have_a_release_of_its_own() -> None:
    """With its own namespace and quota: the two have no object in common but the definitions."""
    first, second = (objects_of(tenant) for tenant in ("acme", "globex"))
    assert len(first) == len(second)
    assert not first & second


def objects_of(tenant: str) -> set[tuple[str, str, str]]:
    values = ("--set", f"sandboxNamespace.name={tenant}-sandboxes,sandboxNamespace.quota.count/pods=20")
    rendered = render.helm(
        "template", tenant, str(crds.CHART), "-n", tenant, "--kube-version", render.OLDEST_KUBERNETES, *values
    )
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in yaml.safe_load_all(rendered)
        if one
    }
