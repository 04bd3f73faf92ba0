"""§0.5, §0.8, §3.1.2: how a program ends and what it prints, as the answer tells it: always 200."""

from __future__ import annotations

import time

from e2e.conformance import expect
from e2e.conformance.registry import requirement
from e2e.conformance.server import Server


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


@requirement("C-123", "§3.1.2", "20 MB of stdout are whole, or are cut with status OL or a word in stderr")
def output_limit(server: Server) -> None:
    ran = server.run("head -c 20000000 /dev/zero | tr '\\0' x")
    whole = len(ran["stdout"]) == 20_000_000
    expect.that(whole or ran.get("status") == "OL" or ran["stderr"], "it was cut without a word")


@requirement("C-125", "§0.5", "a program that wants too much memory is 200 with the reason in stderr")
def memory(server: Server) -> None:
    """In a sandbox of its own, which may be lost by it."""
    code = "kept = []\nfor _ in range(96):\n    kept.append(b'x' * (1 << 25))\nprint('it fits')"
    ran = server.fresh(code, lang="py")
    expect.that(ran["stdout"] == "it fits\n" or ran["stderr"], "stdout and stderr are empty")
