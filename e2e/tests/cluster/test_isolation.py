"""What a tenant gets of another, and who gets anything; what code finds is `codesession probe`'s."""

from __future__ import annotations

import httpx
import pytest

from e2e.targets import Target, kubectl, release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


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
