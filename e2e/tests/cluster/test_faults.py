"""Parts are killed in the middle of their work; users lose a run at most, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.waiting import eventually
from e2e.tests.cluster.accounting import all_accounted_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WRITE = {"lang": "bash", "code": "echo kept > kept.txt"}


@contextlib.contextmanager
def running(http: httpx.Client, url: str, session: str) -> Iterator[Iterator[bytes]]:
    """A run of half a minute in that session: entered when it is under way, with the rest of its answer."""
    request = {"lang": "bash", "code": "echo begun; sleep 30; echo ended", "session_id": session}
    with http.stream("POST", url, json=request) as response:
        chunks = response.iter_bytes()
        # The space that an unfinished run sends.
        assert next(chunks).strip() == b""
        yield chunks


def has_kept_its_file(http: httpx.Client, url: str, session: str) -> bool:
    request = {"lang": "bash", "code": "cat kept.txt", "session_id": session}
    return bool(http.post(url, json=request).json().get("stdout") == "kept\n")


def test_the_operator_is_killed_while_it_creates(chart_release: Target, api: httpx.Client) -> None:
    def run(number: int) -> httpx.Response:
        return api.post("/exec", json={"lang": "py", "code": f"print({number})"})

    with ThreadPoolExecutor(5) as pool:
        answers = pool.map(run, range(5))
        eventually(under_construction, "a pod that is being made", interval=0.02)
        (operator,) = kubectl.running(release.NAMESPACE, "app.kubernetes.io/component=operator")
        kubectl.kill(operator)
        assert [answer.json()["stdout"] for answer in answers] == [f"{number}\n" for number in range(5)]
    eventually(release.warm_sessions, "a full pool", seconds=120)
    eventually(all_accounted_for, "nothing orphaned, nothing twice")


def under_construction() -> bool:
    return any(not kubectl.is_ready(pod) for pod in kubectl.items("pods", release.SANDBOXES))


def test_a_replica_is_killed_in_mid_run(chart_release: Target, api: httpx.Client) -> None:
    replica = release.api_pods()[0]
    session = api.post("/exec", json=WRITE).json()["session_id"]
    tunnel = kubectl.forwarded(f"pod/{replica['metadata']['name']}", release.NAMESPACE, 8000)
    with tunnel as address, running(api, f"http://{address}/v1/exec", session) as rest:
        kubectl.kill(replica)
        with pytest.raises(httpx.TransportError):
            list(rest)
    assert has_kept_its_file(api, "/exec", session)
    eventually(lambda: len(release.api_pods()) == 2, "two replicas")
    eventually(all_accounted_for, "nothing orphaned, nothing twice")


def test_the_pod_of_a_live_session_is_deleted(chart_release: Target, api: httpx.Client) -> None:
    session = api.post("/exec", json=WRITE).json()["session_id"]
    with running(api, "/exec", session) as rest:
        kubectl.kill(kubectl.get("pods", session, release.SANDBOXES) or {})
        answer = json.loads(b"".join(rest))
    assert "sandbox was lost" in answer["stderr"]
    assert "ended" not in answer["stdout"]
    assert has_kept_its_file(api, "/exec", session)
    eventually(release.warm_sessions, "a full pool", seconds=120)
    eventually(all_accounted_for, "nothing orphaned, nothing twice")


def test_the_store_is_killed(chart_release: Target, api: httpx.Client) -> None:
    session = api.post("/exec", json=WRITE).json()["session_id"]
    (minio,) = kubectl.running(release.NAMESPACE, "app.kubernetes.io/component=minio")
    with kubectl.forwarded_service(f"{release.NAME}-minio", release.NAMESPACE, 9000) as address:
        eventually(lambda: release.answers(f"http://{address}/minio/health/live"), "a tunnel")
        kubectl.kill(minio)
        eventually(lambda: has_kept_its_file(api, "/exec", session), "a run with its file")
        # On a cluster whose nodes cannot be reached, the whole suite depends on that.
        eventually(lambda: release.answers(f"http://{address}/minio/health/live"), "the tunnel again")
    listing = eventually(lambda: api.get(f"/files/{session}").is_success, "a listing", seconds=120)
    assert listing
