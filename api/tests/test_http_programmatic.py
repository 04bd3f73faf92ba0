"""Programs that call tools, over HTTP and in real sandboxes: rounds, results, refusals, replicas, the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.sandbox

PATHS = ["/exec/programmatic", "/v1/exec/programmatic", "//v1//exec/programmatic"]
TOOLS = [
    {"name": "get-weather", "description": "Weather", "parameters": {"type": "object"}},
    {"name": "fail", "allowed_callers": ["code_execution"]},
]
KEYS = {"acme": "key-of-acme", "other": "key-of-other"}


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("server")
    lines = [f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}" for tenant, key in KEYS.items()]
    (directory / "keys").write_text("\n".join(lines))
    settings = {"auth": "api-key", "api_keys_file": directory / "keys", "languages": "py,bash"}
    run_server = request.getfixturevalue("run_server")
    with run_server(directory, **settings, keep_alive_seconds=0.3, run_seconds=20) as server:
        server.client.headers["X-API-Key"] = KEYS["acme"]
        yield server


def post(server: Any, path: str = PATHS[0], status: int = 200, **body: Any) -> dict[str, Any]:
    headers = body.pop("headers", None)
    response = server.client.post(path, json=body, headers=headers)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def begin(server: Any, code: str, lang: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {"code": code, "tools": TOOLS, "timeout": 15000, **({"lang": lang} if lang else {}), **fields}
    return post(server, **body)


def go_on(server: Any, waiting: dict[str, Any], *results: Any, **fields: Any) -> dict[str, Any]:
    given = [
        {"call_id": call["id"], "result": result, "is_error": False}
        for call, result in zip(waiting["tool_calls"], results, strict=True)
    ]
    return post(
        server, **{"continuation_token": waiting["continuation_token"], "tool_results": given, **fields}
    )


PYTHON = """
one = await get_weather(city="SF")
print(one["got"]["city"])
two, three = await asyncio.gather(get_weather(city="A"), get_weather(city="B"))
print(two, three)
open("out.txt", "w").write("made")
"""
BASH = """: &
wait "$!"
w=$(get_weather '{"city":"SF"}'); echo "$w"
{ a=$(get_weather '{"city":"A"}'); echo "$a" > a.txt; } &
{ b=$(get_weather '{"city":"B"}'); echo "$b" > b.txt; } &
wait
cat a.txt b.txt; printf made > out.txt; rm a.txt b.txt
"""


@pytest.mark.parametrize("path", PATHS)
def test_python_goes_from_call_to_call_to_its_end(server: Any, path: str) -> None:
    first = post(server, path, code=PYTHON, tools=TOOLS)
    assert first["status"] == "tool_call_required"
    assert first["tool_calls"] == [{"id": "call_001", "name": "get-weather", "input": {"city": "SF"}}]
    second = go_on(server, first, '{"got": {"city": "SF"}}')
    assert [call["input"] for call in second["tool_calls"]] == [{"city": "A"}, {"city": "B"}]
    assert second["partial_stdout"] == "SF\n"
    end = go_on(server, second, "text", [1, None])
    assert (end["status"], end["stdout"], end["stderr"]) == ("completed", "SF\ntext [1, None]\n", "")
    assert [file["name"] for file in end["files"]] == ["out.txt"]
    assert end["session_id"] == first["session_id"] == end["files"][0]["storage_session_id"]
    assert server.download(end["files"][0]) == b"made"


def test_bash_goes_from_call_to_call_to_its_end(server: Any) -> None:
    first = begin(server, BASH, "bash")
    assert first["tool_calls"] == [{"id": "call_001", "name": "get-weather", "input": {"city": "SF"}}]
    end, cities = go_on(server, first, {"got": {"city": "SF"}}), list[str]()
    while end["status"] == "tool_call_required":  # once, but where one command is slow to begin
        asked = [call["input"]["city"] for call in end["tool_calls"]]
        end, cities = go_on(server, end, *({"is": city} for city in asked)), cities + asked
    assert sorted(cities) == ["A", "B"]
    assert (end["status"], end["stderr"]) == ("completed", "")
    assert end["stdout"] == '{"got":{"city":"SF"}}\n{"is":"A"}\n{"is":"B"}\n'
    assert [file["name"] for file in end["files"]] == ["out.txt"]


@pytest.mark.parametrize(
    ("lang", "code", "said"),
    [
        ("py", "try:\n    await fail()\nexcept Exception as e:\n    print(e)", "no such city\n"),
        ("bash", "fail 2>&1 || echo $?", "fail: no such city\n1\n"),
    ],
)
def test_an_error_of_a_tool_is_the_programs_to_handle(server: Any, lang: str, code: str, said: str) -> None:
    waiting = begin(server, code, lang)
    error = {"call_id": "call_001", "result": None, "is_error": True, "error_message": "no such city"}
    end = go_on(server, waiting, None, tool_results=[error])
    assert (end["status"], end["stdout"]) == ("completed", said)


@pytest.mark.parametrize(
    ("fields", "status", "error", "stdout", "stderr"),
    [
        ({"code": "print(1)"}, "completed", None, "1\n", ""),
        ({"code": "print(1)", "tools": []}, "completed", None, "1\n", ""),
        ({"code": "echo 1", "tools": [], "lang": "bash"}, "completed", None, "1\n", ""),
        ({"code": "print(1)\n1/0"}, "completed", None, "1\n", "ZeroDivisionError"),
        ({"code": "exit 3", "lang": "bash"}, "completed", None, "", "code 3"),
        ({"code": "await nope()"}, "completed", None, "", "NameError"),
        (
            {"code": "print(1, flush=True)\nwhile 1: pass", "timeout": 500},
            "error",
            "Time limit exceeded",
            "1\n",
            "0.5",
        ),
        ({"code": "x = 'x' * 10**11"}, "error", "Out of memory", "", "memory"),
        ({"code": "print('x' * 3_000_000)"}, "error", "stdout length exceeded", None, "limit"),
        (
            {"code": "import sys; sys.stderr.write('x' * 3_000_000)"},
            "error",
            "stderr length exceeded",
            "",
            "",
        ),
        ({"code": "print(1)", "lang": "cobol"}, "error", "Execution failed or timed out", "", "cobol"),
    ],
)
def test_ends(
    server: Any, fields: dict[str, Any], status: str, error: str | None, stdout: str | None, stderr: str
) -> None:
    answer = begin(server, **fields)
    assert (answer["status"], answer.get("error")) == (status, error), answer["stderr"][:500]
    assert stdout is None or answer["stdout"] == stdout
    assert stderr in answer["stderr"]


def test_files_come_in_and_changes_go_out(server: Any) -> None:
    ref = server.upload("in.csv", b"a,b")
    ro = server.upload("same.csv", b"c,d")
    made = server.exec("open('before.txt', 'w').write('before')")
    code = "print(open('in.csv').read(), open('before.txt').read())\nawait get_weather()\n"
    code += "open('in.csv', 'a').write('!')"
    waiting = begin(server, code, session_id=made["session_id"], files=[ref, ro])
    assert waiting["session_id"] != made["session_id"]
    end = go_on(server, waiting, 1)
    assert end["stdout"] == "a,b before\n"
    (changed,) = (file for file in end["files"] if not file.get("inherited"))
    (kept,) = (file for file in end["files"] if file.get("inherited"))
    assert (changed["name"], changed["modified_from"]["id"]) == ("in.csv", ref["id"])
    assert (kept["name"], kept["id"], kept["kind"]) == ("same.csv", ro["id"], "user")
    assert server.download(changed) == b"a,b!"
    again = server.exec("cat in.csv before.txt", "bash", session_id=end["session_id"], files=[changed])
    assert again["stdout"] == "a,b!before"


def test_the_files_of_a_hinted_session_are_there(server: Any) -> None:
    hint = {"runtime_session_hint": "v2:user:programs"}
    server.exec("open('h.txt', 'w').write('hinted')", **hint)
    assert begin(server, "print(open('h.txt').read())", **hint)["stdout"] == "hinted\n"
    assert "FileNotFound" in begin(server, "print(open('h.txt').read())")["stderr"]


def test_what_could_not_be_had_is_told_at_the_end(server: Any) -> None:
    gone = {"id": "F" * 21, "storage_session_id": "S" * 21, "name": "gone.csv"}
    waiting = begin(server, "await get_weather()", files=[gone])
    end = go_on(server, waiting, 1)
    assert "gone.csv" in end["stderr"]
    assert end["files"] == []


def test_code_runs_in_the_session_while_a_program_of_it_waits(server: Any) -> None:
    session = server.exec("open('x', 'w')")["session_id"]
    waiting = begin(server, "print(await get_weather())", session_id=session)
    begun = time.monotonic()
    assert server.exec("print(2)", session_id=session)["stdout"] == "2\n"
    assert time.monotonic() - begun < 10
    assert go_on(server, waiting, 3)["stdout"] == "3\n"


def test_a_token_is_good_for_one_answer(server: Any) -> None:
    first = begin(server, "print(await get_weather())\nprint(await get_weather())")
    second = go_on(server, first, 1)
    assert go_on(server, first, 2, status=409)["error"] == "conflict"
    assert go_on(server, second, 3)["stdout"] == "1\n3\n"
    assert go_on(server, second, 3, status=404)["error"] == "not_found"
    assert go_on(server, first, 3, status=404)["error"] == "not_found"


async def test_of_two_answers_at_once_one_counts(server: Any) -> None:
    waiting = begin(server, "print(await get_weather())")
    body = {"continuation_token": waiting["continuation_token"], "tool_results": []}
    async with httpx.AsyncClient(headers={"X-API-Key": KEYS["acme"]}, timeout=60) as client:
        url = server.url + PATHS[0]
        answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(4)))
    # The one that comes when the program has ended finds nothing any more.
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {404, 409}


def test_a_token_is_its_principals(server: Any) -> None:
    waiting = begin(server, "print(await get_weather())")
    other = {"X-API-Key": KEYS["other"]}
    assert go_on(server, waiting, 1, status=404, headers=other)["error"] == "not_found"
    for token in ("tok-1", waiting["continuation_token"][:-4] + "AAAA", "é"):
        assert post(server, status=404, continuation_token=token)["error"] == "not_found"
    assert go_on(server, waiting, 1)["stdout"] == "1\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": "1", "tools": [{"name": f"t{n}"} for n in range(101)]}, 422),
        ({"code": "1", "tools": [{}]}, 422),
        ({"code": "1", "tools": [{"name": ""}]}, 422),
        ({"code": "1", "tools": "x"}, 422),
        ({"code": ["1"]}, 422),
        ({"continuation_token": "x", "tool_results": [{"result": 1}]}, 422),
    ],
)
def test_requests_that_make_no_sense_are_refused(server: Any, body: dict[str, Any], status: int) -> None:
    assert post(server, status=status, **body)["error"] == "invalid_field"


def test_a_result_that_is_too_large_is_an_error_of_the_tool(server: Any) -> None:
    waiting = begin(server, "try:\n    await get_weather()\nexcept ToolError as e:\n    print(e)")
    assert "too large" in go_on(server, waiting, "x" * 5_000_000)["stdout"]


def test_hundred_tools_and_two_hundred_calls(server: Any) -> None:
    tools = [{"name": f"tool {n}"} for n in range(100)]
    code = "every = (tool_99(n=n) for n in range(201))\n"
    code += "print((await asyncio.gather(*every, return_exceptions=True))[199:])"
    waiting = begin(server, code, tools=tools)
    assert {call["name"] for call in waiting["tool_calls"]} == {"tool 99"}
    end = go_on(server, waiting, *range(200))
    assert end["stdout"] == "[199, ToolError('A program can call tools 200 times.')]\n"


@pytest.mark.parametrize("when", ["waits", "runs"])
def test_a_step_is_cancelled_by_its_name(server: Any, when: str) -> None:
    name = str(uuid.uuid4())
    code = "import time\nprint(await get_weather())\ntime.sleep(15)"
    waiting = begin(server, code, headers={"X-LibreChat-Code-Request-ID": name})
    cancelled = post(server, PATHS[0] + "/cancel", 200, request_id=str(uuid.uuid4()))
    assert cancelled == {"status": "already_completed"}
    foreign = {"X-API-Key": KEYS["other"]}
    assert post(server, PATHS[0] + "/cancel", 200, request_id=name, headers=foreign) == cancelled
    if when == "waits":
        assert post(server, PATHS[0] + "/cancel", 202, request_id=name)["status"] == "cancellation_requested"
        assert go_on(server, waiting, 1, status=404)["error"] == "not_found"
        return
    second = str(uuid.uuid4())
    results = [{"call_id": "call_001", "result": 1}]
    given = {"continuation_token": waiting["continuation_token"], "tool_results": results}
    headers = {"X-API-Key": KEYS["acme"], "X-LibreChat-Code-Request-ID": second}
    with httpx.stream("POST", server.url + PATHS[0], json=given, headers=headers, timeout=60) as response:
        time.sleep(1)
        begun = time.monotonic()
        post(server, PATHS[0] + "/cancel", 202, request_id=second)
        answer = json.loads(b"".join(response.iter_raw()))
    assert answer["error"] == "Execution failed or timed out"
    assert time.monotonic() - begun < 5


def test_a_client_that_leaves_ends_its_program(server: Any) -> None:
    waiting = begin(server, "import time\nawait get_weather()\nwhile True: time.sleep(0.1)")
    results = [{"call_id": "call_001", "result": 1}]
    body = {"continuation_token": waiting["continuation_token"], "tool_results": results}
    headers = {"X-API-Key": KEYS["acme"]}
    with httpx.stream("POST", server.url + PATHS[0], json=body, headers=headers, timeout=60) as response:
        assert response.status_code == 200
    deadline = time.monotonic() + 5
    while (answer := server.client.post(PATHS[0], json=body)).status_code != 404:
        # Until it is over, a step is under way, or finds the program ending.
        assert answer.status_code == 409 or answer.json()["status"] == "error"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_client_that_posts_again_and_leaves_ends_nothing(server: Any) -> None:
    waiting = begin(server, "import time\nprint(await get_weather())\ntime.sleep(3)\nprint('end')")
    results = [{"call_id": "call_001", "result": 1}]
    body = {"continuation_token": waiting["continuation_token"], "tool_results": results}
    headers = {"X-API-Key": KEYS["acme"]}
    sent = httpx.Request("POST", server.url + PATHS[0], json=body, headers=headers)
    with httpx.stream("POST", server.url + PATHS[0], json=body, headers=headers, timeout=60) as response:
        # Its head comes with the first space, when its results are taken.
        assert response.status_code == 200
        for delay in (0, 0.001, 0.003, 0.01):
            with socket.create_connection((sent.url.host, sent.url.port or 80)) as duplicate:
                duplicate.sendall(raw(sent))
                time.sleep(delay)
        answer = json.loads(b"".join(response.iter_raw()))
    assert (answer["status"], answer.get("stdout")) == ("completed", "1\nend\n")


def raw(request: httpx.Request) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read()


def test_tokens_of_one_server_are_another_ones_with_the_same_key_only(
    server: Any, run_server: Callable[..., Any], tmp_path: Path
) -> None:
    waiting = begin(server, "print(await get_weather())")
    with run_server(tmp_path, continuation_key="k" * 32) as other:
        body = {"continuation_token": waiting["continuation_token"]}
        assert other.client.post(PATHS[0], json=body).status_code == 404
