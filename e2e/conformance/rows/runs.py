"""§3.1, §3.1.2, §6: what a run is given besides files, and what its answer tells."""

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


@requirement(
    "C-107", "§3.1", "timeout, in milliseconds, ends a run: 200, stdout so far, the reason in stderr"
)
def time_limit(server: Server) -> None:
    code = "import time\nprint('before', flush=True)\nwhile True: time.sleep(1)"
    begun = time.monotonic()
    ran = server.run(code, lang="py", timeout=1500)
    expect.that(time.monotonic() - begun < 20, f"it took {time.monotonic() - begun:.0f} s")
    expect.same(ran["stdout"], "before\n", "stdout")
    expect.within("time", ran["stderr"].lower(), "stderr")


@requirement("C-108", "§0.5", "an exception is 200 with its traceback in stderr")
def exception(server: Server) -> None:
    ran = server.run("print('before')\n1 / 0", lang="py")
    expect.same(ran["stdout"], "before\n", "stdout")
    expect.within("ZeroDivisionError: division by zero", ran["stderr"], "stderr")
    expect.within("line 2", ran["stderr"], "stderr")


@requirement("C-109", "§0.5", "code that does not compile is 200 with the reason in stderr")
def syntax_error(server: Server) -> None:
    expect.within("SyntaxError", server.run("print(", lang="py")["stderr"], "stderr")


@requirement("C-110", "§0.5", "an exit code is 200 and is told in stderr")
def exit_code(server: Server) -> None:
    ran = server.run("echo before; exit 37")
    expect.same(ran["stdout"], "before\n", "stdout")
    expect.within("37", ran["stderr"], "stderr")


@requirement("C-111", "§0.5", "an unsupported language is 200 and is told in stderr")
def unsupported_language(server: Server) -> None:
    expect.within("cobol", server.run("x", lang="cobol")["stderr"], "stderr")


@requirement("C-112", "§0.8", "70 000 bytes of stdout are whole")
def output_past_64_kib(server: Server) -> None:
    ran = server.run("print('x' * 70_000)", lang="py")
    expect.same(len(ran["stdout"]), 70_001, "the length of stdout")


@requirement("C-113", "§0.8", "1 000 000 bytes of stdout are whole")
def output_of_a_megabyte(server: Server) -> None:
    ran = server.run("print('x' * 1_000_000)", lang="py")
    expect.same(len(ran["stdout"]), 1_000_001, "the length of stdout")


@requirement("C-114", "§3.1.2", "output that is no UTF-8 still makes valid JSON")
def output_of_bytes(server: Server) -> None:
    ran = server.run("import sys; sys.stdout.buffer.write(b'a\\xff\\x00z')", lang="py")
    expect.that(ran["stdout"][:1] == "a" and ran["stdout"][-1:] == "z", f"stdout is {ran['stdout']!r}")


@requirement("C-115", "§3.1.2", "stdout and stderr are strings, and files is a list, when there is nothing")
def nothing_printed(server: Server) -> None:
    ran = server.run("true")
    expect.same((ran.get("stdout"), ran.get("stderr")), ("", ""), "(stdout, stderr)")
    expect.that(isinstance(ran.get("files"), list), f"`files` is {ran.get('files')!r}")


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
    ticking = "for i in $(seq 300); do echo $i > ticks.txt; sleep 0.1; done"
    request = {"lang": "bash", "code": ticking, "files": [server.shared]}
    with contextlib.suppress(httpx.ReadTimeout):
        server.http.post(f"{server.base}/exec", json=request, timeout=httpx.Timeout(30, read=2))
    time.sleep(2)
    begun = time.monotonic()
    ran = server.run("cat ticks.txt; sleep 1; cat ticks.txt")
    taken = time.monotonic() - begun
    expect.that(taken < 10, f"the next run of the session waited {taken:.0f} s")
    ticks = ran["stdout"].split()
    if not ticks:
        raise NotOfferedError("runs do not share a sandbox: nothing of the first can be seen")
    expect.same(ticks[0], ticks[-1], "the count a second later")


@requirement("C-123", "§3.1.2", "20 MB of stdout are whole, or are cut with status OL or a word in stderr")
def output_limit(server: Server) -> None:
    ran = server.run("head -c 20000000 /dev/zero | tr '\\0' x")
    whole = len(ran["stdout"]) == 20_000_000
    expect.that(whole or ran.get("status") == "OL" or ran["stderr"], "it was cut without a word")


@requirement("C-124", "§3.1", "two calls at once with the same files are both answered")
def calls_at_once(server: Server) -> None:
    shared = server.shared
    with ThreadPoolExecutor(2) as threads:
        codes = ["sleep 1; echo first", "sleep 1; echo second"]
        ran = list(threads.map(lambda code: server.fresh(code, files=[shared]), codes))
    expect.same([each["stdout"] for each in ran], ["first\n", "second\n"], "what both print")


@requirement("C-125", "§0.5", "a program that wants too much memory is 200 with the reason in stderr")
def memory(server: Server) -> None:
    """In a sandbox of its own, which may be lost by it."""
    code = "kept = []\nfor _ in range(96):\n    kept.append(b'x' * (1 << 25))\nprint('it fits')"
    ran = server.fresh(code, lang="py")
    expect.that(ran["stdout"] == "it fits\n" or ran["stderr"], "stdout and stderr are empty")


@requirement("C-131", "F2", "exit_code, code, signal, status and wall_time are told beside")
def additive_fields(server: Server) -> None:
    ran = server.run("exit 3")
    if "exit_code" not in ran:
        raise NotOfferedError("there is no `exit_code`")
    expect.same((ran["exit_code"], ran.get("code")), (3, 3), "(exit_code, code)")
    expect.same(ran.get("status"), "RE", "`status`")
    expect.that(isinstance(ran.get("wall_time"), int), f"`wall_time` is {ran.get('wall_time')!r}")
    killed = server.run("kill -KILL $$")
    expect.same((killed.get("signal"), killed.get("status")), ("SIGKILL", "SG"), "(signal, status)")


@requirement("C-132", "F2", "`output` is stdout, then stderr")
def joined_output(server: Server) -> None:
    ran = server.run("echo out; echo err >&2")
    if "output" not in ran:
        raise NotOfferedError("there is no `output`")
    expect.same(ran["output"], ran["stdout"] + ran["stderr"], "`output`")


@requirement("C-133", "§3.1.2", "a runtime_session_hint is echoed by runtime_session_id and runtime_status")
def runtime_session(server: Server) -> None:
    ran = server.run("echo ran", runtime_session_hint="v2:user:0123456789abcdef0123456789abcdef")
    expect.same(ran["stdout"], "ran\n", "stdout")
    if "runtime_status" not in ran:
        raise NotOfferedError("there is no `runtime_status`")
    expect.within(ran["runtime_status"], ("new", "reused"), "what `runtime_status` may be")
    expect.that(ran.get("runtime_session_id"), "there is no `runtime_session_id`")


@requirement("C-134", "F2", "/run/exec does what /exec does")
def run_exec(server: Server) -> None:
    request = {"lang": "bash", "code": "echo ran", "files": [server.shared]}
    answer = expect.offered(server.send("POST", "/run/exec", json=request))
    expect.same(answer.json()["stdout"], "ran\n", "stdout")
