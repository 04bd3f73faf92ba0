"""How requests and answers travel, whatever they say: aliases, profiles, keep-alive, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import httpx
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


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("text/plain", 200),
        ("application/vnd.api+json", 200),
        ("application/x-www-form-urlencoded", 415),
        ("Multipart/Form-Data; boundary=x", 415),
        ("text/xml", 415),
        ("application/soap+xml; charset=utf-8", 415),
    ],
)
async def test_a_body_that_says_it_is_something_else_is_not_read(
    api: Api, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await api.client.post("/exec", content=b'{"lang": "py", "code": ""}', headers=headers)
    assert response.status_code == status


HOSTILE = [
    b"",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"lang": "py", "code": "", "more": ' + b'{"a":' * 100_000,
    b'{"lang": "py", "code": "", "lang": "bash"}',
    b'{"lang": "py", "code": "", "more": NaN}',
    b'{"lang": "py", "code": "", "timeout": -Infinity}',
    b'{"lang": "py", "code": "", "timeout": ' + b"9" * 5000 + b"}",
    b'{"lang": "py", "code": "\\ud800"}',
    b'{"lang": "py", "code": "", "args": ["\\udfff"]}',
    b'{"lang": "py", "code": "", "files": [{"id": "x", "name": "\\ud83d"}]}',
    b'{"lang": "\\u0000", "code": "\\u0000", "args": ["\\u0000"], "files": [{"name": "\\u0000"}]}',
    b'{"lang": "py", "code": "", "session_id": "\\u0000", "files": [{"version": 1e400}]}',
]


@pytest.mark.parametrize("body", HOSTILE)
async def test_no_body_is_a_failure_of_the_server(api: Api, body: bytes) -> None:
    response = await api.client.post("/exec", content=body)
    assert response.status_code in (200, 400, 422)
    assert isinstance(response.json(), dict)


async def held(api: Api, count: int) -> list[asyncio.Task[httpx.Response]]:
    """Runs that are under way until they are cancelled."""
    begun = 0

    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()
        raise AssertionError

    api.sandboxes.program = program
    runs = [asyncio.create_task(api.exec()) for _ in range(count)]
    async with asyncio.timeout(10):
        while begun < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return runs


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"concurrent_runs": 2}, "The server runs as much as it can."),
        ({"principal_runs": 2}, "Too many of your runs are under way."),
    ],
)
async def test_more_runs_than_are_taken_at_one_time_are_told_to_come_again(
    tmp_path: Path, limits: dict[str, int], told: str
) -> None:
    async with serving(tmp_path, **limits) as api:
        runs = await held(api, 2)
        refused = await api.exec()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert refused.json() == {"error": "rate_limited", "message": told, "retry_after_seconds": 2}
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)
        api.sandboxes.program = slow
        async with asyncio.timeout(10):
            while (await api.exec()).status_code == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_refused_request_holds_no_slot(tmp_path: Path) -> None:
    async with serving(tmp_path, concurrent_runs=1) as api:
        for _ in range(3):
            assert (await api.client.post("/exec", content=b"{")).status_code == 400
            assert (await api.exec()).status_code == 200


async def raw(api: Api, data: Iterable[bytes]) -> bytes:
    """What comes back for these bytes, sent until the server has had enough of them."""
    reader, writer = await asyncio.open_connection(*api.address)
    with contextlib.suppress(ConnectionError):
        for chunk in data:
            writer.write(chunk)
            await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


CHUNKED = b"POST /exec HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "path": (b"GET /", b"x" * 1000),
    "header": (b"GET / HTTP/1.1\r\nX: ", b"x" * 1000),
    "headers": (b"GET / HTTP/1.1\r\n", b"X: " + b"x" * 1000 + b"\r\n"),
    "chunk size": (CHUNKED + b"1;x=", b"x" * 1000),
    "trailer": (CHUNKED + b"0\r\nX: ", b"x" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"X: " + b"x" * 1000 + b"\r\n"),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_a_head_without_an_end_is_cut_off(api: Api, what: str) -> None:
    first, rest = ENDLESS[what]
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield first
        while sent < 50_000_000:
            sent += len(rest)
            yield rest

    answer = await raw(api, endless())
    assert sent < 50_000_000
    assert not answer or b" 431 " in answer.splitlines()[0] or b" 400 " in answer.splitlines()[0]
    assert (await api.exec()).status_code == 200


async def test_a_long_head_that_ends_and_many_small_chunks_are_served(api: Api) -> None:
    body = b'{"lang": "py", "code": "' + b"x" * 20_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = CHUNKED.replace(b"Host", b"Connection: close\r\nX: " + b"x" * 30_000 + b"\r\nHost")
    pieces = [head, *(chunks[at : at + 700] for at in range(0, len(chunks), 700)), b"0\r\n\r\n"]
    assert (await raw(api, pieces)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "line", [b"GET /\xff HTTP/1.1", b"GET /%ff%00 HTTP/1.1", b"G\x00T / HTTP/1.1", b"GET"]
)
async def test_no_first_line_is_a_failure_of_the_server(api: Api, line: bytes) -> None:
    answer = await raw(api, [line + b"\r\nHost: [::1]\r\nConnection: close\r\n\r\n"])
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
