"""§3.1, §4, §6: what a run is given besides files, and how runs stand to each other and to their clients."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from e2e.conformance import expect
from e2e.conformance.expect import NotOfferedError
from e2e.conformance.registry import requirement
from e2e.conformance.server import Json, Server

_SLOW_START = 15


@requirement("C-101", "§3.1", "Python runs with args as its arguments")
def python_runs(server: Server) -> None:
    ran = server.run("import sys; print(sys.argv[1:])", lang="py", args=["a b", "ü"])
    expect.same(ran["stdout"], "['a b', 'ü']\n", "stdout")


@requirement("C-102", "§3.1", "bash runs with args as its positional parameters")
def bash_runs(server: Server) -> None:
    expect.same(server.run('echo "$1|$2"', args=["a b", "ü"])["stdout"], "a b|ü\n", "stdout")


@requirement("C-103", "§0.8", "bash has python3 and coreutils")
def bash_has_its_tools(server: Server) -> None:
    ran = server.run("seq 3 | paste -sd+ | base64 -w0 | base64 -d; python3 -c 'print(6 * 7)'")
    expect.same(ran["stdout"], "1+2+3\n42\n", f"stdout (stderr: {ran['stderr']!r})")


@requirement("C-104", "§3.1", "args and files may be null, empty or absent")
def optional_fields(server: Server) -> None:
    ran = server.run("echo $#", args=None)
    expect.same(ran["stdout"], "0\n", "stdout with `args` null")
    expect.same(server.run("echo $#", args=[])["stdout"], "0\n", "stdout with `args` empty")
    answer = server.fresh("echo ran", files=None, session_id=ran["session_id"])
    expect.same(answer["stdout"], "ran\n", "stdout with `files` null")
    answer = server.fresh("echo ran", files=[], session_id=ran["session_id"])
    expect.same(answer["stdout"], "ran\n", "stdout with `files` empty")


@requirement("C-105", "§0.7", "unknown fields, which clients leak, are ignored")
def leaks_are_ignored(server: Server) -> None:
    leaked: Json = {
        "LIBRECHAT_CODE_API_KEY": "lc-key",
        "codeSessionKey": "execute_code:stateful:v2:user:abc",
        "workspaceInstanceId": "w",
        "user_id": "u1",
        "entity_id": "agent_abc",
        "no_such_field": {"a": [1]},
    }
    expect.same(server.run("echo ran", **leaked)["stdout"], "ran\n", "stdout")


@requirement("C-106", "§3.1", "a session_id that a model made up does not fail the run")
def invented_session(server: Server) -> None:
    for invented in ("my-session", "", "E" * 21):
        expect.same(server.run("echo ran", session_id=invented)["stdout"], "ran\n", "stdout")


@requirement("C-116", "§0.8", "a run that needs a sandbox of its own answers well within 15 s", seconds=60)
def cold_start(server: Server) -> None:
    begun = time.monotonic()
    expect.same(server.fresh("echo ran")["stdout"], "ran\n", "stdout")
    taken = time.monotonic() - begun
    expect.that(taken < _SLOW_START, f"it took {taken:.1f} s")


@requirement("C-117", "§4", "20 runs in a row are not rate-limited")
def twenty_runs(server: Server) -> None:
    for number in range(20):
        expect.same(server.run(f"echo {number}")["stdout"], f"{number}\n", "stdout")


@requirement("C-118", "§6", "no variables are kept from run to run, and nothing of /tmp is an output")
def nothing_but_files(server: Server) -> None:
    first = server.run("x = 1; open('/tmp/scratch.txt', 'w').write('x')", lang="py")
    expect.that(all("scratch" not in each["name"] for each in first["files"]), "/tmp gave an output")
    expect.within("NameError", server.run("print(x)", lang="py")["stderr"], "stderr")


@requirement("C-119", "§6", "plt.savefig makes a PNG that can be downloaded")
def plot(server: Server) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 2])\nplt.savefig('plot.png')"
    ran = server.run(code, lang="py")
    made = {file["name"]: file for file in ran["files"]}
    expect.within("plot.png", made, f"the list of files (stderr: {ran['stderr']!r})")
    file = made["plot.png"]
    answer = server.get(f"/download/{file['storage_session_id']}/{file['id']}")
    expect.that(answer.content.startswith(b"\x89PNG"), f"the download begins with {answer.content[:8]!r}")
    expect.same(answer.headers["content-type"], "image/png", "its content type")


@requirement("C-120", "§0", "sessions of two runs without files differ, and do not see each other's files")
def sessions_are_apart(server: Server) -> None:
    write = "echo secret-4711 > /mnt/data/secret.txt; echo secret-4711 > /tmp/secret.txt"
    first = server.fresh(write)
    search = "ls -A /mnt/data; grep -rsl secret-4711 /mnt /tmp /home /var /run || true"
    second = server.fresh(search)
    expect.that(second["session_id"] != first["session_id"], "both have the same session_id")
    # The run's own code, which holds the word too, may lie in /tmp, but not under that name.
    found = [line for line in second["stdout"].split() if "secret" in line or line.startswith("/mnt")]
    expect.same(found, [], "what the second finds")


@requirement("C-121", "§7", "a run of 6 s shows life before its end, and is still valid JSON")
def life_signs(server: Server) -> None:
    """Whitespace ahead of the JSON, which keeps proxies and old LibreChat's sockets from giving up."""
    request = {"lang": "bash", "code": "sleep 6; echo done", "files": [server.shared]}
    begun = time.monotonic()
    with server.http.stream("POST", f"{server.base}/exec", json=request) as answer:
        pieces = answer.iter_bytes()
        body = next(pieces)
        first = time.monotonic() - begun
        body += b"".join(pieces)
    expect.same(json.loads(body)["stdout"], "done\n", "stdout")
    expect.that(first < 5, f"the first byte came after {first:.1f} s")


