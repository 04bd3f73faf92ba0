"""What code of a user finds around it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.targets import Target, kubectl, release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LOOK = r"""
import ctypes, json, os, subprocess
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)

def refusal(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return None

PR_GET_NO_NEW_PRIVS = 39
print(json.dumps({
    "dmesg": subprocess.run(["dmesg"], capture_output=True, text=True).stdout,
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()],
    "capabilities": [int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd")],
    "no_new_privs": ctypes.CDLL(None).prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
    "writes": {d: refusal(d + "/x") for d in ("", "/etc", "/usr", "/opt/codesession", "/var/tmp", "/mnt")},
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "environment": sorted(os.environ),
    "processes": sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit()),
}))
"""


@pytest.fixture(scope="module")
def seen(api: httpx.Client) -> dict[str, Any]:
    answer = api.post("/exec", json={"lang": "py", "code": LOOK}).json()
    assert answer["exit_code"] == 0, answer["stderr"]
    found: dict[str, Any] = json.loads(answer["stdout"])
    return found


def test_the_kernel_is_gvisors(seen: dict[str, Any]) -> None:
    assert "Starting gVisor" in seen["dmesg"]


def test_it_is_not_root_and_has_no_capability(seen: dict[str, Any]) -> None:
    assert seen["ids"] == [1000] * 4
    assert seen["capabilities"] == [0] * 4
    assert seen["no_new_privs"] == 1


def test_the_root_file_system_is_read_only(seen: dict[str, Any]) -> None:
    # Permission is asked for first where the directory is root's; either way nothing is written.
    assert all(seen["writes"].values()), seen["writes"]
    assert "Read-only file system" in seen["writes"].values()


def test_there_is_no_token_and_no_address_of_the_cluster(seen: dict[str, Any]) -> None:
    assert not seen["token"]
    assert not [name for name in seen["environment"] if name.startswith("KUBERNETES_")]
    assert not [name for name in seen["environment"] if name.startswith("CODESESSION_")]


def test_nobody_elses_processes_are_there(seen: dict[str, Any]) -> None:
    assert len(seen["processes"]) < 20
    assert 1 in seen["processes"]


def test_the_namespace_refuses_a_pod_that_is_less_confined() -> None:
    labels = (kubectl.get("namespaces", release.SANDBOXES, "") or {})["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_sandbox_serves_one_tenant(chart_release: Target, api: httpx.Client) -> None:
    """With the other's ids in hand, a tenant gets neither files nor sandbox."""
    stored = api.post("/exec", json={"lang": "bash", "code": "echo secret-4711 > s.txt"}).json()
    session, file = stored["session_id"], stored["files"][0]["id"]
    reference = {"id": file, "session_id": session, "name": "s.txt"}
    request = {"lang": "bash", "code": "ls; cat s.txt", "session_id": session, "files": [reference]}
    other = httpx.Client(headers={"X-API-Key": chart_release.keys[1]}, timeout=150, trust_env=False)
    with other:
        base = f"{chart_release.url}/v1"
        answer = other.post(f"{base}/exec", json=request).json()
        assert answer["session_id"] != session
        assert "secret-4711" not in answer["stdout"]
        assert other.get(f"{base}/download/{session}/{file}").status_code == 404
        assert other.get(f"{base}/files/{session}").json() == []
        assert other.delete(f"{base}/sessions/{session}").status_code == 404
    assert api.post("/exec", json=request).json()["stdout"] == "s.txt\nsecret-4711\n"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}])
def test_without_a_key_nothing_is_done(chart_release: Target, headers: dict[str, str]) -> None:
    for method, path in (("POST", "exec"), ("POST", "upload"), ("GET", f"files/{'a' * 21}")):
        answer = httpx.request(method, f"{chart_release.url}/v1/{path}", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["error"]
