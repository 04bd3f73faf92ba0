"""What a cluster does to its pods, and what it runs out of: users are told or wait, and files survive."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from e2e.targets import Target, kubectl, node, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually
from e2e.tests.cluster import environments
from e2e.tests.cluster.accounting import all_accounted_for, children, nothing_left_of
from e2e.tests.cluster.test_faults import WRITE, has_kept_its_file, running, under_construction

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

QUOTA = "codesession-e2e-narrow"
ONCE = {"lang": "bash", "code": "echo x >> ran; cat ran"}
BUSY = (429, 503)


def evict(pod: Json) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    kubectl.out("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def pod_of(session: str) -> Json:
    return kubectl.get("pods", session, release.SANDBOXES) or {}


def events(session: str) -> dict[str, str]:
    """What was told of a session: messages by reason."""
    found = kubectl.out(
        "get",
        "events",
        "-n",
        release.SANDBOXES,
        "-o",
        "json",
        f"--field-selector=involvedObject.name={session}",
    )
    return {item["reason"]: item["message"] for item in json.loads(found)["items"]}


def condition(session: str) -> Json:
    status = (kubectl.get("codesessions", session, release.SANDBOXES) or {}).get("status", {})
    found: Json = (status.get("conditions") or [{}])[0]
    return found


@pytest.mark.alone
def test_the_apiserver_restarts_during_a_burst_of_claims(within_reach: None, api: httpx.Client) -> None:
    """Two are warm, and four are made. Whoever is refused is told to come again, and is served then; no code
    runs twice. All is well within 150 s of its return."""

    def run(_: int) -> httpx.Response:
        return api.post("/exec", json=ONCE)

    with ThreadPoolExecutor(6) as pool:
        asked = pool.map(run, range(6))
        eventually(under_construction, "a pod that is being made", interval=0.02)
        node.restart_apiserver()
        answers = list(asked)
    for answer in answers:
        if answer.status_code in BUSY:
            assert answer.headers["retry-after"].isdecimal()
            answer = eventually(
                lambda: again if (again := run(0)).is_success else None, "an answer", seconds=150
            )
        body = answer.json()
        assert body["stdout"] == "x\n" or "sandbox was lost" in body["stderr"], body
    eventually(release.warm_sessions, "a full pool", seconds=150)
    eventually(all_accounted_for, "nothing orphaned, nothing twice")


@pytest.mark.alone
def test_the_node_is_silent_for_longer_than_its_lease(within_reach: None, api: httpx.Client) -> None:
    """It is NotReady by then, and so are all pods; when it is back the session is there with its files within
    120 s, and nothing was doubled."""
    session = api.post("/exec", json=WRITE).json()["session_id"]
    with node.lost():
        gone = "--for=condition=Ready=Unknown"
        kubectl.out("wait", "nodes", "--all", gone, "--timeout=120s")
        eventually(lambda: condition(session).get("status") == "False", "that it is told")
    eventually(lambda: has_its_file(api, session), "the session with its file", seconds=120, interval=2)
    eventually(release.warm_sessions, "a full pool", seconds=150)
    eventually(all_accounted_for, "nothing orphaned, nothing twice", seconds=120)


def has_its_file(http: httpx.Client, session: str) -> bool:
    """Also while nobody answers."""
    try:
        return has_kept_its_file(http, "/exec", session)
    except (httpx.TransportError, ValueError):
        return False


def test_a_claimed_sandbox_is_evicted(api: httpx.Client) -> None:
    session = api.post("/exec", json=WRITE).json()["session_id"]
    with running(api, "/exec", session) as rest:
        evict(pod_of(session))
        answer = json.loads(b"".join(rest))
    assert "sandbox was lost" in answer["stderr"]
    assert "ended" not in answer["stdout"]
    assert has_kept_its_file(api, "/exec", session)
    eventually(lambda: "EvictionByEvictionAPI" in events(session).get("PodLost", ""), "an Event that says so")
    eventually(all_accounted_for, "nothing orphaned, nothing twice", seconds=120)


def test_the_replica_of_a_run_is_evicted(api: httpx.Client) -> None:
    """As a drain does: what is under way is finished."""
    replica = eventually(release.api_pods, "a replica")[0]
    session = api.post("/exec", json=WRITE).json()["session_id"]
    tunnel = kubectl.forwarded(f"pod/{replica['metadata']['name']}", release.NAMESPACE, 8000)
    request = {"lang": "bash", "code": "echo begun; sleep 8; echo ended", "session_id": session}
    with tunnel as address, api.stream("POST", f"http://{address}/v1/exec", json=request) as response:
        chunks = response.iter_bytes()
        first = next(chunks)
        evict(replica)
        answer = json.loads(first + b"".join(chunks))
    assert answer["stdout"] == "begun\nended\n"
    assert has_kept_its_file(api, "/exec", session)
    eventually(lambda: len(release.api_pods()) == 2, "two replicas", seconds=120)


def test_the_kernel_kills_a_sandbox(within_reach: None, api: httpx.Client) -> None:
    """As it does when a node or the pod has no memory left and no run was ended in time."""
    session = api.post("/exec", json=WRITE).json()["session_id"]
    with running(api, "/exec", session) as rest:
        assert node.kill_processes(pod_of(session))
        answer = json.loads(b"".join(rest))
    assert "sandbox was lost" in answer["stderr"]
    assert "ended" not in answer["stdout"]
    assert has_kept_its_file(api, "/exec", session)
    eventually(lambda: "exit code" in events(session).get("PodFailed", ""), "an Event that says so")
    eventually(all_accounted_for, "nothing orphaned, nothing twice", seconds=120)


def test_a_workspace_in_memory_goes_with_its_pod_and_its_files_do_not(chart_release: Target) -> None:
    with environments.changed(chart_release, workspace={"type": "Memory", "size": "16Mi"}) as tenant:
        session = tenant.post("/exec", json=WRITE).json()["session_id"]
        kubectl.kill(pod_of(session))
        eventually(lambda: is_another_and_ready(session), "another pod")
        assert has_kept_its_file(tenant, "/exec", session)


def is_another_and_ready(session: str) -> bool:
    status = (kubectl.get("codesessions", session, release.SANDBOXES) or {})["status"]
    return bool(status["restartCount"] and status["phase"] == "Ready")


def test_an_environment_of_a_storage_class_that_is_not_there(chart_release: Target) -> None:
    """The condition and an Event say so within 60 s, and the claim goes with its session."""
    workspace = {"type": "PersistentVolumeClaim", "size": "16Mi", "storageClassName": "codesession-e2e-none"}
    with (
        environments.changed(chart_release, workspace=workspace) as tenant,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(tenant.post, "/exec", json=ONCE)
        (session,) = eventually(names, "a session")
        eventually(lambda: condition(session).get("reason") == "WorkspacePending", "a condition that says so")
        assert "persistentvolumeclaim" in condition(session)["message"].lower()
        assert children(session)["persistentvolumeclaims"] == [session]
        eventually(lambda: "WorkspacePending" in events(session), "an Event")
        kubectl.out("delete", "codesessions", session, "-n", release.SANDBOXES)
        answer = asked.result(timeout=60)
        if answer.status_code == 200:  # begun with white space before this was known
            assert (answer.json()["stdout"], bool(answer.json()["stderr"])) == ("", True)
        else:
            assert answer.status_code in BUSY
            assert answer.headers["retry-after"].isdecimal()
        eventually(lambda: nothing_left_of(session), "the end of pod and claim")


def names() -> list[str]:
    return [one["metadata"]["name"] for one in environments.sessions()]


@contextmanager
def quota(**hard: int) -> Iterator[None]:
    """Of the sandboxes' namespace, besides that of the operator; in force when entered."""
    metadata = {"name": QUOTA, "namespace": release.SANDBOXES}
    spec = {"hard": {name.replace("_", "/"): str(count) for name, count in hard.items()}}
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    try:
        eventually(lambda: is_counted(spec["hard"].keys()), "that the quota is counted")
        yield
    finally:
        kubectl.out("delete", "resourcequota", QUOTA, "-n", release.SANDBOXES)


