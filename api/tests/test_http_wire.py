"""How requests and answers travel, whatever they say: aliases, profiles, keep-alive, refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codesession_api.ports import Outcome, RunResult, RunSpec
from fakes import Api, FakeSandbox, serving

EXEC_PATHS = ["/exec", "/run/exec", "/v1/exec", "/v1/run/exec", "//run//exec/"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as api:
        yield api


async def slow(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
    await asyncio.sleep(0.5)
    return RunResult(Outcome.EXIT, 3, stdout=b"out", stderr=b"err\n", wall_ms=500.4)


@pytest.mark.parametrize("path", EXEC_PATHS)
async def test_both_paths_answer_alike_and_keep_their_connection(api: Api, path: str) -> None:
    api.sandboxes.program = slow
    url = f"http://{api.address[0]}:{api.address[1]}{path}"
    response = await api.client.post(url, json={"lang": "py", "code": ""})
    answer = response.json()
    assert response.content.startswith(b"  "), "one space per interval"
    assert "connection" not in response.headers
    told = "The program exited with code 3.\n"
    assert (answer["stdout"], answer["stderr"]) == ("out", f"err\n{told}")
    assert answer["output"] == f"outerr\n{told}"
    assert (answer["exit_code"], answer["status"], answer["wall_time"]) == (3, "RE", 500)


@pytest.mark.parametrize("path", ["/exec", "/run/exec"])
async def test_nothing_is_sent_before_the_first_interval(api: Api, path: str) -> None:
    response = await api.client.post(path, json={"lang": "py", "code": ""})
    assert response.content.startswith(b"{")
    assert response.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize("path", ["/exec", "/run/exec"])
async def test_headers_and_spaces_are_sent_as_they_come(api: Api, path: str) -> None:
    gate = asyncio.Event()

    async def gated(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        await gate.wait()
        return RunResult(Outcome.EXIT, 0)

    api.sandboxes.program = gated
    async with api.client.stream("POST", path, json={"lang": "py", "code": ""}) as response:
        chunks = response.aiter_raw()
        assert response.headers["content-type"] == "application/json"
        assert await anext(chunks) == b" "
        gate.set()
        rest = b"".join([chunk async for chunk in chunks])
    assert json.loads(rest)["exit_code"] == 0


async def test_an_execs_own_refusal_keeps_its_connection_and_others_close_theirs(api: Api) -> None:
    assert "connection" not in (await api.client.post("/exec", content=b"{")).headers
    assert (await api.client.get("/files/short")).headers["connection"] == "close"
    assert (await api.client.post("/upload")).headers["connection"] == "close"


ROUTES = [
    ("POST", "/exec"),
    ("POST", "/run/exec"),
    ("POST", "/upload"),
    ("POST", "/upload/batch"),
    ("GET", f"/files/{'S' * 21}"),
    ("GET", f"/download/{'S' * 21}/{'F' * 21}"),
    ("GET", f"/sessions/{'S' * 21}/objects/{'F' * 21}"),
    ("DELETE", f"/sessions/{'S' * 21}/objects/{'F' * 21}"),
    ("DELETE", f"/files/{'S' * 21}/{'F' * 21}"),
    ("DELETE", f"/sessions/{'S' * 21}"),
]


@pytest.mark.parametrize("profile", ["default", "stateful"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_client_that_expects_another_profile_is_sent_away(
    tmp_path: Path, profile: str, method: str, path: str
) -> None:
    async with serving(tmp_path, profile=profile) as api:
        for expected in ("default", "stateful", "bridge"):
            response = await api.client.request(
                method, path, headers={"X-CodeAPI-Expected-Profile": expected}
            )
            if expected == profile:
                assert response.status_code != 409
            else:
                assert response.status_code == 409
                assert response.json()["error"] == "execution_profile_mismatch"


@pytest.mark.parametrize("profile", ["default", "stateful"])
async def test_an_answer_says_its_profile(tmp_path: Path, profile: str) -> None:
    async with serving(tmp_path, profile=profile) as api:
        for headers in ({}, {"X-CodeAPI-Expected-Profile": ""}, {"x-codeapi-expected-profile": profile}):
            response = await api.client.post("/exec", json={"lang": "py", "code": ""}, headers=headers)
            assert response.status_code == 200
            assert response.headers["x-codeapi-execution-profile"] == profile
