"""Nothing of what people send or make is ever logged: on no route, by no failure's words, and by no library.
At level debug, where most is said."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codesession_api import log
from codesession_api.errors import SandboxBadRequest, SandboxError, SandboxesBusy, SandboxesUnavailable
from codesession_api.openapi import OPERATIONS
from codesession_api.ports import RunResult, RunSpec
from fakes import Api, FakeSandbox, serving

KEY = "canary-key-5b1d"
CANARY = re.compile(r"canary[-_a-zA-Z0-9.]*")
NOBODY = "S" * 21
HEADERS = {
    "User-Id": "canary-user-id",
    "Cookie": "canary-cookie",
    "Origin": "https://canary-origin.example",
    "Referer": "https://x.example/canary-referer",
    "User-Agent": "canary-agent",
    "X-Request-Id": "not fit: canary-request-id",
    "X-CodeAPI-Expected-Profile": "",
}
QUERY = "?kind=user&id=canary-query-id&version=canary-version&entity_id=canary-entity&more=canary-more"
CODE = """
import os, sys
print('canary-stdout', open(sys.argv[1]).read()); print('canary-stderr', file=sys.stderr)
open('canary-output.txt', 'w').write('canary-output-bytes'); os.remove(sys.argv[1])
open('canary-unfit\\nname', 'w')
raise ValueError('canary-exception')
"""


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("server")
    (directory / "keys").write_text(f"acme:{hashlib.sha256(KEY.encode()).hexdigest()}")
    run_server = request.getfixturevalue("run_server")
    settings = {"auth": "api-key,basic,path-key", "api_keys_file": directory / "keys", "log_level": "debug"}
    with run_server(directory, **settings, upload_file_bytes=1000) as server:
        server.client.headers.update({**HEADERS, "X-API-Key": KEY})
        yield server


def execute(server: Any, path: str) -> dict[str, Any]:
    form = {
        "kind": "user",
        "id": "canary-owner",
        "entity_id": "canary-entity",
        "canary-field": "canary-value",
    }
    upload = {"data": form, "files": {"file": ("canary-name.csv", b"canary-contents")}}
    made = server.client.post("/v1/upload" + QUERY, **upload).json()
    ref = {
        "id": made["files"][0]["fileId"],
        "storage_session_id": made["session_id"],
        "name": "canary-name.csv",
    }
    gone = {"id": "canary-id", "session_id": "canary-session", "name": "canary-gone.csv"}
    body = {
        "lang": "py",
        "code": CODE,
        "args": ["canary-name.csv", "canary-arg"],
        "files": [ref, gone],
        "session_id": "canary-session",
        "user_id": "canary-user",
        "runtime_session_hint": "canary-hint",
        "LIBRECHAT_CODE_API_KEY": "canary-body-key",
    }
    answer: dict[str, Any] = server.client.post(path, json=body).json()
    assert "canary-exception" in answer["stderr"]
    assert answer["stdout"] == "canary-stdout canary-contents\n"
    return {**answer, "upload": ref}


def call_tools(server: Any) -> None:
    """Of steps: calls, an end, and one that is cancelled."""
    headers = {"X-LibreChat-Code-Request-ID": "canary-step"}
    body = {"code": "print(await canary_tool(a='canary-input'))", "tools": [{"name": "canary-tool"}]}
    for last in (False, True):
        waiting = server.client.post("/exec/programmatic", json=body, headers=headers).json()
        given = {
            "continuation_token": waiting["continuation_token"],
            "tool_results": [{"call_id": "call_001", "result": "canary-result"}],
        }
        if not last:
            assert server.client.post("/exec/programmatic", json=given).json()["stdout"] == "canary-result\n"
    cancelled = server.client.post("/exec/programmatic/cancel", json={"request_id": "canary-step"})
    assert cancelled.status_code == 202


def succeed(server: Any) -> set[str]:
    """Use every route well; the ids that came back."""
    execute(server, "/exec")
    answer = execute(server, "/run/exec")
    uploaded = answer["upload"]
    call_tools(server)
    server.client.post("/upload/batch", files=[("file", (f"canary-{n}.txt", b"canary-bytes")) for n in "ab"])
    session, (file,) = answer["session_id"], answer["files"]
    for path in (f"/files/{session}", f"/download/{session}/{file['id']}"):
        server.client.get(path + QUERY)
    server.client.head(f"/download/{session}/{file['id']}")
    server.client.get(f"/sessions/{session}/objects/{file['id']}{QUERY}")
    server.client.get(f"/file/{session}/{file['id']}/content{QUERY}")
    server.client.get(f"/download/{session}/canary-output.txt{QUERY}")
    server.client.delete(f"/sessions/{session}/objects/{file['id']}{QUERY}")
    server.client.delete(f"/files/{uploaded['storage_session_id']}/{uploaded['id']}{QUERY}")
    server.client.delete(f"/sessions/{session}{QUERY}")
    for path in ("/livez", "/readyz", "/health", "/sessions"):
        server.client.get(path + QUERY, headers={"Origin": server.url})
    return {session, file["id"], *uploaded.values()} - {"canary-name.csv"}


def fail(server: Any) -> None:
    """Use every route badly, in each way that a secret could come back from."""
    client = server.client
    for path in ("/exec", "/run/exec", "/exec/programmatic", "/exec/programmatic/cancel"):
        for body in (
            b'{"canary-json',
            b'{"lang": "py", "code": {"canary-field": "canary-value"}}',
            b"\xff canary",
        ):
            client.post(path, content=body)
        client.post(path, json={"lang": "canary-language", "code": "canary-code"})
        client.post(path, content=b"canary-form", headers={"Content-Type": "canary/x-www-form-urlencoded"})
    client.post("/exec/programmatic", json={"continuation_token": "canary-token"})
    form = {"Content-Type": "multipart/form-data; boundary=canary-boundary"}
    for path in ("/upload", "/upload/batch"):
        client.post(path, content=b"canary-bytes", headers=form)
        client.post(path, content=b"canary-bytes", headers={"Content-Type": "canary/type"})
        client.post(path, files={"file": ("canary-big.bin", b"canary" * 1000)})
    for method, path in (
        ("GET", "/files/canary-session"),
        ("GET", f"/files/{NOBODY}?detail=canary-detail"),
        ("GET", f"/download/{NOBODY}/canary-name.csv"),
        ("HEAD", f"/download/{NOBODY}/canary-name.csv"),
        ("GET", f"/download/{NOBODY}/canary-directory/canary-name.csv"),
        ("GET", f"/file/{NOBODY}/canary-file/content"),
        ("GET", f"/sessions/{NOBODY}/objects/canary-file"),
        ("DELETE", f"/sessions/{NOBODY}/objects/canary-file"),
        ("DELETE", f"/files/{NOBODY}/canary-file"),
        ("DELETE", "/sessions/canary-session"),
        ("GET", "/canary-route/%63anary-escaped"),
    ):
        client.request(method, path)
    wrong = {"Authorization": "Bearer canary-bearer"}, {"X-API-Key": "canary-wrong"}
    basic = base64.b64encode(b"canary-user:canary-password").decode()
    client.get("/sessions", headers=wrong[0])
    for headers in (
        *wrong,
        {"Authorization": f"Basic {basic}"},
        {"X-CodeAPI-Expected-Profile": "canary-profile"},
    ):
        client.get(f"/files/{NOBODY}", headers=headers)
    for data in (
        b"GET /k/%s/v1/files/canary-session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % KEY.encode(),
        b"GET /k/canary-path-key/v1/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"canary-method /canary-url HTTP/1.1\r\n\r\n",
        b"GET /canary-url\xff HTTP/1.1\r\nHost: canary-host\r\n\r\n",
        b"GET /canary HTTP/1.1\r\nX: " + b"canary" * 50_000,
        b"GET /canary HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: canary-host\r\n\r\n",
    ):
        exchange(server, data)


def exchange(server: Any, data: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass


@pytest.mark.sandbox
def test_a_server_logs_every_request_and_nothing_that_was_sent_or_made(server: Any) -> None:
    ids = succeed(server)
    fail(server)
    server.client.get("/health")
    server.wait_for_log("GET /health 200", 2)
    logged = server.log.read_text()
    assert set(CANARY.findall(logged)) == set()
    assert {one for one in ids if one in logged} == set()
    for operation in OPERATIONS:
        method, path = operation.split()
        statuses = set(re.findall(rf"{method.upper()} {re.escape(path)} (\d)\d\d ", logged))
        assert "2" in statuses, f"{operation} was not used well, or not logged"
        assert "4" in statuses or OPERATIONS[operation].public, f"{operation} was not used badly"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that this process logs, as a replica does it; but what the tests' own client says."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log.formatter(machine=True))
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


FAILURES = [
    SandboxError("canary"),
    SandboxBadRequest("canary"),
    SandboxesBusy("canary"),
    SandboxesUnavailable("canary"),
    RuntimeError("canary"),
    UnicodeDecodeError("utf-8", b"canary", 0, 1, "canary"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("late", [False, True])
async def test_what_a_failure_says_is_not_logged(
    tmp_path: Path, logged: io.StringIO, failure: Exception, late: bool
) -> None:
    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        await asyncio.sleep(0.3 if late else 0)
        raise failure

    async with serving(tmp_path) as api:
        api.sandboxes.program = program
        await api.exec("canary-code")
        if not late:
            await _everything_fails(api, failure)
    assert "POST /exec" in logged.getvalue()
    assert set(CANARY.findall(logged.getvalue())) == set()


async def _everything_fails(api: Api, failure: Exception) -> None:
    ref = await api.upload()
    api.sandboxes.failure = failure
    api.objects.failing = True
    await api.exec("canary-code", files=[ref])
    await api.client.post("/upload", files={"file": ("canary-name", b"canary-bytes")})
    await api.client.get(f"/download/{ref['storage_session_id']}/{ref['id']}")