def is_counted(what: object) -> bool:
    found = kubectl.get("resourcequotas", QUOTA, release.SANDBOXES) or {}
    return bool(found.get("status", {}).get("used", {}).keys() == what)


def test_room_is_given_to_who_waits_first(chart_release: Target, api: httpx.Client) -> None:
    """There is room for one more pod; of two who wait the first is served when it is given back, within 60 s,
    and no session more is made than may be."""
    taken = release.WARM
    eventually(lambda: release.warm_sessions() and all_pods() == taken, "the warm pool alone", seconds=120)
    with environments.changed(chart_release) as tenant, ThreadPoolExecutor(2) as pool:
        with quota(pods=taken + 1):
            first = tenant.post("/exec", json=ONCE).raise_for_status().json()["session_id"]
            waiting = [wait_in_line(tenant, pool, number) for number in (1, 2)]
            kubectl.out("delete", "codesessions", first, "-n", release.SANDBOXES)
            second = waiting[0].result(timeout=60).raise_for_status().json()
            assert (second["stdout"], waiting[1].done()) == ("x\n", False)
            kubectl.out("delete", "codesessions", second["session_id"], "-n", release.SANDBOXES)
            assert waiting[1].result(timeout=60).raise_for_status().json()["stdout"] == "x\n"
        there = len(kubectl.items("codesessions", release.SANDBOXES))
        with quota(**{"count_codesessions.codesession.dev": there}):
            refused = tenant.post("/exec", json=ONCE)
            assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
            assert refused.headers["retry-after"].isdecimal()


