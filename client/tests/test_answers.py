"""What the clients make of answers, both of them, from a server that is a function."""

from __future__ import annotations

import itertools
import json
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from asking import Ask
from codesession import (
    BadAnswerError,
    BusyError,
    Client,
    CodeSessionError,
    End,
    File,
    Files,
    InvalidRequestError,
    NotFoundError,
    Patience,
    RefusedError,
    ServerFailedError,
    Stderr,
    Stdout,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
)
from codesession.errors import refusal

SESSION, FILE = "s" * 21, "f" * 21
RAN = {"session_id": SESSION, "stdout": "42\n", "stderr": "", "exit_code": 0, "files": []}
STORED = {"id": FILE, "name": "plot.png", "session_id": SESSION, "storage_session_id": SESSION, "size": 3}


class Server:
    """Gives its answers one after the other, the last again and again; has the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)


def refused(status: int, code: str = "", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": code, "message": "No."}, headers=headers)


def busy(code: str = "rate_limited", seconds: str = "0") -> httpx.Response:
    return refused(429 if code == "rate_limited" else 503, code, **{"retry-after": seconds})


def streamed(*events: tuple[str, Any], end: str = "") -> httpx.Response:
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, text=text + end)


OK = httpx.Response(200, json=RAN)


async def test_a_run_is_asked_for_as_the_server_reads_it(ask: Ask) -> None:
    server = Server(OK)
    file = File(session_id=SESSION, id=FILE, name="a/b.csv")
    result = await ask(
        server, "execute", "print(42)", "py", session=SESSION, files=[file], args=["-v"], seconds=1.5
    )
    assert (result.ok, result.stdout, result.session_id) == (True, "42\n", SESSION)
    assert server.requests[0].url.path == "/v1/exec"
    assert server.body == {
        "lang": "py",
        "code": "print(42)",
        "session_id": SESSION,
        "files": [{"id": FILE, "storage_session_id": SESSION, "name": "a/b.csv"}],
        "args": ["-v"],
        "timeout": 1500,
    }
    await ask(server, "execute", "print(42)")
    assert server.body == {"lang": "py", "code": "print(42)"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (307, ServerFailedError),
        (400, InvalidRequestError),
        (401, UnauthorizedError),
        (404, NotFoundError),
        (413, TooLargeError),
        (415, InvalidRequestError),
        (422, InvalidRequestError),
        (500, ServerFailedError),
        (502, ServerFailedError),
    ],
)
async def test_each_refusal_has_its_error_and_is_final(
    ask: Ask, status: int, error: type[RefusedError]
) -> None:
    server = Server(refused(status, "some_word"))
    with pytest.raises(error) as raised:
        await ask(server, "files", SESSION)
    assert (raised.value.status, raised.value.code, str(raised.value)) == (status, "some_word", "No.")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"[]", b'{"error": 1, "message": {}}', b"[" * 100_000]
)
def test_what_a_proxy_says_is_a_refusal_too(body: bytes) -> None:
    error = refusal(503, {}, body)
    assert isinstance(error, BusyError)
    assert (error.code, error.message, error.retry_after) == ("", "The server answered 503.", None)


@pytest.mark.parametrize(
    ("header", "body", "least", "most"),
    [
        ("7", b"{}", 7, 7),
        ("", b'{"retry_after_seconds": 3}', 3, 3),
        (formatdate(0, usegmt=True), b"{}", 0, 0),
        ("9" * 400, b"{}", 999_999_999, 999_999_999),
    ],
)
def test_when_to_come_again_is_read_in_every_form(header: str, body: bytes, least: int, most: int) -> None:
    seconds = refusal(429, {"retry-after": header}, body).retry_after
    assert seconds is not None
    assert least <= seconds <= most


def test_when_to_come_again_may_be_a_time_of_day() -> None:
    seconds = refusal(429, {"retry-after": formatdate(time.time() + 100, usegmt=True)}, b"{}").retry_after
    assert seconds is not None
    assert 50 <= seconds <= 100


@pytest.mark.parametrize("header", ["soon", "-1", "٣"])
def test_a_time_that_makes_no_sense_is_none(header: str) -> None:
    assert refusal(429, {"retry-after": header}, b"").retry_after is None


@pytest.mark.parametrize("code", ["rate_limited", "sandboxes_unavailable"])
async def test_a_run_for_which_there_was_no_room_is_asked_for_again(ask: Ask, code: str) -> None:
    server = Server(busy(code), busy(code), OK)
    assert (await ask(server, "execute", "1")).ok
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [busy("sandbox_failed"), busy("storage_unavailable"), busy("")])
async def test_a_run_that_may_have_happened_is_not_asked_for_again(ask: Ask, answer: httpx.Response) -> None:
    server = Server(answer, OK)
    with pytest.raises(BusyError):
        await ask(server, "execute", "1")
    assert len(server.requests) == 1
    assert await ask(Server(answer, httpx.Response(200, json=[])), "files", SESSION) == ()


async def test_an_upload_that_was_refused_is_sent_anew_as_a_whole(ask: Ask) -> None:
    stored = {"session_id": SESSION, "files": [{"fileId": FILE, "filename": "x"}]}
    server = Server(busy(), httpx.Response(200, json={"message": "success", **stored}))
    file = await ask(server, "upload", b"content", "x")
    assert file == File(session_id=SESSION, id=FILE, name="x", size=7)
    bodies = [request.content for request in server.requests]
    assert [b"content" in body for body in bodies] == [True, True]


@pytest.mark.parametrize(
    ("seconds", "patience", "attempts"),
    [
        ("0", Patience(attempts=3), 3),
        ("0", Patience(attempts=1), 1),
        ("61", None, 1),
        ("1e9", Patience(2, 0), 1),
    ],
)
async def test_patience_has_an_end(ask: Ask, seconds: str, patience: Patience | None, attempts: int) -> None:
    server = Server(busy(seconds=seconds))
    with pytest.raises(BusyError):
        await ask(server, "execute", "1", patience=patience)
    assert len(server.requests) == attempts


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (httpx.ConnectError("refused"), "cannot be reached"),
        (httpx.ReadTimeout("slow"), "in time"),
        (httpx.RemoteProtocolError("cut"), "connection broke"),
    ],
)
@pytest.mark.parametrize("method", ["execute", "stream"])
async def test_a_broken_connection_is_never_a_second_run(
    ask: Ask, failure: Exception, words: str, method: str
) -> None:
    server = Server(failure)
    with pytest.raises(UnreachableError, match=words):
        await ask(server, method, "1")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {**RAN, "session_id": "../../admin"},
        {**RAN, "files": [{**STORED, "id": "../x"}]},
        {**RAN, "files": {}},
        {**RAN, "stdout": 1},
        [],
    ],
)
@pytest.mark.parametrize("method", ["execute", "stream"])
async def test_an_answer_that_makes_no_sense_is_none(ask: Ask, body: Any, method: str) -> None:
    with pytest.raises(BadAnswerError):
        await ask(Server(httpx.Response(200, json=body)), method, "1")


@pytest.mark.parametrize("session", ["", "..", "a/b", "a b", "a?b", "x" * 65])
@pytest.mark.parametrize("method", ["files", "delete"])
async def test_what_is_no_id_never_gets_into_a_path(ask: Ask, session: str, method: str) -> None:
    server = Server(OK)
    with pytest.raises(ValueError, match="no id"):
        await ask(server, method, session)
    assert server.requests == []


async def test_a_stream_is_told_as_events(ask: Ask) -> None:
    end = {name: value for name, value in RAN.items() if name not in ("stdout", "stderr")}
    server = Server(
        streamed(
            ("stdout", {"text": "a\n"}),
            ("stderr", {"text": "b"}),
            ("stdout", {"text": "c"}),
            ("news", {"of": "later versions"}),
            ("files", {"files": [STORED], "deleted_files": []}),
            ("end", {**end, "files": [STORED]}),
        )
    )
    *events, last = await ask(server, "stream", "1")
    file = File.model_validate(STORED)
    assert events == [Stdout("a\n"), Stderr("b"), Stdout("c"), Files((file,))]
    assert isinstance(last, End)
    assert (last.result.stdout, last.result.stderr, last.result.files) == ("a\nc", "b", (file,))
    assert last.result.ok
    assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_a_server_that_does_not_stream_is_told_as_events_too(ask: Ask) -> None:
    answer = {**RAN, "stderr": "oh", "files": [STORED]}
    events = await ask(Server(httpx.Response(200, json=answer)), "stream", "1")
    assert [type(event) for event in events] == [Stdout, Stderr, Files, End]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (streamed(("stdout", {"text": "a"})), UnreachableError),
        (streamed(("stdout", {"text": "a"}), end="event: end\ndata: {}"), UnreachableError),
        (streamed(("stdout", {})), BadAnswerError),
        (streamed(("stdout", [])), BadAnswerError),
        (streamed(("files", {"files": [{}]})), BadAnswerError),
        (streamed(("end", {"exit_code": "none"})), BadAnswerError),
        (streamed(("error", {"error": "rate_limited", "message": "No."})), BusyError),
        (streamed(("error", {"error": "sandbox_failed", "message": "No."})), ServerFailedError),
        (streamed(("error", {})), ServerFailedError),
    ],
)
async def test_a_stream_without_its_end_is_no_result(
    ask: Ask, answer: httpx.Response, error: type[CodeSessionError]
) -> None:
    with pytest.raises(error):
        await ask(Server(answer), "stream", "1")


async def test_a_key_goes_with_each_request_and_into_no_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESESSION_API_KEY", "secret-key")
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(UnreachableError) as raised:
        await ask(server, "files", SESSION)
    assert server.requests[0].headers["x-api-key"] == "secret-key"
    assert "secret-key" not in f"{raised.value!r} {raised.value}"


async def test_live_sessions_are_told_with_their_end(ask: Ask) -> None:
    said = {"session_id": SESSION, "since": "2026-05-01T10:00:00.000Z", "ends": "2026-05-01T10:30:00.000Z"}
    server = Server(httpx.Response(200, json={"sessions": [said]}))
    [session] = await ask(server, "sessions")
    assert session.session_id == SESSION
    assert session.ends - session.since == timedelta(minutes=30)
    assert server.requests[0].url.path == "/v1/sessions"


@pytest.mark.parametrize("url", ["http://[", "no-scheme", "ftp://server", "http://\x00"])
def test_a_url_that_cannot_be_used_is_not_shown(url: str) -> None:
    with Client(url + "/k/secret-key") as client, pytest.raises(UnreachableError) as raised:
        client.files(SESSION)
    assert "secret-key" not in str(raised.value)
