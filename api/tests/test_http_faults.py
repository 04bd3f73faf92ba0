"""What the API says when what it stands on fails. The ports are replaced here, since real ones do not fail on
demand; everything above them is real, and asked over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codesession_api.errors import (
    SandboxBadRequest,
    SandboxBusy,
    SandboxError,
    SandboxesBusy,
    SandboxesUnavailable,
    SandboxFileTooLarge,
    SandboxLost,
    SandboxNoSpace,
    SandboxUnsupportedLanguage,
)
from codesession_api.ports import (
    FileEntry,
    Outcome,
    RunResult,
    RunSpec,
)
from codesession_crds.names import new_id
from fakes import Api, FakeSandbox, Program, nothing, serving, writing


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(
        tmp_path,
        request_bytes=10_000,
        upload_bytes=300_000,
        upload_file_bytes=200_000,
        upload_files=3,
        run_files=5,
    ) as api:
        yield api


def raising(error: Exception) -> Program:
    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SandboxLost("x"), "The sandbox was lost while the code ran"),
        (SandboxUnsupportedLanguage("no r here"), "The code was not run: no r here."),
        (SandboxBadRequest("too long"), "The code was not run: too long."),
        (SandboxError("it hung"), "The run failed: it hung."),
    ],
)
async def test_a_run_that_fails_is_told_in_stderr(api: Api, error: Exception, told: str) -> None:
    api.sandboxes.program = raising(error)
    response = await api.exec()
    assert response.status_code == 200
    assert told in response.json()["stderr"]
    assert response.json()["session_id"] == api.sandboxes.claims[0].session_id


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (SandboxesBusy("no room", 7), 429, "rate_limited", 7),
        (SandboxesUnavailable("the environment is missing"), 503, "sandboxes_unavailable", 5),
        (RuntimeError("secret"), 500, "internal_error", None),
    ],
)
async def test_no_sandbox_is_a_refusal(
    api: Api, error: Exception, status: int, code: str, retry: int | None
) -> None:
    api.sandboxes.failure = error
    response = await api.exec()
    body = response.json()
    assert response.status_code == status
    assert body["error"] == code
    assert body.get("retry_after_seconds") == retry
    assert response.headers.get("retry-after") == (None if retry is None else str(retry))
    assert "secret" not in response.text


async def test_too_many_runs_of_a_session_are_held_back(api: Api) -> None:
    api.sandboxes.program = raising(SandboxBusy("16 wait"))
    response = await api.exec()
    assert (response.status_code, response.json()["error"]) == (429, "rate_limited")


async def test_a_failure_after_the_first_white_space_is_told_in_stderr(api: Api) -> None:
    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        await asyncio.sleep(0.5)
        raise SandboxBusy("late")

    api.sandboxes.program = program
    response = await api.exec()
    assert response.status_code == 200
    assert response.content.startswith(b" ")
    assert "Too many runs wait" in json.loads(response.content)["stderr"]


async def test_a_sandbox_lost_before_its_run_is_replaced(api: Api) -> None:
    ref = await api.upload()
    dead = FakeSandbox(new_id(), nothing, put_error=SandboxLost("gone"))
    api.sandboxes.live[dead.session_id] = dead
    response = await api.exec(files=[ref], session_id=dead.session_id)
    (fresh,) = api.sandboxes.claims
    assert response.json()["session_id"] == fresh.session_id
    assert fresh.files == {"in.csv": b"1,2"}


async def test_a_cut_while_files_are_written_is_tried_again_in_the_same_place(api: Api) -> None:
    ref = await api.upload()
    shaky = FakeSandbox(new_id(), nothing, put_error=SandboxError("cut"))
    api.sandboxes.live[shaky.session_id] = shaky
    response = await api.exec(files=[ref], session_id=shaky.session_id)
    assert (response.status_code, response.json()["error"]) == (503, "sandbox_failed")
    assert api.sandboxes.claims == []
    shaky.put_error = None
    assert (await api.exec(files=[ref], session_id=shaky.session_id)).status_code == 200
    assert shaky.files == {"in.csv": b"1,2"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SandboxFileTooLarge("x"), "is larger than a sandbox takes"),
        (SandboxNoSpace("x"), "does not fit into the workspace"),
        (SandboxBadRequest("x"), "cannot be written at its path"),
    ],
)
async def test_an_input_that_does_not_go_in_is_told(api: Api, error: Exception, told: str) -> None:
    ref = await api.upload()
    sandbox = FakeSandbox(new_id(), writing(), put_error=error)
    api.sandboxes.live[sandbox.session_id] = sandbox
    answer = (await api.exec(files=[ref], session_id=sandbox.session_id)).json()
    assert answer["stdout"] == "made\n"
    assert f"Input file 'in.csv' {told}" in answer["stderr"]
    assert answer["files"] == []


async def test_outputs_that_cannot_be_stored_are_told_and_the_rest_is_answered(api: Api) -> None:
    api.sandboxes.program = writing(a=b"1", b=b"2")
    first = (await api.exec()).json()
    assert len(first["files"]) == 2
    assert "artifact_delivery" not in first
    api.objects.failing = True
    answer = (await api.exec(session_id=first["session_id"])).json()
    assert answer["stdout"] == "made\n"
    assert answer["files"] == []
    assert answer["artifact_delivery"] == {
        "code": "artifact_delivery_failed", "status": "failed", "attempted": 2, "delivered": 0, "failed": 2,
    }  # fmt: skip
    assert "The file 'a' was made but could not be stored." in answer["stderr"]


async def test_inputs_that_cannot_be_read_are_a_refusal(api: Api) -> None:
    ref = await api.upload()
    api.objects.failing = True
    response = await api.exec(files=[ref])
    assert (response.status_code, response.json()["error"]) == (503, "storage_unavailable")


async def test_what_a_hostile_sandbox_says_of_its_files_is_not_believed(api: Api) -> None:
    names = ["../../t/s/f/x", "/etc/passwd", "a//b", "nul\x00", "bad\udcff", "x" * 300, "gone.txt", "ok.txt"]

    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        sandbox.files["ok.txt"] = b"more than it said"
        return RunResult(
            Outcome.EXIT, 0, changed=[FileEntry(name, 1) for name in names], deleted=names, files_dropped=3
        )

    api.sandboxes.program = program
    answer = (await api.exec()).json()
    assert [(file["name"], file["size"]) for file in answer["files"]] == [("ok.txt", 17)]
    assert answer["deleted_files"] == ["gone.txt", "ok.txt"]
    assert answer["stderr"].count("has a name that cannot be kept") == 6
    assert "3 more files were changed and not kept" in answer["stderr"]
    listed = (await api.client.get(f"/files/{answer['session_id']}")).json()
    assert len(listed) == 1


async def test_a_client_that_leaves_cancels_its_run(api: Api) -> None:
    begun = asyncio.Event()

    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    api.sandboxes.program = program
    running = asyncio.create_task(api.exec())
    await begun.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    async with asyncio.timeout(10):
        while not api.sandboxes.claims[0].cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_no_file_in_the_request_and_none_made_asks_nothing_of_the_store(api: Api) -> None:
    first = (await api.exec()).json()
    api.objects.failing = True
    assert (await api.exec(session_id=first["session_id"])).status_code == 200


async def test_readiness_says_what_is_wrong(api: Api) -> None:
    well = (await api.client.get("/readyz")).json()
    assert well["status"] == well["sandboxes"] == well["storage"] == "ok"
    assert well["isolation"] == "none"
    assert well["seconds_since_last_run"] is None
    await api.exec()
    assert (await api.client.get("/health")).json()["seconds_since_last_run"] >= 0
    api.objects.failing = True
    api.sandboxes.failure = SandboxesUnavailable("no environment")
    response = await api.client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["sandboxes"] == "no environment"
    assert response.json()["storage"] == "S3 failed: ConnectTimeoutError"
    assert (await api.client.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/exec", "/v1/exec", "//exec", "/v1//exec", "/v1/exec/", "//v1///exec//", "/v1/exec?x=1"]
)
async def test_base_urls_of_all_kinds(api: Api, path: str) -> None:
    host, port = api.address
    body = b'{"lang": "py", "code": ""}'
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v2/exec", 404),
        ("GET", "/exec", 405),
        ("PUT", "/upload", 405),
    ],
)
async def test_other_paths_and_methods_are_refused_as_json(
    api: Api, method: str, path: str, status: int
) -> None:
    response = await api.client.request(method, path)
    assert response.status_code == status
    assert isinstance(response.json()["error"], str)


async def test_limits_of_requests(api: Api) -> None:
    long = await api.exec("x" * 10_000)
    assert (long.status_code, long.json()["error"]) == (400, "bad_request")
    many = await api.exec(files=[{"id": "F" * 21, "name": str(n), "session_id": "S" * 21} for n in range(6)])
    assert (many.status_code, many.json()["message"]) == (422, "files: at most 5 can be named")


@pytest.mark.parametrize("path", ["/upload", "/upload/batch"])
async def test_limits_of_uploads(api: Api, path: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(10):
            yield bytes(100_000)

    form = {"Content-Type": "multipart/form-data; boundary=b"}
    endless = await api.client.post(path, content=body(), headers=form)
    assert endless.status_code == 413
    declared = await api.client.post(path, files={"file": ("a", bytes(400_000))})
    assert (declared.status_code, declared.json()["error"]) == (413, "too_large")
    several = await api.client.post(path, files=[("file", (str(n), b"x")) for n in range(4)])
    assert several.status_code == 400


async def test_a_file_over_the_limit_fails_alone_in_a_batch(api: Api) -> None:
    files = [("file", ("small", b"x")), ("file", ("big", bytes(200_001))), ("file", ("last", b"y"))]
    answer = (await api.client.post("/upload/batch", files=files)).json()
    assert (answer["message"], answer["succeeded"], answer["failed"]) == ("partial_success", 2, 1)
    assert [(file["filename"], file["status"]) for file in answer["files"]] == [
        ("small", "success"), ("big", "error"), ("last", "success"),
    ]  # fmt: skip
    assert len((await api.client.get(f"/files/{answer['session_id']}")).json()) == 2


async def test_each_response_has_an_id_to_find_it_in_the_log(api: Api) -> None:
    given = await api.client.get("/livez", headers={"X-Request-ID": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = await api.client.get("/livez", headers={"X-Request-ID": "two words"})
    assert made.headers["x-request-id"] not in ("", "two words")
