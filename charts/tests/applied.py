"""Parts of the chart on the cluster of KUBECONFIG, and requests to it in somebody's name."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

from charts import crds, render
from e2e.targets import definitions, kubectl
from e2e.targets.waiting import eventually

Done = subprocess.CompletedProcess[str]


def rendered(name: str, *templates: str, values: tuple[str, ...] = ()) -> str:
    """The chart, or some of its templates, as a release of this name in the namespace `default`."""
    shown = itertools.chain.from_iterable(("--show-only", f"templates/{one}.yaml") for one in templates)
    options = itertools.chain.from_iterable(("--set", value) for value in values)
    place = [name, str(crds.CHART), "--namespace", "default", "--kube-version", render.OLDEST_KUBERNETES]
    return render.helm("template", *place, "--set", f"sandboxNamespace.name={name}", *shown, *options)


@contextlib.contextmanager
def guarded_namespace(*values: str) -> Iterator[str]:
    """A namespace for sandboxes under the policies and roles of a release that has the same name. It lacks
    Pod Security's labels, whose refusals would come first."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    definitions.install()
    objects = rendered(name, "admission", "rbac", values=values)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        kubectl.out("apply", "-f", "-", stdin=objects)
        kubectl.out("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
        yield name
    finally:
        kubectl.run("delete", "--wait=false", "-f", "-", stdin=objects)
        kubectl.run("delete", "--wait=false", "namespace", name)


def as_account(namespace: str, name: str) -> tuple[str, str]:
    """Options of kubectl."""
    return "--as", f"system:serviceaccount:default:{namespace}-{name}"


def create(*objects: dict[str, Any], who: tuple[str, ...] = (), dry: bool = True) -> Done:
    """All of them, also where some are refused."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    options = ["--dry-run=server"] if dry else []
    return kubectl.run("create", *options, "-f", "-", *who, stdin=listed)


def patch(kind: str, name: str, namespace: str, change: dict[str, Any], *options: str) -> Done:
    """As it would be done."""
    what = (
        "patch",
        kind,
        name,
        "-n",
        namespace,
        "--dry-run=server",
        "--type=merge",
        "-p",
        json.dumps(change),
    )
    return kubectl.run(*what, *options)


def raw(namespace: str, path: str, *who: str) -> Done:
    """GET below the pods of a namespace."""
    return kubectl.run("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{path}", *who)


def in_force(policy: str) -> None:
    """Wait until the API server's own check of a policy's expressions is done; it found nothing."""

    def checked() -> bool:
        text = kubectl.out("get", "validatingadmissionpolicies", policy, "-o", "json")
        status = json.loads(text).get("status", {})
        assert not status.get("typeChecking", {}).get("expressionWarnings"), status
        return "observedGeneration" in status

    eventually(checked, f"the check of {policy}")