def all_pods() -> int:
    return len(kubectl.items("pods", release.SANDBOXES))


def wait_in_line(tenant: httpx.Client, pool: ThreadPoolExecutor, number: int) -> Future[httpx.Response]:
    """A call whose session is told that there is no room."""
    asked = pool.submit(tenant.post, "/exec", json=ONCE)
    eventually(lambda: without_room() == number, f"{number} without room")
    return asked


def without_room() -> int:
    reasons = [condition(name).get("reason") for name in names()]
    return reasons.count("QuotaExceeded")


def test_a_suspended_session_goes_on_where_it_was(api: httpx.Client) -> None:
    """Its pod is gone and its volume kept; two calls that name it at one time start it once, within the time
    of a claim, and find what was in the volume."""
    session = api.post("/exec", json=WRITE).json()["session_id"]
    volume = kubectl.get("persistentvolumeclaims", session, release.SANDBOXES) or {}
    suspended = '{"spec": {"operatingMode": "Suspended"}}'
    kubectl.out("patch", "codesessions", session, "-n", release.SANDBOXES, "--type=merge", "-p", suspended)
    eventually(lambda: children(session)["pods"] == [], "the end of the pod")
    eventually(lambda: condition(session).get("reason") == "Suspended", "that it is told")
    together = threading.Barrier(2)

    def go_on(_: int) -> Json:
        together.wait()
        request = {"lang": "bash", "code": "echo x >> ran; cat kept.txt", "session_id": session}
        found: Json = api.post("/exec", json=request).json()
        return found

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(go_on, range(2)))
    assert [(one["session_id"], one["stdout"]) for one in answers] == [(session, "kept\n")] * 2
    assert (kubectl.get("persistentvolumeclaims", session, release.SANDBOXES) or {})["metadata"]["uid"] == (
        volume["metadata"]["uid"]
    )
    assert api.delete(f"/sessions/{session}").is_success
    eventually(lambda: nothing_left_of(session), "the end of pod and volume")