@requirement("C-122", "§3.3", "a client that leaves ends its run")
def leaving(server: Server) -> None:
    """A busy server may take seconds to begin a run: a client that left before has seen nothing of this."""
    for patience in (2.0, 8.0, 20.0):
        _leave(server, patience)
        time.sleep(2)
        asked = time.monotonic()
        ran = server.run("wc -l < ticks.txt; sleep 1; wc -l < ticks.txt")
        taken = time.monotonic() - asked
        expect.that(taken < 10, f"the next run of the session waited {taken:.0f} s")
        if ticks := ran["stdout"].split():
            expect.same(ticks[0], ticks[-1], "the count a second later")
            return
    same = "the same" if ran["session_id"] == server.shared["storage_session_id"] else "another"
    raise NotOfferedError(f"the next run was in {same} session and saw nothing of it: {ran['stderr']}")


def _leave(server: Server, patience: float) -> None:
    """Begin a run of half a minute, and go away after so many seconds whatever has come."""
    # Appended, for a file that is written anew may be seen, and left, empty.
    ticking = "for i in $(seq 300); do echo $i >> ticks.txt; sleep 0.1; done"
    request = {"lang": "bash", "code": ticking, "files": [server.shared]}
    until = time.monotonic() + patience
    timeout = httpx.Timeout(30, read=patience)
    with (
        contextlib.suppress(httpx.ReadTimeout),
        server.http.stream("POST", f"{server.base}/exec", json=request, timeout=timeout) as answer,
    ):
        for _ in answer.iter_raw():
            if time.monotonic() > until:
                return


@requirement("C-124", "§3.1", "two calls at once with the same files are both answered")
def calls_at_once(server: Server) -> None:
    shared = server.shared
    with ThreadPoolExecutor(2) as threads:
        codes = ["sleep 1; echo first", "sleep 1; echo second"]
        ran = list(threads.map(lambda code: server.fresh(code, files=[shared]), codes))
    expect.same([each["stdout"] for each in ran], ["first\n", "second\n"], "what both print")
