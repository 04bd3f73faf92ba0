"""The files parse as what their readers expect, and point nowhere but into the instance's own folders."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from pathlib import Path

import pytest

from e2e.cluster import config, controlplane
from e2e.cluster.instance import Instance

INSTANCE = Instance("abcdef", ipaddress.IPv4Network("10.200.7.0/24"))
STATE = INSTANCE.state
PKI = STATE / "pki"


def test_containerd_offers_both_runtimes() -> None:
    parsed = tomllib.loads(config.containerd(STATE))
    runtime = parsed["plugins"]["io.containerd.cri.v1.runtime"]
    runtimes = runtime["containerd"]["runtimes"]
    assert {name: each["runtime_type"] for name, each in runtimes.items()} == {
        "runc": "io.containerd.runc.v2",
        "runsc": "io.containerd.runsc.v1",
    }
    assert runtimes["runsc"]["options"]["ConfigPath"] == f"{STATE}/runsc.toml"
    assert parsed["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == config.PAUSE_IMAGE


def test_runsc_uses_no_virtual_machine() -> None:
    parsed = tomllib.loads(config.runsc(STATE, Path("/cache/runsc")))
    assert parsed["runsc_config"] == {"platform": "systrap"}
    assert parsed["binary_name"] == "/cache/runsc"


def test_the_kubelet_keeps_to_its_control_group() -> None:
    parsed = json.loads(config.kubelet(INSTANCE, PKI))
    assert parsed["cgroupRoot"] == "/codesession-abcdef"
    assert parsed["clusterDNS"] == [config.DNS_ADDRESS]
    assert parsed["authentication"]["anonymous"] == {"enabled": False}


def test_the_cni_network_enforces_kubernetes_policies() -> None:
    calico, _ = json.loads(config.cni(INSTANCE))["plugins"]
    assert calico["policy"] == {"type": "k8s"}
    assert calico["kubernetes"]["kubeconfig"] == str(INSTANCE.cluster.kubeconfig)


def test_felix_takes_the_interface_of_this_instance() -> None:
    environment = config.felix(INSTANCE)
    assert re.fullmatch(environment["FELIX_MTUIFACEPATTERN"], INSTANCE.node_link)


def test_requests_are_audited_without_their_bodies() -> None:
    assert json.loads(config.audit_policy())["rules"] == [{"level": "Metadata"}]


@pytest.mark.parametrize(
    "text",
    [
        config.containerd(STATE),
        config.runsc(STATE, STATE / "bin" / "runsc"),
        config.kubelet(INSTANCE, PKI),
        config.kube_proxy(PKI),
        config.cni(INSTANCE),
        config.local_path(STATE),
    ],
)
def test_every_path_is_the_instances_own(text: str) -> None:
    paths = re.findall(r'(?:"|unix://)(/(?:var|run|etc|opt|usr)/[^"]*)', text)
    assert [path for path in paths if not path.startswith(f"{STATE}")] == []


def test_a_daemons_words() -> None:
    daemon = controlplane.Daemon("program", {"folder": Path("/x"), "count": 2}, arguments=("start",))
    assert daemon.words() == ["start", "--folder=/x", "--count=2"]


def test_the_apiserver_writes_an_audit_log_in_the_state() -> None:
    options = controlplane.apiserver(INSTANCE, PKI).options
    assert options["audit-log-path"] == STATE / "log" / "audit.log"
    assert options["advertise-address"] == "10.200.7.2"
