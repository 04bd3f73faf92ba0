"""Programs that call tools on two real replicas: begun at one, gone on with and cancelled at the other."""

from __future__ import annotations

import base64
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from codesession_api.ports import Principal
from codesession_api.programmatic import tokens
from e2e.targets import Target, kubectl, node, release
from e2e.targets.waiting import eventually
from e2e.tests.cluster.conftest import Replica

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PATH = "/exec/programmatic"
Json = dict[str, Any]
REQUEST_ID = "X-LibreChat-Code-Request-ID"


def begin(http: httpx.Client, code: str, **headers: str) -> Json:
    request = {"code": code, "tools": [{"name": "get"}], "timeout": 15000}
    answer: Json = http.post(PATH, json=request, headers=headers).json()
    assert answer["status"] == "tool_call_required", answer
    return answer


def go_on(http: httpx.Client, waiting: Json, result: Any = 1, **headers: str) -> httpx.Response:
    results = [{"call_id": call["id"], "result": result} for call in waiting["tool_calls"]]
    given = {"continuation_token": waiting["continuation_token"], "tool_results": results}
    return http.post(PATH, json=given, headers=headers)


def test_each_step_at_the_other_replica(replicas: list[Replica]) -> None:
    code = "import os\nfor n in range(3):\n    print(os.getpid(), await get(n=n))"
    here, there = (replica.http for replica in replicas)
    answer = begin(here, code)
    for turn, http in enumerate((there, here, there)):
        assert answer["tool_calls"][0]["input"] == {"n": turn}
        answer = go_on(http, answer, turn).json()
    assert answer["status"] == "completed", answer
    pids, results = zip(*(line.split() for line in answer["stdout"].splitlines()), strict=True)
    # One process from the first step to the last.
    assert (len(set(pids)), results) == (1, ("0", "1", "2"))


@pytest.mark.parametrize("when", ["waits", "runs"])
def test_cancelled_at_the_other_replica(replicas: list[Replica], when: str) -> None:
    here, there = (replica.http for replica in replicas)
    name, second = str(uuid.uuid4()), str(uuid.uuid4())
    waiting = begin(here, "import time\nawait get()\nwhile True: time.sleep(0.1)", **{REQUEST_ID: name})
    if when == "waits":
        assert cancel(there, name).status_code == 202
        eventually(lambda: go_on(here, waiting).status_code == 404, "the end of the program")
        return
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(go_on, here, waiting, 1, **{REQUEST_ID: second})
        eventually(lambda: cancel(there, second).status_code == 202, "a step to cancel")
        answer = running.result(timeout=60).json()
    assert answer["status"] == "error", answer


def cancel(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"{PATH}/cancel", json={"request_id": name})


def test_of_two_answers_at_two_replicas_one_counts(replicas: list[Replica]) -> None:
    """The program runs on long enough for the later one to find it running."""
    code = "import time\nprint(await get())\nopen('ran', 'a').write('x')\ntime.sleep(5)\n"
    code += "print(open('ran').read())"
    waiting = begin(replicas[0].http, code)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(go_on, replica.http, waiting, n) for n, replica in enumerate(replicas)]
        answers = [future.result() for future in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (winner,) = (n for n, answer in enumerate(answers) if answer.status_code == 200)
    assert answers[winner].json()["stdout"] == f"{winner}\nx\n"


def test_tokens_that_are_none(chart_release: Target, replicas: list[Replica]) -> None:
    here, there = (replica.http for replica in replicas)
    waiting = begin(here, "print(await get())")
    foreign = {"X-API-Key": chart_release.keys[1]}
    assert go_on(there, waiting, 1, **foreign).status_code == 404
    assert go_on(there, waiting | {"continuation_token": expired(waiting)}).status_code == 404
    assert go_on(there, waiting | {"continuation_token": "tok-1"}).status_code == 404
    assert go_on(there, waiting).json()["stdout"] == "1\n"


def expired(waiting: Json) -> str:
    """The same token as it would be had its time been over, signed with the release's own key."""
    secret = kubectl.get("secrets", f"{release.NAME}-continuation", release.NAMESPACE) or {}
    key = base64.b64decode(secret["data"]["key"])
    session = kubectl.get("codesessions", waiting["session_id"], release.SANDBOXES) or {}
    claim = session["spec"]["claim"]
    owner = Principal(claim["tenant"], claim["principal"])
    token = tokens.read(key, waiting["continuation_token"], owner, time.time())
    assert token is not None
    return tokens.sign(key, replace(token, expires=time.time() - 1), owner)


def test_a_program_that_waits_costs_no_processor(within_reach: None, api: httpx.Client) -> None:
    """Less than 2 % of a core, its runner's heartbeats and gVisor's own threads included."""
    waiting = begin(api, "print(await get())")
    pod = kubectl.get("pods", waiting["session_id"], release.SANDBOXES) or {}
    seconds = 20
    before = node.cpu_seconds(pod)
    time.sleep(seconds)
    used = node.cpu_seconds(pod) - before
    assert used / seconds < 0.02, f"{used:.2f} s of processor time in {seconds} s"
    assert go_on(api, waiting).json()["stdout"] == "1\n"
