"""Sessions as Kubernetes objects: one sandbox each, ended whole, served by every replica."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.waiting import eventually
from e2e.tests.cluster.accounting import children, nothing_left_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def start(api: httpx.Client, code: str = "echo kept > kept.txt") -> str:
    answer = api.post("/exec", json={"lang": "bash", "code": code}).json()
    return str(answer["session_id"])


def test_the_session_of_the_answer_is_the_resource_and_the_pod(api: httpx.Client) -> None:
    session = start(api)
    resource = kubectl.get("codesessions", session, release.SANDBOXES) or {}
    assert resource["spec"]["claim"]["tenant"]
    assert resource["spec"]["shutdownTime"]
    assert resource["status"]["podName"] == session
    assert children(session) == {"pods": [session], "persistentvolumeclaims": [session]}


def test_a_deleted_session_leaves_no_pod_and_no_volume(api: httpx.Client) -> None:
    session = start(api)
    assert api.delete(f"/sessions/{session}").status_code == 200
    eventually(lambda: nothing_left_of(session), "the end of pod and volume")
    assert api.get(f"/files/{session}").json() == []


def test_a_session_past_its_time_leaves_no_pod_and_no_volume(api: httpx.Client) -> None:
    session = start(api)
    past = '{"spec": {"shutdownTime": "2001-01-01T00:00:00Z"}}'
    what = ("patch", "codesessions", session, "-n", release.SANDBOXES, "--type=merge", "-p", past)
    kubectl.out(*what, "--as", release.account("api"))
    eventually(lambda: nothing_left_of(session), "the end of pod and volume")
    # The files stay, and the next call has them again.
    again = api.post("/exec", json={"lang": "bash", "code": "cat kept.txt", "session_id": session}).json()
    assert again["stdout"] == "kept\n"


def test_both_replicas_serve_a_session(chart_release: Target) -> None:
    first, second = (pod["metadata"]["name"] for pod in eventually(both_replicas, "two replicas"))
    with (
        kubectl.forwarded(f"pod/{first}", release.NAMESPACE, 8000) as one,
        kubectl.forwarded(f"pod/{second}", release.NAMESPACE, 8000) as other,
        httpx.Client(headers=chart_release.headers, timeout=150, trust_env=False) as http,
    ):
        session = None
        for turn, replica in enumerate((one, other, one, other)):
            code = f"echo {turn} >> turns.txt; cat turns.txt | tr -d '\\n'"
            request = {"lang": "bash", "code": code, "session_id": session}
            answer = http.post(f"http://{replica}/v1/exec", json=request).json()
            assert session in (None, answer["session_id"])
            assert answer["stdout"] == "0123"[: turn + 1]
            session = answer["session_id"]


def both_replicas() -> list[kubectl.Json] | None:
    pods = release.api_pods()
    return pods if len(pods) == 2 else None


def test_users_at_one_time_get_a_sandbox_each(chart_release: Target) -> None:
    """Six calls of two tenants claim at once, where two sandboxes are warm."""

    def run(number: int) -> tuple[str, str]:
        key = {"X-API-Key": chart_release.keys[number % 2]}
        request = {"lang": "bash", "code": f"ls /mnt/data; echo {number} > own.txt; cat own.txt"}
        answer = httpx.post(
            f"{chart_release.url}/v1/exec", json=request, headers=key, timeout=150, trust_env=False
        ).json()
        return answer["session_id"], answer["stdout"]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(run, range(6)))
    assert [stdout for _, stdout in results] == [f"{number}\n" for number in range(6)]
    sessions = [session for session, _ in results]
    assert len(set(sessions)) == 6
    claims = [
        (kubectl.get("codesessions", session, release.SANDBOXES) or {})["spec"]["claim"]
        for session in sessions
    ]
    assert len({claim["tenant"] for claim in claims}) == 2
    assert len({claim["tenant"] for claim in claims[::2]}) == 1
