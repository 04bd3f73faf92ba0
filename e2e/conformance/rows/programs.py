"""§3.2, §3.3: programs that call tools, over the wire and by the clients that have such a tool."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from e2e.clients.librechat import ClientError, Json
from e2e.conformance import expect
from e2e.conformance.guest import Guest
from e2e.conformance.registry import of_clients, requirement
from e2e.conformance.server import Server

PATH = "/exec/programmatic"
PYTHON_CLIENTS = ("3.1.63", "3.2.57", "3.9.2")
BASH_CLIENTS = ("3.2.57", "3.9.2")
TOOLS = [
    {
        "name": "get-weather",
        "description": "Get weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "allowed_callers": ["code_execution"],
    },
    {"name": "class", "parameters": {"type": "object"}},
]
GUARD = ': &\nwait "$!"\n'


def step(server: Server, body: Json, wanted: int = 200, headers: dict[str, str] | None = None) -> Json:
    answer = server.send("POST", PATH, json=body, headers=headers)
    if wanted == 200:
        expect.offered(answer)
    made: Json = expect.status(answer, wanted).json()
    return made


def begun(server: Server, code: str, **fields: Any) -> Json:
    made = step(server, {"code": code, "tools": TOOLS, "timeout": 15000} | fields)
    expect.same(made.get("status"), "tool_call_required", "`status`")
    return made


def gone_on(server: Server, waiting: Json, *results: Any, wanted: int = 200) -> Json:
    given = [
        {"call_id": call["id"], "result": result, "is_error": False}
        for call, result in zip(waiting["tool_calls"], results, strict=True)
    ]
    return step(server, {"continuation_token": waiting["continuation_token"], "tool_results": given}, wanted)


def inputs(waiting: Json) -> list[Any]:
    """In any order of the calls, as JSON where a server sends them as text."""
    found = [call["input"] for call in waiting["tool_calls"]]
    return [json.loads(one) if isinstance(one, str) else one for one in found]


def ended(made: Json, stdout: str) -> None:
    expect.same((made.get("status"), made.get("stdout")), ("completed", stdout), "(status, stdout)")


@requirement("C-361", "§3.2", "a Python program awaits a tool and goes on with its decoded result")
def python(server: Server) -> None:
    waiting = begun(server, 'r = await get_weather(city="SF")\nprint(r["got"]["city"])')
    expect.same([call["name"] for call in waiting["tool_calls"]], ["get-weather"], "the calls")
    expect.same(inputs(waiting), [{"city": "SF"}], "the inputs")
    expect.that(waiting.get("continuation_token"), "there is no `continuation_token`")
    ended(gone_on(server, waiting, '{"got": {"city": "SF"}}'), "SF\n")


@requirement("C-362", "§3.2", "asyncio.gather is one batch of calls")
def gathered(server: Server) -> None:
    code = "print(await asyncio.gather(get_weather(city='A'), get_weather(city='B')))"
    waiting = begun(server, "import asyncio\n" + code)
    expect.same(inputs(waiting), [{"city": "A"}, {"city": "B"}], "the inputs")
    ended(gone_on(server, waiting, "a", "b"), "['a', 'b']\n")


@requirement("C-363", "§3.2", "a bash program calls a tool as a command with one JSON argument")
def bash(server: Server) -> None:
    code = GUARD + 'w=$(get_weather \'{"city":"SF"}\'); echo "$w"'
    waiting = begun(server, code, lang="bash")
    expect.same(inputs(waiting), [{"city": "SF"}], "the inputs")
    ended(gone_on(server, waiting, {"got": {"city": "SF"}}), '{"got":{"city":"SF"}}\n')


@requirement("C-364", "§3.2", "background commands and wait are one batch of calls")
def waited(server: Server) -> None:
    one = '{ w=$(get_weather \'{"city":"%s"}\'); echo "$w" > %s.json; } &\n'
    code = GUARD + one % ("A", "a") + one % ("B", "b") + "wait\ncat a.json b.json"
    waiting = begun(server, code, lang="bash")
    cities = [one["city"] for one in inputs(waiting)]
    expect.same(sorted(cities), ["A", "B"], "the inputs")
    ended(gone_on(server, waiting, *cities), '"A"\n"B"\n')


@requirement("C-365", "§3.2", "an error of a tool is an exception in Python, a failed command in bash")
def errors(server: Server) -> None:
    for lang, code in (
        ("py", "try:\n    await get_weather()\nexcept Exception as e:\n    print('failed', e)"),
        ("bash", "get_weather '{}' 2>&1 > /dev/null | grep -o unknown.city; echo failed"),
    ):
        waiting = begun(server, code, lang=lang)
        error = {"call_id": waiting["tool_calls"][0]["id"], "result": None, "is_error": True}
        given = [error | {"error_message": "unknown city"}]
        made = step(server, {"continuation_token": waiting["continuation_token"], "tool_results": given})
        expect.within("unknown city", made.get("stdout", ""), f"stdout of {lang}")
        expect.within("failed", made.get("stdout", ""), f"stdout of {lang}")


@requirement("C-366", "§3.2", "nothing is run twice over several rounds, and files are collected at the end")
def rounds(server: Server) -> None:
    code = "for n in range(3):\n    open('log', 'a').write(str(await get_weather(n=n)))\n"
    code += "print(open('log').read())"
    made = begun(server, code)
    for n in range(3):
        made = gone_on(server, made, n)
    ended(made, "012\n")
    expect.within("log", [file["name"] for file in made["files"]], "the outputs")


@requirement("C-367", "§3.2", "tools that are no identifiers are called by their rewritten names")
def names(server: Server) -> None:
    waiting = begun(server, "print(await class_tool(a=1))")
    expect.same(waiting["tool_calls"][0]["name"], "class", "the name of the call")
    ended(gone_on(server, waiting, "x"), "x\n")


@requirement("C-368", "§3.2", "a program without tools runs to its end, for attached workspaces")
def no_tools(server: Server) -> None:
    made = step(server, {"lang": "bash", "code": GUARD + "pwd", "tools": []})
    ended(made, "/mnt/data\n")


@requirement("C-369", "§3.2", "a program that takes too long is an error of status 200 in known words")
def too_long(server: Server) -> None:
    made = step(server, {"code": "while True: pass", "tools": TOOLS, "timeout": 1000})
    expect.same(made.get("status"), "error", "`status`")
    expect.within(made.get("error"), ("Time limit exceeded", "Execution failed or timed out"), "the words")


@requirement("C-370", "§3.2", "a token that means nothing is 404")
def no_token(server: Server) -> None:
    expect.refusal(server.send("POST", PATH, json={"continuation_token": "tok-1", "tool_results": []}), 404)


@requirement("C-371", "§3.3", "a step is cancelled by its request id; one that is over is no fault")
def cancelled(server: Server) -> None:
    identity = str(uuid.uuid4())
    step(
        server,
        {"code": "await get_weather()", "tools": TOOLS},
        headers={"X-LibreChat-Code-Request-ID": identity},
    )
    expect.same(cancelling(server, identity), "cancellation_requested", "`status`")
    # A program takes its moment to end.
    deadline = time.monotonic() + 10
    while (status := cancelling(server, identity)) != "already_completed":
        if time.monotonic() > deadline:
            expect.fail(f"`status` is still {status}")
        time.sleep(0.1)


def cancelling(server: Server, identity: str) -> str:
    answer = server.send("POST", f"{PATH}/cancel", json={"request_id": identity})
    return str(expect.status(answer, 200, 202).json().get("status"))


WEATHER: dict[str, Json] = {"get-weather": {}, "fail": {"error": "no such city"}}


@of_clients("C-951", "§3.2", "run_tools_with_code: calls, a batch, an error, output", PYTHON_CLIENTS)
def python_client(guest: Guest) -> None:
    code = """
