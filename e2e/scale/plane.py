"""A control plane alone, with nodes that kwok plays: the test cluster's programs without a node's."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from e2e.cluster import bare, cache, client, controlplane, daemons, namespaces, packages, pki
from e2e.cluster.controlplane import Daemon
from e2e.cluster.instance import CHECKOUT, Instance, instance_id
from e2e.cluster.progress import step
from e2e.cluster.shell import run

SYSTEM = "codesession-system"
SANDBOXES = "codesession-sandboxes"
ACCOUNTS = ("operator", "api")
PROGRAMS = ("kube-apiserver", "etcd", "kube-scheduler", "kwok")
_ID = instance_id(Path(__file__).parent)
_MANIFESTS = Path(__file__).parent / "manifests"
_GUARDS = (
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
"""Of the chart: what stands between the operator and the API server."""


@contextlib.contextmanager
def running() -> Iterator[Instance]:
    """With the definitions, accounts and policies of this checkout's chart. Its processes run on the cores of
    whoever asks for it. Raises ClusterError."""
    packages.ensure()
    for name in PROGRAMS:
        cache.binary(name)
    bare.release(_ID)
    instance = bare.claim(_ID)
    try:
        with step("control plane"):
            _prepare(instance)
            _start(instance)
        yield instance
    finally:
        bare.release(_ID)


def bind_volumes(instance: Instance) -> None:
    """Start the one controller that gives volumes to volume claims."""
    options = {
        "controllers": "persistentvolume-binder-controller",
        "kube-api-qps": 5000,
        "kube-api-burst": 5000,
    }
    _run(instance, _with(controlplane.controller_manager(instance.state / "pki"), options))


def kubeconfig(instance: Instance, account: str) -> Path:
    """Of the chart's service account: unlike an administrator it is held to roles and to fair shares."""
    return instance.state / f"{account}.kubeconfig"


def audit_log(instance: Instance) -> Path:
    return daemons.log(instance.state, "audit")


def pids(instance: Instance) -> dict[str, int]:
    """Of its programs that run."""
    records = (instance.state / "run").iterdir()
    return {record.name: int(record.read_text().split()[0]) for record in records}


def _prepare(instance: Instance) -> None:
    state = instance.state
    for name in ("log", "bin", "manifests"):
        (state / name).mkdir()
    pki.create(instance, state / "pki")
    namespaces.add_mounts(instance)
    (state / "audit-policy.json").write_text(json.dumps(_audit_policy()))
    shutil.copy(CHECKOUT / "manifests" / "1-definitions.yaml", state / "manifests")
    shutil.copy(_MANIFESTS / "cluster.yaml", state / "manifests" / "3-cluster.yaml")
    rendered = (CHECKOUT / "manifests" / "2-codesession.yaml").read_text()
    guards = [obj for obj in yaml.safe_load_all(rendered) if obj and obj["kind"] in _GUARDS]
    (state / "manifests" / "2-guards.yaml").write_text(yaml.safe_dump_all(guards))


def _start(instance: Instance) -> None:
    state, keys = instance.state, instance.state / "pki"
    _run(instance, controlplane.etcd(state))
    _run(
        instance,
        _with(
            controlplane.apiserver(instance, keys),
            {
                # Nobody is here to take the taint of a new node away.
                "disable-admission-plugins": "TaintNodesByCondition",
            },
        ),
    )
    daemons.until(state, "the apiserver", lambda: client.ready(instance))
    manifests = sorted((state / "manifests").iterdir())
    daemons.until(
        state, "what the chart installs", lambda: all(client.accepts(instance, one) for one in manifests)
    )
    _run(instance, _with(controlplane.scheduler(keys), {"kube-api-qps": 5000, "kube-api-burst": 5000}))
    _run(instance, _kwok(instance))
    daemons.until(state, "the node", lambda: client.meets(instance, "Ready", "node/pretended"))
    for account in ACCOUNTS:
        _login(instance, account)


def _run(instance: Instance, daemon: Daemon) -> None:
    daemons.start(instance, daemon, cache.binary(daemon.binary))


def _with(daemon: Daemon, options: dict[str, object]) -> Daemon:
    return replace(daemon, options={**daemon.options, **options})


def _kwok(instance: Instance) -> Daemon:
    return Daemon(
        "kwok",
        {"kubeconfig": instance.cluster.kubeconfig, "config": _MANIFESTS / "kwok.yaml"},
    )


def _login(instance: Instance, account: str) -> None:
    words = ("create", "token", f"codesession-{account}", f"--namespace={SYSTEM}", "--duration=12h")
    token = _kubectl(instance, words).strip()
    document = json.loads(instance.cluster.kubeconfig.read_text())
    document["users"] = [{"name": user["name"], "user": {"token": token}} for user in document["users"]]
    kubeconfig(instance, account).write_text(json.dumps(document))


def _kubectl(instance: Instance, words: Sequence[str]) -> str:
    return run([cache.binary("kubectl"), f"--kubeconfig={instance.cluster.kubeconfig}", *words])


def _audit_policy() -> dict[str, object]:
    """The operator's writes and nothing else."""
    writes = {
        "level": "Metadata",
        "users": [f"system:serviceaccount:{SYSTEM}:codesession-operator"],
        "verbs": ["create", "update", "patch", "delete", "deletecollection"],
    }
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [writes, {"level": "None"}],
    }
