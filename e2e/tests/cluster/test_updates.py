"""The API is updated under load: what was begun is finished, and what comes is served."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DEPLOYMENT = f"deployment/{release.NAME}-api"
# Longer than an update takes, within the limit of a run.
LONG = {"lang": "bash", "code": "echo begun; sleep 100; echo ended > ended.txt; cat ended.txt"}
SHORT = {"lang": "bash", "code": "echo served"}


class Load(threading.Thread):
    """Short runs one after the other in one session, each on a connection of its own, until it is stopped."""

    def __init__(self, api: httpx.Client) -> None:
        super().__init__()
        self._api = api
        self._request = SHORT | {"session_id": session_of(api)}
        self._enough = threading.Event()
        self.answers: list[str] = []

    def run(self) -> None:
        while not self._enough.is_set():
            self.answers.append(self._ask())

    def _ask(self) -> str:
        try:
            answer = self._api.post("/exec", json=self._request)
        except httpx.HTTPError as error:
            return type(error).__name__
        return answer.text if answer.status_code != 200 else str(answer.json()["stdout"])

    def stop(self) -> None:
        self._enough.set()
        self.join()


def session_of(api: httpx.Client) -> str:
    """A new session, which is not claimed while the update goes on."""
    return str(api.post("/exec", json=SHORT).raise_for_status().json()["session_id"])


@contextlib.contextmanager
def under_way(http: httpx.Client, replica: str, session: str) -> Iterator[Iterator[bytes]]:
    """A long run that this replica serves: entered when it goes on, with the rest of its answer."""
    with kubectl.forwarded(f"pod/{replica}", release.NAMESPACE, 8000) as address:
        request = LONG | {"session_id": session}
        with http.stream("POST", f"http://{address}/v1/exec", json=request) as response:
            chunks = response.iter_bytes()
            # The space that an unfinished run sends.
            assert next(chunks).strip() == b""
            yield chunks


def test_a_rolling_update_loses_no_run(chart_release: Target, api: httpx.Client) -> None:
    replicas = [pod["metadata"]["name"] for pod in eventually(both_replicas, "two replicas")]
    with contextlib.ExitStack() as stack:
        http = stack.enter_context(httpx.Client(headers=chart_release.headers, timeout=150, trust_env=False))
        load = Load(api)
        answers = [stack.enter_context(under_way(http, one, session_of(api))) for one in replicas]
        load.start()
        stack.callback(load.stop)
        kubectl.out("rollout", "restart", DEPLOYMENT, "-n", release.NAMESPACE)
        kubectl.out("rollout", "status", DEPLOYMENT, "-n", release.NAMESPACE, "--timeout=180s")
        draining = {pod["metadata"]["name"]: pod["metadata"] for pod in all_replicas()}
        assert all("deletionTimestamp" in draining[replica] for replica in replicas)
        for rest in answers:
            assert json.loads(b"".join(rest))["stdout"] == "begun\nended\n"
        load.stop()
        assert set(load.answers) == {"served\n"}
    gone = eventually(lambda: not {*replicas} & {p["metadata"]["name"] for p in all_replicas()}, "the end")
    assert gone


def all_replicas() -> list[kubectl.Json]:
    return kubectl.items("pods", release.NAMESPACE, "app.kubernetes.io/component=api")


def both_replicas() -> list[kubectl.Json] | None:
    pods = release.api_pods()
    return pods if len(pods) == 2 else None
