"""The chart against a real API server: it accepts every object, and the admission policies hold."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charts import crds, render
from e2e.cluster.cache import binary

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

RELAY = ["/usr/bin/python3", "-I", "-S", "/opt/codesession/codesession_runner/relay.py"]


def kubectl(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary("kubectl"), *arguments], check=False, input=stdin, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace for sandboxes under the policies of a release that has the same name."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    objects = rendered(name, "namespace", "admission", "rbac")
    applied = kubectl("apply", "-f", "-", stdin=objects)
    assert applied.returncode == 0, applied.stderr
    yield name
    kubectl("delete", "--wait=false", "-f", "-", stdin=objects)


def rendered(name: str, *templates: str) -> str:
    """The chart, or some of its templates, as a release of this name in the namespace `default`."""
    options = [option for template in templates for option in ("--show-only", f"templates/{template}.yaml")]
    place = [name, str(crds.CHART), "--namespace", "default", "--kube-version", render.OLDEST_KUBERNETES]
    return render.helm("template", *place, "--set", f"sandboxNamespace.name={name}", *options)


def pod(namespace: str, **changes: Any) -> str:
    spec = {
        "runtimeClassName": "gvisor",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "sandbox",
                "image": "none",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        **changes.pop("spec", {}),
    }
    metadata = {"name": "s", "namespace": namespace, "labels": {"codesession.dev/session": "s"}, **changes}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def create(manifest: str, *who: str) -> subprocess.CompletedProcess[str]:
    return kubectl("create", "--dry-run=server", "-f", "-", *who, stdin=manifest)


def execute(namespace: str, command: list[str], *who: str) -> subprocess.CompletedProcess[str]:
    query = urllib.parse.urlencode([("command", word) for word in command])
    return kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/no-such-pod/exec?{query}", *who)


def as_account(namespace: str, name: str) -> tuple[str, str]:
    return "--as", f"system:serviceaccount:default:{namespace}-{name}"


def once_refused(attempt: Callable[[], subprocess.CompletedProcess[str]]) -> str:
    """What the refusal says: a policy takes effect some moments after it was made."""
    deadline = time.monotonic() + 30
    while (done := attempt()).returncode == 0 or "ValidatingAdmissionPolicy" not in done.stderr:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)
    return done.stderr


def test_the_api_server_accepts_everything(namespace: str) -> None:
    assert kubectl("apply", "-f", str(crds.CHART / "crds")).returncode == 0
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered(namespace))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_only_the_operator_creates_pods_and_only_sandboxes(namespace: str) -> None:
    operator = as_account(namespace, "operator")
    assert "only the operator" in once_refused(lambda: create(pod(namespace)))
    assert create(pod(namespace), *operator).returncode == 0
    for manifest, said in (
        (pod(namespace, labels={}), "label"),
        (pod(namespace, spec={"runtimeClassName": None}), "RuntimeClass"),
        (pod(namespace, spec={"automountServiceAccountToken": True}), "token"),
    ):
        assert said in create(manifest, *operator).stderr


def test_only_the_api_execs_and_only_the_relay(namespace: str) -> None:
    api = as_account(namespace, "api")
    assert "only the API" in once_refused(lambda: execute(namespace, RELAY))
    assert "the relay" in execute(namespace, ["/bin/sh"], *api).stderr
    # Past admission it fails on the pod that is not there.
    assert "not found" in execute(namespace, RELAY, *api).stderr
