"""What an environment can give its sandboxes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually
from e2e.tests.cluster import environments

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ASSETS = "codesession-e2e-assets"
DEVICE = "codesession.dev/e2e-device"
LABEL = "codesession.dev/e2e"
FILLED = "echo shared-4711 > /shared/open.txt && chmod 0666 /shared/open.txt && chmod 0777 /shared"
LOOK = r"""
import json, os

def refusal(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return error.strerror
    return None

shared = "/mnt/shared/open.txt"
print(json.dumps({
    "read": open(shared).read(),
    "modes": [oct(os.stat(path).st_mode & 0o777) for path in (shared, "/mnt/shared")],
    "refused": [
        refusal(open, shared, "a"),
        refusal(open, "/mnt/shared/new", "w"),
        refusal(os.unlink, shared),
        refusal(os.mkdir, "/mnt/shared/directory"),
        refusal(os.chmod, shared, 0o600),
        refusal(os.rename, shared, "/mnt/shared/other"),
    ],
}))
"""


def ran(tenant: httpx.Client, code: str) -> Json:
    answer: Json = tenant.post("/exec", json={"lang": "py", "code": code}).json()
    assert answer.get("exit_code") == 0, answer
    return answer


def test_a_tenant_gets_sandboxes_of_its_environment(chart_release: Target, api: httpx.Client) -> None:
    with environments.tenant(chart_release) as tenant:
        for client, environment in ((tenant, environments.NAME), (api, "default")):
            session = ran(client, "1")["session_id"]
            found = kubectl.get("codesessions", session, release.SANDBOXES) or {}
            assert found["spec"]["environmentRef"]["name"] == environment


@pytest.fixture
def with_assets(chart_release: Target) -> Iterator[httpx.Client]:
    """A volume that is filled where pods may be made, and then bound to a claim where sandboxes are."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ASSETS}})
    kubectl.apply(claim(ASSETS), filler())
    done = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl.out("wait", "pod/filler", "-n", ASSETS, done, "--timeout=120s")
    volume = str((kubectl.get("persistentvolumeclaims", "assets", ASSETS) or {})["spec"]["volumeName"])
    change(volume, persistentVolumeReclaimPolicy="Retain")
    kubectl.out("delete", "namespace", ASSETS)
    change(volume, claimRef=None)
    with environments.changed(chart_release, sharedAssets={"claimName": "assets"}) as tenant:
        # Larger than any workspace, which the namespace's limits have to let be.
        bound = claim(release.SANDBOXES, volumeName=volume)
        eventually(lambda: applied(bound), "the namespace's limits let the claim be")
        yield tenant
    change(volume, persistentVolumeReclaimPolicy="Delete")
    kubectl.out("delete", "persistentvolumeclaim", "assets", "-n", release.SANDBOXES)


def change(volume: str, **spec: Any) -> None:
    patch = json.dumps({"spec": spec})
    kubectl.out("patch", "persistentvolume", volume, "--type=merge", "-p", patch)


def applied(obj: Json) -> bool:
    return kubectl.run("apply", "-f", "-", stdin=json.dumps(obj)).returncode == 0


def claim(namespace: str, **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "assets", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            **spec,
        },
    }


def filler() -> Json:
    container = {
        "name": "filler",
        "image": environments.current()["spec"]["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", FILLED],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    volume = {"name": "shared", "persistentVolumeClaim": {"claimName": "assets"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "filler", "namespace": ASSETS},
        "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [volume]},
    }


def test_shared_assets_are_read_and_never_written(with_assets: httpx.Client) -> None:
    seen = json.loads(ran(with_assets, LOOK)["stdout"])
    assert seen["read"] == "shared-4711\n"
    # What refuses is the mount: by their modes everybody may.
    assert seen["modes"] == ["0o666", "0o777"]
    assert set(seen["refused"]) <= {"Read-only file system", "Operation not permitted"}, seen["refused"]
    assert seen["refused"][:2] == ["Read-only file system"] * 2


@pytest.fixture
def node() -> Iterator[str]:
    """One that says that it has a device, and has a label."""
    (name, *_) = [item["metadata"]["name"] for item in kubectl.items("nodes", "")]
    pointer = f"/status/capacity/{DEVICE.replace('/', '~1')}"
    status = ("patch", "node", name, "--subresource=status", "--type=json", "-p")
    kubectl.out(*status, json.dumps([{"op": "add", "path": pointer, "value": "1"}]))
    kubectl.out("label", "node", name, f"{LABEL}=yes", "--overwrite")
    yield name
    kubectl.out("label", "node", name, f"{LABEL}-")
    kubectl.out(*status, json.dumps([{"op": "remove", "path": pointer}]))


def test_a_device_is_for_one_sandbox_at_a_time(chart_release: Target, node: str) -> None:
    """And on nodes of the selector; who comes second waits, and it is said why."""
    gpu = {"resourceName": DEVICE, "count": 1, "nodeSelector": {LABEL: "yes"}}
    answers: list[Json] = []
    with environments.changed(chart_release, gpu=gpu) as tenant:
        first = ran(tenant, "1")["session_id"]
        spec = (kubectl.get("pods", first, release.SANDBOXES) or {})["spec"]
        assert (spec["nodeName"], spec["nodeSelector"]) == (node, {LABEL: "yes"})
        asking = threading.Thread(target=lambda: answers.append(ran(tenant, "print(2)")))
        asking.start()
        eventually(lambda: waiting() == ["Unschedulable"], "it is said that there is no room")
        kubectl.out("delete", "codesessions", first, "-n", release.SANDBOXES)
        asking.join()
    assert [answer["stdout"] for answer in answers] == ["2\n"]


def waiting() -> list[str]:
    """Why sessions of the environment are not ready."""
    return [
        item["status"]["conditions"][0]["reason"]
        for item in environments.sessions()
        if item.get("status", {}).get("phase") == "Pending"
    ]


def test_a_runtime_without_gvisor_shows(chart_release: Target) -> None:
    unsaid = kubectl.run(
        *("patch", "codeenvironments", environments.NAME, "-n", release.SANDBOXES, "--type=merge"),
        *("-p", '{"spec": {"runtimeClassName": ""}}'),
    )
    assert "insecureRuntime" in unsaid.stderr
    assert environments.condition("Isolated")["status"] == "True"
    with environments.changed(chart_release, runtimeClassName="", insecureRuntime=True):
        isolated = environments.condition("Isolated")
        assert (isolated["status"], isolated["reason"]) == ("False", "InsecureRuntime")
        eventually(lambda: "insecure" in isolation(chart_release), "the API says so")
    eventually(lambda: isolation(chart_release) == "gvisor", "the API says that all is well")


def isolation(target: Target) -> str:
    return str(httpx.get(f"{target.url}/readyz", trust_env=False).json()["isolation"])
