"""Runs that are told as they happen: the same words as a plain answer's, sooner."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator
from typing import Any

import httpx
import pytest

ACCEPT = {"Accept": "text/event-stream"}
Event = tuple[str, dict[str, Any]]


def told(http: httpx.Client, path: str = "/v1/exec", **fields: Any) -> Generator[Event, None, None]:
    """The events of a run, each when it has come."""
    with http.stream("POST", path, json={"lang": "py", **fields}, headers=ACCEPT) as response:
        assert response.status_code == 200
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def texts(events: list[Event]) -> dict[str, str]:
    said: defaultdict[str, str] = defaultdict(str)
    for name, data in events:
        if name in ("stdout", "stderr"):
            said[name] += data["text"]
    return said


@pytest.mark.parametrize(
    ("lang", "code"),
    [
        ("py", "import sys; print('ä€🙂'); print('no newline', end='', file=sys.stderr); sys.exit(3)"),
        ("py", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100)"),
        ("bash", "echo a > a.txt; echo b > b.txt"),
        ("none", "x"),
    ],
    ids=["texts", "bytes", "files", "no-language"],
)
def test_it_says_what_a_plain_answer_says(http: httpx.Client, lang: str, code: str) -> None:
    plain = http.post("/v1/exec", json={"lang": lang, "code": code}).json()
    events = list(told(http, "/v1/run/exec", lang=lang, code=code))
    assert texts(events)["stdout"] == plain["stdout"]
    assert texts(events)["stderr"] == plain["stderr"]
    name, end = events[-1]
    assert name == "end"
    assert set(end) == set(plain) - {"stdout", "stderr", "output"}
    for field in ("exit_code", "status", "language"):
        assert end.get(field) == plain.get(field)
    listed = [data["files"] for name, data in events if name == "files"]
    assert [file["name"] for files in listed for file in files] == [file["name"] for file in plain["files"]]


def test_what_is_too_much_is_cut_and_told_as_in_a_plain_answer(http: httpx.Client) -> None:
    """How the program itself ends is a matter of chance: by its pipe, or killed."""
    code = "while True: print('x' * 100_000)"
    plain = http.post("/v1/exec", json={"lang": "py", "code": code}).json()
    events = list(told(http, code=code))
    said = texts(events)
    assert said["stdout"] == plain["stdout"]
    assert plain["stderr"].splitlines()[-1] == said["stderr"].splitlines()[-1]
    assert said["stderr"].splitlines()[-1].startswith("Output limit exceeded")
    assert events[-1][1]["status"] == plain["status"] == "OL"


def test_output_comes_while_the_program_goes_on(http: httpx.Client) -> None:
    """And leaving ends it: the session is free again at once."""
    session = http.post("/v1/exec", json={"lang": "bash", "code": "touch here"}).json()["session_id"]
    code = "import time\nprint('first')\nimport sys; sys.stdout.flush()\ntime.sleep(600)"
    events = told(http, code=code, session_id=session)
    assert next(events) == ("stdout", {"text": "first\n"})
    events.close()
    after = http.post("/v1/exec", json={"lang": "bash", "code": "echo on", "session_id": session}).json()
    assert (after["stdout"], after["session_id"]) == ("on\n", session)


def test_without_credentials_it_is_refused_as_ever(http: httpx.Client) -> None:
    headers = {**ACCEPT, "X-API-Key": "wrong"}
    refused = http.post("/v1/exec", json={"lang": "py", "code": ""}, headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