one = await get_weather(city="SF")
print(one["got"]["city"])
print([r["got"]["n"] for r in await asyncio.gather(*(get_weather(n=n) for n in range(3)))])
try:
    await fail()
except Exception as error:
    print("failed:", error)
open("made.txt", "w").write("made")
"""
    made = guest.client.program("run_tools_with_code", "import asyncio" + code, WEATHER)
    lines = made.stdout.strip().split("\n")[:3]
    expect.same(lines, ["SF", "[0, 1, 2]", "failed: no such city"], "what the model reads")
    expect.same([name for name, _ in made.calls], ["get-weather"] * 4 + ["fail"], "the calls")
    expect.same(guest.client.download(made, "made.txt").content, b"made", "the download")


@of_clients("C-952", "§3.2", "run_tools_with_bash: calls, a batch, an error, output", BASH_CLIENTS)
def bash_client(guest: Guest) -> None:
    code = r"""
get_weather '{"city":"SF"}' | grep -o SF
for n in 0 1 2; do { r=$(get_weather "{\"n\":$n}"); echo "$r" > $n.json; } & done; wait
cat 0.json 1.json 2.json
fail '{}' 2>&1 || echo failed
"""
    made = guest.client.program("run_tools_with_bash", code, WEATHER)
    lines = made.stdout.strip().split("\n")
    expect.same([lines[0], lines[3]], ["SF", '{"got":{"n":2}}'], "what the model reads")
    expect.within("no such city", lines[4], "the error")
    expect.same([name for name, _ in made.calls], ["get-weather"] * 4 + ["fail"], "the calls")


@of_clients("C-953", "§3.2", "a program that fails, or takes too long, is told to the model", PYTHON_CLIENTS)
def failing_client(guest: Guest) -> None:
    made = guest.client.program("run_tools_with_code", "print(1)\n1/0", WEATHER)
    expect.within("ZeroDivisionError", made.stderr, "the stderr that the model reads")
    try:
        late = guest.client.program("run_tools_with_code", "while True: pass", WEATHER, timeout=1000).content
    except ClientError as error:
        late = str(error)
    expect.within("Time limit exceeded", late, "what the model reads")
