"""The manifests of children, held against Pod Security `restricted` and against what we add to it."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesession_crds import labels
from codesession_operator.builders.limits import namespace_limits
from codesession_operator.builders.network import ALWAYS_DENIED, PRIVATE, left_open, network_policy
from codesession_operator.builders.pod import pod, template
from codesession_operator.builders.workspace import volume_claim

Object = dict[str, Any]

ENVIRONMENTS: dict[str, Object] = {
    "plain": {},
    "directory": {"workspace": {"type": "EmptyDir", "size": "2Gi"}},
    "memory": {"workspace": {"type": "Memory", "size": "64Mi"}},
    "gpu": {"gpu": {"count": 2, "nodeSelector": {"gpu": "yes"}}, "nodeSelector": {"pool": "a"}},
    "shared": {"sharedAssets": {"claimName": "assets"}},
    "allowed": {
        "network": {
            "mode": "Allow",
            "egress": [{"cidr": "203.0.113.53/32", "ports": [53], "protocol": "UDP"}],
        }
    },
    "small": {"resources": {"limits": {"cpu": "250m", "memory": "256Mi"}}},
    "tolerant": {"tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]},
    "runc": {"runtimeClassName": "", "insecureRuntime": True},
    "private": {"imagePullSecrets": ["registry", "mirror"]},
}


VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def restricted_violations(manifest: Object) -> list[str]:
    """What Pod Security `restricted` (v1.34) would refuse."""
    spec = manifest["spec"]
    wrong = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    wrong += [volume["name"] for volume in spec["volumes"] if not volume.keys() - {"name"} <= VOLUMES]
    for container in spec["containers"]:
        own = container["securityContext"]
        held = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": own.get("runAsNonRoot") is True,
            "runAsUser": spec["securityContext"].get("runAsUser") != 0,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "seccompProfile": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        wrong += [rule for rule, holds in held.items() if not holds]
    return wrong


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pods_are_restricted_and_less(make: Any, name: str) -> None:
    manifest = pod(make.session(), make.environment(**ENVIRONMENTS[name]))
    assert restricted_violations(manifest) == []
    spec = manifest["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert not {"hostUsers", "shareProcessNamespace", "priorityClassName", "initContainers"} & spec.keys()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (1000, 1000)
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    assert container["startupProbe"]["tcpSocket"] == {"port": 8700}
    assert not {"livenessProbe", "readinessProbe", "lifecycle", "command", "args"} & container.keys()
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {"/mnt/data", "/tmp", "/run/codesession"} <= mounts.keys()
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_everything_in_memory_is_sized(make: Any, name: str) -> None:
    for volume in pod(make.session(), make.environment(**ENVIRONMENTS[name]))["spec"]["volumes"]:
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]


def test_a_pod_belongs_to_its_session(make: Any) -> None:
    metadata = pod(make.session(), make.environment())["metadata"]
    assert metadata["name"] == make.name
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "codesession.dev/v1alpha1",
            "kind": "CodeSession",
            "name": make.name,
            "uid": make.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    wanted = dict(pair.split("=") for pair in labels.SANDBOX_SELECTOR.split(","))
    assert wanted.items() <= metadata["labels"].items()


def variables(manifest: Object) -> dict[str, str]:
    (container,) = manifest["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_the_runner_learns_its_limits(make: Any) -> None:
    told = variables(pod(make.session(), make.environment(limits={"runSeconds": 7}, languages=["py", "r"])))
    assert told["CODESESSION_RUN_SECONDS"] == "7"
    assert told["CODESESSION_LANGUAGES"] == "py,r"
    assert told["CODESESSION_MEMORY_BYTES"] == str(2**30 * 3 // 4)
    assert told["CODESESSION_MEMORY_DIRECTORIES"] == "/tmp,/dev/shm"
    assert told["CODESESSION_WORKSPACE"] == "/mnt/data"
    assert told["HOME"] == "/tmp"


def test_a_workspace_in_memory_counts_as_memory(make: Any) -> None:
    told = variables(pod(make.session(), make.environment(**ENVIRONMENTS["memory"])))
    assert told["CODESESSION_MEMORY_DIRECTORIES"].split(",")[-1] == "/mnt/data"


@pytest.mark.parametrize(("cpu", "threads"), [("250m", "1"), ("1", "1"), ("2500m", "2"), ("4", "4")])
def test_libraries_use_as_many_threads_as_there_are_processors(make: Any, cpu: str, threads: str) -> None:
    environment = make.environment(resources={"limits": {"cpu": cpu, "memory": "1Gi"}})
    assert variables(pod(make.session(), environment))["OMP_NUM_THREADS"] == threads


def test_what_differs_between_environments(make: Any) -> None:
    def spec(name: str) -> Object:
        manifest: Object = pod(make.session(), make.environment(**ENVIRONMENTS[name]))["spec"]
        return manifest

    workspace = {name: spec(name)["volumes"][0] for name in ("plain", "directory", "memory")}
    assert workspace["plain"]["persistentVolumeClaim"] == {"claimName": make.name}
    assert workspace["directory"]["emptyDir"] == {"sizeLimit": "2Gi"}
    assert workspace["memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}
    assert spec("plain")["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in spec("runc")
    assert spec("gpu")["nodeSelector"] == {"gpu": "yes", "pool": "a"}
    assert spec("gpu")["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec("tolerant")["tolerations"][0] == {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}
    assert spec("shared")["containers"][0]["volumeMounts"][-1]["readOnly"] is True
    assert spec("shared")["volumes"][-1]["persistentVolumeClaim"] == {"claimName": "assets", "readOnly": True}
    assert spec("private")["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ([], {"not-ready": 30, "unreachable": 30}),
        ([{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}], {"unreachable": 30}),
        ([{"operator": "Exists"}], {}),
        ([{"operator": "Exists", "effect": "NoSchedule"}], {"not-ready": 30, "unreachable": 30}),
    ],
)
def test_a_lost_node_is_given_up_unless_told_otherwise(
    make: Any, said: list[Object], seconds: dict[str, int]
) -> None:
    spec = pod(make.session(), make.environment(tolerations=said))["spec"]
    added = spec["tolerations"][len(said) :] if said else spec["tolerations"]
    assert {one["key"].rpartition("/")[2]: one["tolerationSeconds"] for one in added} == seconds
    assert all((one["operator"], one["effect"]) == ("Exists", "NoExecute") for one in added)


def test_a_template_names_what_pods_are_made_of(make: Any) -> None:
    same = [make.environment(), make.environment(generation=5, warmPool={"replicas": 9})]
    assert len({template(environment) for environment in same}) == 1
    other = [make.environment(image="i:2"), *(make.environment(**spec) for spec in ENVIRONMENTS.values())]
    assert len({template(environment) for environment in other}) == len(other)
    labelled = pod(make.session(), same[0])["metadata"]["labels"][labels.TEMPLATE]
    assert labelled == template(same[0])


@pytest.mark.parametrize(
    ("workspace", "spec"),
    [
        ({}, {"resources": {"requests": {"storage": "1Gi"}}}),
        ({"storageClassName": "fast"}, {"storageClassName": "fast"}),
        ({"size": "5Gi"}, {"resources": {"requests": {"storage": "5Gi"}}}),
    ],
)
def test_volume_claims(make: Any, workspace: Object, spec: Object) -> None:
    claim = volume_claim(make.session(), make.environment(workspace=workspace))
    assert claim is not None
    assert claim["metadata"]["name"] == make.name
    assert spec.items() <= claim["spec"].items()


@pytest.mark.parametrize("kind", ["EmptyDir", "Memory"])
def test_no_claim_where_the_workspace_is_no_volume(make: Any, kind: str) -> None:
    assert volume_claim(make.session(), make.environment(workspace={"type": kind})) is None


def test_deny_is_deny_both_ways(make: Any) -> None:
    policy = network_policy(make.environment())
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == ([], [])
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= pod(make.session(), make.environment())["metadata"]["labels"].items()


def rule(cidr: str, port: int, protocol: str) -> Object:
    return {"cidr": cidr, "ports": [port], "protocol": protocol}


DNS = rule("203.0.113.53/32", 53, "UDP")


@pytest.mark.parametrize(
    ("network", "servers"),
    [
        ({}, ["127.0.0.1"]),
        ({"mode": "Allow"}, ["127.0.0.1"]),
        ({"mode": "Allow", "egress": [rule("203.0.113.0/24", 443, "TCP")]}, ["127.0.0.1"]),
        ({"mode": "Allow", "egress": [rule("203.0.113.53/32", 53, "TCP")]}, ["127.0.0.1"]),
        ({"mode": "Allow", "egress": [rule("203.0.113.0/24", 53, "UDP")]}, ["127.0.0.1"]),
        ({"mode": "Allow", "egress": [DNS]}, ["203.0.113.53"]),
        (
            {"mode": "Allow", "egress": [DNS, *(rule(f"2001:db8::{n}/128", 53, "UDP") for n in "abc")]},
            ["203.0.113.53", "2001:db8::a", "2001:db8::b"],
        ),
    ],
)
def test_names_are_asked_of_allowed_servers_alone(make: Any, network: Object, servers: list[str]) -> None:
    spec = pod(make.session(), make.environment(network=network))["spec"]
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"] == {"nameservers": servers}


OPEN = {"mode": "Allow", "egress": [rule("0.0.0.0/0", 443, "TCP")]}


@pytest.mark.parametrize(
    ("network", "denied", "addresses", "address"),
    [
        (OPEN, PRIVATE, ("10.9.8.7", "192.168.3.1", "fd12::1", "100.64.1.2", "172.31.0.1"), None),
        (OPEN, PRIVATE, ("10.9.8.7", "203.0.113.7"), "203.0.113.7"),
        (OPEN, ("203.0.113.0/24",), ("203.0.113.7",), None),
        (OPEN, ("203.0.113.0/24",), ("203.0.113.7", "10.9.8.7"), "10.9.8.7"),
        (OPEN, PRIVATE, ("2001:db8::1",), "2001:db8::1"),
        (OPEN, (), (), None),
        ({"mode": "Allow"}, (), ("203.0.113.7",), None),
        ({}, (), ("203.0.113.7",), None),
    ],
)
def test_an_allow_list_waits_until_the_clusters_networks_are_denied(
    make: Any, network: Object, denied: tuple[str, ...], addresses: tuple[str, ...], address: str | None
) -> None:
    assert left_open(make.environment(network=network), denied, addresses) == address


def egress(make: Any, cidr: str, denied: tuple[str, ...] = ()) -> list[Object]:
    network = {"mode": "Allow", "egress": [{"cidr": cidr, "ports": [443, 8443]}]}
    rules: list[Object] = network_policy(make.environment(network=network), denied)["spec"].get("egress", [])
    return rules


@pytest.mark.parametrize(
    ("cidr", "excluded"),
    [
        ("203.0.113.0/24", None),
        ("2001:db8::/32", None),
        ("169.254.0.0/16", "everything"),
        ("169.254.169.254/32", "everything"),
        ("fd00:ec2::254/128", "everything"),
        ("127.0.0.1/32", "everything"),
        ("10.1.2.0/24", "everything"),
        ("10.0.0.0/8", ["10.1.0.0/16"]),
        ("169.0.0.0/8", ["169.254.0.0/16"]),
        ("fd00::/8", ["fd00:ec2::254/128", "fd20:ce::254/128"]),
    ],
)
def test_what_an_allow_list_cannot_open(make: Any, cidr: str, excluded: object) -> None:
    rules = egress(make, cidr, denied=("10.1.0.0/16",))
    if excluded == "everything":
        assert rules == []
        return
    ((rule),) = rules
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 8443}]
    assert rule["to"][0]["ipBlock"].get("except") == excluded


@given(address=st.ip_addresses(v=4), length=st.integers(min_value=0, max_value=32))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_allowed_network_holds_a_denied_address(make: Any, address: Any, length: int) -> None:
    for rule in egress(make, f"{address}/{length}"):
        block = rule["to"][0]["ipBlock"]
        inside, outside = IPv4Network(block["cidr"]), [IPv4Network(one) for one in block.get("except", [])]
        assert all(network.subnet_of(inside) and network != inside for network in outside)
        for denied in (IPv4Network(one) for one in ALWAYS_DENIED if ":" not in one):
            first = denied.network_address
            assert first not in inside or any(first in network for network in outside)


def test_the_namespace_is_as_wide_as_its_widest_environment(make: Any) -> None:
    small = make.environment(name="small", resources={"limits": {"cpu": "500m", "memory": "2Gi"}})
    large = make.environment(
        name="large",
        resources={"limits": {"cpu": 2, "memory": "900Mi"}},
        workspace={"type": "EmptyDir", "size": "90Gi"},
    )
    quota, limits = namespace_limits([small, large], {"count/pods": "7"})
    assert quota["spec"] == {"hard": {"count/pods": "7"}}
    container, volume = limits["spec"]["limits"]
    assert container["max"] == container["default"] == {"cpu": "2", "memory": "2Gi"}
    assert volume == {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}
    owners = [owner["name"] for owner in limits["metadata"]["ownerReferences"]]
    assert owners == ["large", "small"]
    assert namespace_limits([large, small], {"count/pods": "7"}) == [quota, limits]


def test_shared_assets_may_be_larger_than_a_workspace(make: Any) -> None:
    environments = [make.environment(), make.environment(name="b", sharedAssets={"claimName": "assets"})]
    (limits,) = namespace_limits(environments, {})
    assert [one["type"] for one in limits["spec"]["limits"]] == ["Container"]


def test_a_namespace_without_environments_or_quota(make: Any) -> None:
    assert namespace_limits([], {"count/pods": "7"}) == []
    assert [one["kind"] for one in namespace_limits([make.environment()], {})] == ["LimitRange"]
