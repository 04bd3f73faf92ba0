"""The API is updated under load: what was begun is finished, and what comes is served."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DEPLOYMENT = f"deployment/{release.NAME}-api"
LONG = {"lang": "bash", "code": "echo begun; sleep 25; echo ended > ended.txt; cat ended.txt"}
SHORT = {"lang": "bash", "code": "echo served"}


class Load(threading.Thread):
    """Short runs one after the other in one session, each on a connection of its own, until it is stopped."""

    def __init__(self, target: Target, session: str) -> None:
        super().__init__()
        self._target = target
        self._request = SHORT | {"session_id": session}
        self._enough = threading.Event()
        self.answers: list[str] = []

    def run(self) -> None:
        while not self._enough.is_set():
            self.answers.append(self._ask())

    def _ask(self) -> str:
        try:
            answer = post(self._target, self._request)
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(answer.json().get("stdout")) if answer.status_code == 200 else str(answer.status_code)

    def stop(self) -> None:
        self._enough.set()
        self.join()


def post(target: Target, request: dict[str, object]) -> httpx.Response:
    headers = target.headers | {"Connection": "close"}
    return httpx.post(f"{target.url}/v1/exec", json=request, headers=headers, timeout=150, trust_env=False)


def test_a_rolling_update_loses_no_run(chart_release: Target) -> None:
    before = {pod["metadata"]["uid"] for pod in eventually(both_replicas, "two replicas")}
    session = post(chart_release, SHORT).json()["session_id"]
    results: list[httpx.Response] = []
    # Of several connections each replica gets some.
    runs = [threading.Thread(target=lambda: results.append(post(chart_release, LONG))) for _ in range(4)]
    load = Load(chart_release, session)
    for thread in (*runs, load):
        thread.start()
    eventually(lambda: len(load.answers) > 1, "short runs")
    begun = time.monotonic()
    kubectl.out("rollout", "restart", DEPLOYMENT, "-n", release.NAMESPACE)
    kubectl.out("rollout", "status", DEPLOYMENT, "-n", release.NAMESPACE, "--timeout=180s")
    updated = time.monotonic() - begun
    for thread in runs:
        thread.join()
    load.stop()
    assert [result.json()["stdout"] for result in results] == ["begun\nended\n"] * 4
    assert set(load.answers) == {"served\n"}
    eventually(lambda: not before & {pod["metadata"]["uid"] for pod in release.api_pods()}, "new replicas")
    assert updated < 180


def both_replicas() -> list[kubectl.Json] | None:
    pods = release.api_pods()
    return pods if len(pods) == 2 else None
