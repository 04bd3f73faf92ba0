"""The sandbox pod: Pod Security `restricted`, and then less still."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

from codesession_crds import labels, quantity
from codesession_crds.environment import (
    CodeEnvironment,
    EnvironmentSpec,
    Toleration,
    WorkspaceType,
)
from codesession_operator.builders.common import Object, owner
from codesession_operator.builders.network import name_servers
from codesession_operator.views import SessionView

CONTAINER = "sandbox"
USER = 1000
READY_PORT = 8700
STARTUP_SECONDS = 120
GRACE_SECONDS = 2
LOST_NODE_SECONDS = 30

_WORKSPACE = "/mnt/data"
_TMP = "/tmp"  # noqa: S108 - the sandbox's own
_RUN = "/run/codesession"
_SHM = "/dev/shm"  # noqa: S108
_MIB = 1024 * 1024
_TMP_BYTES = 256 * _MIB
_RUN_BYTES = 16 * _MIB
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")


def pod(session: SessionView, environment: CodeEnvironment) -> Object:
    name = session.name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": session.namespace,
            "labels": labels.of_sandbox(name, environment.metadata.name)
            | {labels.TEMPLATE: template(environment)},
            "ownerReferences": [owner(session)],
        },
        "spec": _spec(environment.spec, name),
    }


def template(environment: CodeEnvironment) -> str:
    """Names what pods of this environment are made of: equal for equal pods, whatever else changes."""
    text = json.dumps(_spec(environment.spec, ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spec(spec: EnvironmentSpec, claim_name: str) -> Object:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "hostname": CONTAINER,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec)],
        "volumes": _volumes(spec, claim_name),
        **_name_service(spec),
        **_placement(spec),
    }


def _container(spec: EnvironmentSpec) -> Object:
    return {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy.value,
        "env": [{"name": name, "value": value} for name, value in sorted(_variables(spec).items())],
        "resources": _resources(spec),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # The one probe: it ends with the start, so an idle sandbox is never woken.
        "startupProbe": {
            "tcpSocket": {"port": READY_PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": STARTUP_SECONDS,
        },
        "volumeMounts": _mounts(spec),
    }


def _variables(spec: EnvironmentSpec) -> dict[str, str]:
    limits = spec.limits
    threads = str(max(1, int(quantity.parse(spec.resources.limits["cpu"]))))
    return {
        "HOME": _TMP,
        "CODESESSION_RUN_SECONDS": str(limits.run_seconds),
        "CODESESSION_OUTPUT_BYTES": str(limits.output_bytes),
        "CODESESSION_FILE_BYTES": str(limits.file_bytes),
        "CODESESSION_FILES": str(limits.files),
        "CODESESSION_PROCESSES": str(limits.processes),
        "CODESESSION_MEMORY_BYTES": str(_run_memory(spec)),
        "CODESESSION_MEMORY_DIRECTORIES": ",".join(_in_memory(spec)),
        "CODESESSION_WORKSPACE_BYTES": str(int(quantity.parse(spec.workspace.size))),
        "CODESESSION_LANGUAGES": ",".join(spec.languages),
        "CODESESSION_WORKSPACE": _WORKSPACE,
        "CODESESSION_SOCKET": f"{_RUN}/runner.sock",
        "CODESESSION_READY_PORT": str(READY_PORT),
        **dict.fromkeys(_THREAD_VARIABLES, threads),
    }


def _in_memory(spec: EnvironmentSpec) -> list[str]:
    """Directories that count in the pod's memory."""
    workspace = [_WORKSPACE] if spec.workspace.type is WorkspaceType.MEMORY else []
    return [_TMP, _SHM, *workspace]


def _run_memory(spec: EnvironmentSpec) -> int:
    """Below the pod's own limit, so that a run is what dies of hunger and not the sandbox: the kernel of
    gVisor takes its part too, and a run that takes much at once is seen a moment later."""
    return spec.limits.memory_bytes or int(_memory(spec) * Decimal("0.75"))


def _memory(spec: EnvironmentSpec) -> Decimal:
    return quantity.parse(spec.resources.limits["memory"])


def _resources(spec: EnvironmentSpec) -> Object:
    devices = {} if spec.gpu is None else {spec.gpu.resource_name: str(spec.gpu.count)}
    return {
        "requests": {**spec.resources.requests, **devices},
        "limits": {**spec.resources.limits, **devices},
    }


def _volumes(spec: EnvironmentSpec, claim_name: str) -> list[Object]:
    tmp = min(_TMP_BYTES, int(_memory(spec)) // 4)
    volumes = [
        {"name": "workspace", **_workspace(spec, claim_name)},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(tmp)}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": str(_RUN_BYTES)}},
    ]
    if spec.shared_assets is not None:
        source = {"claimName": spec.shared_assets.claim_name, "readOnly": True}
        volumes.append({"name": "shared", "persistentVolumeClaim": source})
    return volumes


def _workspace(spec: EnvironmentSpec, claim_name: str) -> dict[str, Any]:
    match spec.workspace.type:
        case WorkspaceType.CLAIM:
            return {"persistentVolumeClaim": {"claimName": claim_name}}
        case WorkspaceType.EMPTY_DIR:
            return {"emptyDir": {"sizeLimit": spec.workspace.size}}
        case WorkspaceType.MEMORY:
            return {"emptyDir": {"medium": "Memory", "sizeLimit": spec.workspace.size}}


def _mounts(spec: EnvironmentSpec) -> list[Object]:
    mounts: list[Object] = [
        {"name": "workspace", "mountPath": _WORKSPACE},
        {"name": "tmp", "mountPath": _TMP},
        {"name": "run", "mountPath": _RUN},
    ]
    if spec.shared_assets is not None:
        mounts.append({"name": "shared", "mountPath": "/mnt/shared", "readOnly": True})
    return mounts


def _name_service(spec: EnvironmentSpec) -> Object:
    """Never the cluster's: no allow list opens its address, and it answers what the cluster looks like."""
    # Where nothing listens a look-up fails at once, instead of waiting for a packet that policy drops.
    servers = name_servers(spec.network) or ["127.0.0.1"]
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": servers}}


def _placement(spec: EnvironmentSpec) -> Object:
    selector = {**spec.node_selector, **(spec.gpu.node_selector if spec.gpu else {})}
    tolerations = [toleration.to_json() for toleration in _tolerations(spec)]
    wanted: Object = {
        "runtimeClassName": spec.runtime_class_name,
        "imagePullSecrets": [{"name": name} for name in spec.image_pull_secrets],
        "nodeSelector": selector,
        "tolerations": tolerations,
    }
    return {key: value for key, value in wanted.items() if value}


def _tolerations(spec: EnvironmentSpec) -> list[Toleration]:
    """A lost node is given up sooner than after Kubernetes' own five minutes, unless the environment says
    how long."""
    taints = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    said = {one.key for one in spec.tolerations if one.effect in (None, "NoExecute")}
    return [
        *spec.tolerations,
        *(
            Toleration(key=taint, operator="Exists", effect="NoExecute", toleration_seconds=LOST_NODE_SECONDS)
            for taint in taints
            if not {taint, None} & said
        ),
    ]
