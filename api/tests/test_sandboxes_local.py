"""The embedded default in every isolation that this host has: what code can reach, how sessions live."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from codesession_api.errors import SandboxesBusy, SandboxesUnavailable, SandboxLost
from codesession_api.ports import Outcome, Principal, RunResult, RunSpec, Sandbox, Sandboxes, TaggedPath
from codesession_api.sandboxes import local, seccomp
from codesession_api.sandboxes.local import open_local
from codesession_api.settings import Settings, load
from codesession_crds.names import is_id, new_id
from e2e.cluster import cache

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

ALICE = Principal("a" * 32, "1" * 32)
BOB = Principal("a" * 32, "2" * 32)


def settings(directory: Path, **given: Any) -> Settings:
    return load(backend="local", local_directory=directory, local_warm=given.pop("local_warm", 0), **given)


def program(name: str) -> str | None:
    """Of the PATH; gVisor else of this project's own cluster, which builds it."""
    found = shutil.which(name)
    return str(cache.binary(name)) if name == "runsc" and found is None else found


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest, tools: Path) -> Iterator[str]:
    """Makes the PATH such that this kind of isolation is chosen."""
    wanted: str = request.param
    binary = {"gvisor": "runsc", "bubblewrap": "bwrap"}.get(wanted)
    if binary:
        found = program(binary)
        if found is None:
            pytest.skip(f"no {binary} on this host")
        (tools / binary).symlink_to(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tools))
        yield wanted
    if binary:
        (tools / binary).unlink()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of programs, without the two that isolate."""
    directory = tmp_path_factory.mktemp("tools")
    for name in ("setpriv", "unshare"):
        if found := shutil.which(name):
            (directory / name).symlink_to(found)
    return directory


isolated = pytest.mark.parametrize("kind", ["bubblewrap", "gvisor"], indirect=True, scope="module")
bubblewrap = pytest.mark.parametrize("kind", ["bubblewrap"], indirect=True, scope="module")
without = pytest.mark.parametrize("kind", ["none"], indirect=True, scope="module")


@asynccontextmanager
async def opened(directory: Path, **given: Any) -> AsyncIterator[Sandboxes]:
    sandboxes = await open_local(settings(directory / "state", **given))
    try:
        yield sandboxes
    finally:
        await sandboxes.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes(kind: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandboxes]:
    async with opened(tmp_path_factory.mktemp(kind)) as sandboxes:
        assert sandboxes.isolation == kind
        yield sandboxes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(sandboxes: Sandboxes) -> Sandbox:
    """For tests that only look."""
    return await sandboxes.claim(ALICE)


async def run(sandbox: Sandbox, code: str, language: str = "py", **more: Any) -> RunResult:
    return await sandbox.run(RunSpec(new_id(), language, textwrap.dedent(code), **more))


async def answer(sandbox: Sandbox, code: str) -> Any:
    """What Python code prints, which is JSON."""
    result = await run(sandbox, "import json, os, socket, sys\n" + textwrap.dedent(code))
    assert result.outcome is Outcome.EXIT, result
    assert result.exit_code == 0, result.stderr.decode()
    return json.loads(result.stdout)


# --- what code can reach


@isolated
async def test_it_is_an_ordinary_user_without_capabilities(kind: str, sandbox: Sandbox) -> None:
    code = """
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        sets = [int(status[name], 16) for name in names]
        print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), sets]))
    """
    uid, gid, groups, capabilities = await answer(sandbox, code)
    rootless = kind == "gvisor" and os.geteuid() != 0
    assert (uid, gid) == ((0, 0) if rootless else (1000, 1000))
    assert groups in ([], [gid])
    assert capabilities == [0] * 5


@isolated
async def test_no_network_not_even_the_hosts_own(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
            def reach(family, address):
                try:
                    with socket.socket(family) as probe:
                        probe.settimeout(1)
                        probe.connect(address)
                    return "reached"
                except OSError as error:
                    return type(error).__name__
            targets = [("127.0.0.1", {server.getsockname()[1]}), ("169.254.169.254", 80), ("1.1.1.1", 53)]
            reached = [reach(socket.AF_INET, target) for target in targets]
            print(json.dumps([reached, [name for _, name in socket.if_nameindex() if name != "lo"]]))
        """
        reached, interfaces = await answer(sandbox, code)
    assert "reached" not in reached
    assert interfaces == []


@isolated
async def test_the_root_is_read_only_and_the_workspace_is_not(sandbox: Sandbox) -> None:
    code = """
        def write(directory):
            try:
                open(os.path.join(directory, "probe"), "w").close()
                return True
            except OSError:
                return False
        places = ["/", "/usr", "/usr/bin", "/etc", "/opt", "/opt/codesession/codesession_runner", "/opt/venv",
                  "/dev", "/mnt", "/proc", sys.base_prefix, sys.prefix, "/tmp", "/dev/shm", "/mnt/data"]
        print(json.dumps([place for place in places if write(place)]))
    """
    assert await answer(sandbox, code) == ["/tmp", "/dev/shm", "/mnt/data"]


@isolated
async def test_no_files_of_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    project = Path(__file__).parents[2]
    code = f"""
        hidden = [{str(secret)!r}, {str(tmp_path)!r}, {str(project / "pyproject.toml")!r}, "/etc/shadow",
                  "/etc/hostname", "/home", "/var", "/boot", "/run", "/srv", "/root/.bashrc", "/root/.ssh"]
        open("/etc/passwd").read()
        print(json.dumps([[path for path in hidden if os.path.lexists(path)],
                          sorted(set(os.environ) & {{"KUBECONFIG", "VIRTUAL_ENV", "SSH_AUTH_SOCK", "PWD2"}}),
                          len(open("/etc/passwd").readlines())]))
    """
    assert await answer(sandbox, code) == [[], [], 2]


@isolated
async def test_no_processes_of_the_host(sandbox: Sandbox) -> None:
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", "import time; time.sleep(600)"]
    ) as process:
        code = f"""
            def signal_it():
                try:
                    os.kill({process.pid}, 9)
                    return True
                except OSError:
                    return False
            pids = [name for name in os.listdir("/proc") if name.isdigit()]
            commands = [open(f"/proc/{{pid}}/cmdline").read().replace(chr(0), " ") for pid in pids]
            print(json.dumps([len(pids), any("time.sleep(600)" in c for c in commands), signal_it()]))
        """
        count, seen, _ = await answer(sandbox, code)
        assert process.poll() is None
        process.kill()
    assert count < 12
    assert not seen


@isolated
async def test_the_kernels_settings_cannot_be_written(sandbox: Sandbox) -> None:
    code = """
        names = ["sys/kernel/core_pattern", "sys/kernel/hostname", "sys/vm/drop_caches", "sysrq-trigger",
                 "sys/kernel/modprobe"]
        def opened(path):
            try:
                os.close(os.open(path, os.O_WRONLY))
                return True
            except OSError:
                return False
        print(json.dumps([name for name in names if opened("/proc/" + name)]))
    """
    assert await answer(sandbox, code) == []


@isolated
async def test_no_new_user_namespace_and_no_mount(sandbox: Sandbox) -> None:
    code = """
        import ctypes
        libc = ctypes.CDLL(None)
        clone_newuser = 0x10000000
        mounted = libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)
        print(json.dumps([mounted, libc.unshare(clone_newuser), open("/proc/version").read()]))
    """
    mounted, unshared, version = await answer(sandbox, code)
    assert mounted == -1
    # gVisor's namespaces are its own and not the host's.
    assert unshared == -1 or os.uname().release not in version


@bubblewrap
async def test_calls_that_are_refused_do_not_reach_the_hosts_kernel(sandbox: Sandbox) -> None:
    """The kernel's own answer to such arguments would be another for most of them."""
    wanted = seccomp.denied(platform.machine())
    code = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        numbers = {[number for number, _ in wanted.values()]}
        def answer(number):
            return ctypes.get_errno() if libc.syscall(number, -1, -1, -1, -1, -1) == -1 else 0
        def family(number):
            try:
                socket.socket(number).close()
            except OSError as error:
                return error.errno
            return 0
        tried = (socket.AF_VSOCK, socket.AF_ALG, socket.AF_UNIX, socket.AF_INET)
        families = [family(number) for number in tried]
        print(json.dumps([[answer(number) for number in numbers], families]))
    """
    calls, families = await answer(sandbox, code)
    assert dict(zip(wanted, calls, strict=True)) == {name: error for name, (_, error) in wanted.items()}
    assert families == [errno.EAFNOSUPPORT, errno.EAFNOSUPPORT, 0, 0]


@bubblewrap
@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the other machine's kernel has no second ABI of ours"
)
@pytest.mark.parametrize(
    "call",
    ["libc.syscall(0x40000000 | 39)", "machine_code(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')"],
    ids=["x32", "i386"],
)
async def test_a_call_by_another_abi_ends_its_process_and_no_other(call: str, sandbox: Sandbox) -> None:
    code = f"""
        import ctypes, mmap
        libc = ctypes.CDLL(None)
        def machine_code(text):
            memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            memory.write(text)
            return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
        child = os.fork()
        if child == 0:
            {call}
            os._exit(0)
        print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    """
    assert await answer(sandbox, code) == -signal.SIGSYS


@isolated
async def test_two_sessions_share_nothing(sandboxes: Sandboxes) -> None:
    one, other = await asyncio.gather(sandboxes.claim(ALICE), sandboxes.claim(ALICE))
    assert one.session_id != other.session_id
    await run(one, "open('mine', 'w').write('x'); open('/tmp/mine', 'w'); open('/dev/shm/mine', 'w')")
    sleeping = asyncio.create_task(run(one, "import time; time.sleep(600)"))
    seen = await answer(other, "print(json.dumps([os.listdir(d) for d in ('.', '/dev/shm')]))")
    assert seen == [[], []]
    assert not await answer(other, "print(json.dumps(os.path.exists('/tmp/mine')))")
    sleeping.cancel()


@isolated
async def test_files_and_limits_pass_through(kind: str, tmp_path: Path) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"a,b\n"
        yield b"1,2\n"

    async with opened(tmp_path, run_seconds=1, file_bytes=1_000_000, processes=20) as sandboxes:
        sandbox = await sandboxes.claim(ALICE)
        await sandbox.put("in/table.csv", source(), tag="s/1", read_only=True)
        assert await sandbox.missing([TaggedPath("in/table.csv", "s/1")]) == set()
        result = await run(sandbox, "cat in/table.csv; cp in/table.csv out.csv", "bash")
        assert result.stdout == b"a,b\n1,2\n"
        assert [entry.path for entry in result.changed] == ["out.csv"]
        assert b"".join([chunk async for chunk in sandbox.get("out.csv", tag="s/2")]) == b"a,b\n1,2\n"
        assert (await run(sandbox, "sleep 60", "bash")).outcome is Outcome.TIMEOUT
        over = await run(sandbox, "open('big', 'wb').write(bytes(2_000_000))")
        assert b"File too large" in over.stderr


PRINTS = {
    "js": ("node", "console.log('é')"),
    "c": ("gcc", '#include <stdio.h>\nint main(void) { puts("é"); }'),
    "cpp": ("g++", '#include <iostream>\nint main() { std::cout << "é\\n"; }'),
    "java": ("javac", 'class A { public static void main(String[] a) { System.out.println("é"); } }'),
    "php": ("php", "<?php echo 'é\n';"),
    "d": ("ldc2", 'import std.stdio; void main() { writeln("é"); }'),
    "f90": ("gfortran", "print '(a)', 'é'\nend"),
    "r": ("Rscript", 'cat("é\\n")'),
}


@isolated
async def test_it_runs_the_languages_of_the_host(kind: str, tmp_path: Path) -> None:
    there = [name for name, (tool, _) in PRINTS.items() if shutil.which(tool, path="/usr/bin")]
    async with opened(tmp_path, languages=",".join(["py", *PRINTS])) as sandboxes:
        sandbox = await sandboxes.claim(ALICE)
        results = {name: await run(sandbox, PRINTS[name][1], name, timeout=60) for name in there}
    printed = {name: (result.stdout.decode(), result.stderr) for name, result in results.items()}
    assert printed == dict.fromkeys(there, ("é\n", b""))
    if absent := PRINTS.keys() - there:
        pytest.skip(f"not on this host: {', '.join(sorted(absent))}; {', '.join(there)} ran")


# --- the life of sessions


@isolated
async def test_an_owner_is_told_of_its_sessions(sandboxes: Sandboxes) -> None:
    first, second = [await sandboxes.claim(ALICE) for _ in range(2)]
    other = await sandboxes.claim(BOB)
    told = sandboxes.sessions(ALICE)
    assert [one.session_id for one in told[:2]] == [second.session_id, first.session_id]
    assert all(one.claimed < one.ends for one in told)
    assert other.session_id not in [one.session_id for one in told]
    await sandboxes.delete(second.session_id, ALICE)
    assert sandboxes.sessions(ALICE)[0].session_id == first.session_id
    for sandbox, owner in ((first, ALICE), (other, BOB)):
        await sandboxes.delete(sandbox.session_id, owner)


@isolated
async def test_a_hint_leads_to_its_owners_oldest_live_session(sandboxes: Sandboxes) -> None:
    first, second = [await sandboxes.claim(ALICE, "h" * 32) for _ in range(2)]
    other = await sandboxes.claim(ALICE)
    found = await sandboxes.hinted("h" * 32, ALICE)
    assert found is not None
    assert found.session_id == first.session_id
    assert await sandboxes.hinted("h" * 32, BOB) is None
    assert await sandboxes.hinted("i" * 32, ALICE) is None
    but = await sandboxes.hinted("h" * 32, ALICE, {first.session_id})
    assert but is not None
    assert but.session_id == second.session_id
    for sandbox in (first, second, other):
        await sandboxes.delete(sandbox.session_id, ALICE)
    assert await sandboxes.hinted("h" * 32, ALICE) is None


@isolated
async def test_live_runs_share_an_interpreter(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.claim(ALICE)
    begin = """
        import os, subprocess, threading, time
        def count():
            while True:
                time.sleep(0.01)
                n[0] += 1
        n = [0]
        threading.Thread(target=count, daemon=True).start()
        sleeping = subprocess.Popen(["sleep", "600"])
        if not os.fork():
            os.setsid()
            time.sleep(600)
    """
    assert (await run(sandbox, begin, live=True)).exit_code == 0
    before = int((await run(sandbox, "print(n[0])", live=True)).stdout)
    await asyncio.sleep(1)
    after = await run(sandbox, "print(n[0]); print(sleeping.poll())", live=True)
    counted, ended = after.stdout.split()
    assert (ended, after.stderr) == (b"-9", b"")
    assert int(counted) < before + 50
    fresh = await run(sandbox, "print('n' in globals())")
    assert fresh.stdout == b"False\n"
    late = await run(sandbox, "time.sleep(60)", live=True, timeout=1)
    assert late.outcome is Outcome.TIMEOUT
    anew = await run(sandbox, "print('n' in globals())", live=True)
    assert (anew.stdout, b"variables of this session are lost" in anew.stderr) == (b"False\n", True)
    await sandboxes.delete(sandbox.session_id, ALICE)


@isolated
async def test_a_session_is_found_by_its_owner_alone(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.claim(ALICE)
    assert is_id(sandbox.session_id)
    await run(sandbox, "x = 1; open('kept', 'w').write('x')")
    found = await sandboxes.find(sandbox.session_id, ALICE)
    assert found is not None
    assert (await run(found, "cat kept", "bash")).stdout == b"x"
    assert await sandboxes.find(sandbox.session_id, BOB) is None
    assert await sandboxes.find(new_id(), ALICE) is None
    assert not await sandboxes.delete(sandbox.session_id, BOB)
    assert await sandboxes.delete(sandbox.session_id, ALICE)
    assert await sandboxes.find(sandbox.session_id, ALICE) is None
    with pytest.raises(SandboxLost):
        await run(found, "print(1)")


@isolated
async def test_a_sandbox_that_dies_is_lost_and_its_session_gone(sandboxes: Sandboxes, kind: str) -> None:
    sandbox = await sandboxes.claim(ALICE)
    kill_all = "import os, signal; os.kill(-1, signal.SIGKILL)"
    if kind == "gvisor":
        kill_all = "import os, signal; [os.kill(p, signal.SIGKILL) for p in range(2, 400)]"
    try:
        await run(sandbox, kill_all)
    except SandboxLost:
        assert await sandboxes.find(sandbox.session_id, ALICE) is None
    again = await sandboxes.claim(ALICE)
    assert (await run(again, "print(1)")).stdout == b"1\n"


@bubblewrap
async def test_claims_are_served_from_what_was_started_ahead(kind: str, tmp_path: Path) -> None:
    async with opened(tmp_path, local_warm=2, local_sandboxes=3) as sandboxes:
        claimed = [await sandboxes.claim(ALICE) for _ in range(3)]
        assert len({sandbox.session_id for sandbox in claimed}) == 3
        with pytest.raises(SandboxesBusy):
            await sandboxes.claim(BOB)
        await sandboxes.delete(claimed[0].session_id, ALICE)
        assert (await sandboxes.claim(BOB)).session_id not in {sandbox.session_id for sandbox in claimed}


@bubblewrap
async def test_the_least_used_session_makes_room(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_SPARE_SECONDS", 0.0)
    async with opened(tmp_path, local_sandboxes=2) as sandboxes:
        first, second = await sandboxes.claim(ALICE), await sandboxes.claim(BOB)
        await run(second, "print(1)")
        await run(first, "print(1)")
        third = await sandboxes.claim(ALICE)
        assert await sandboxes.find(second.session_id, BOB) is None
        working = asyncio.create_task(run(first, "import time; time.sleep(600)"))
        await run(third, "print(1)")
        fourth = await sandboxes.claim(BOB)
        assert await sandboxes.find(third.session_id, ALICE) is None
        assert await sandboxes.find(first.session_id, ALICE) is not None
        assert (await run(fourth, "print(1)")).stdout == b"1\n"
        working.cancel()


@bubblewrap
async def test_racing_claims_never_get_the_same_sandbox(kind: str, tmp_path: Path) -> None:
    async with opened(tmp_path, local_warm=2) as sandboxes:
        claimed = await asyncio.gather(*(sandboxes.claim(ALICE) for _ in range(5)))
        assert len({sandbox.session_id for sandbox in claimed}) == 5


@bubblewrap
async def test_idle_sessions_end_and_working_ones_do_not(kind: str, tmp_path: Path) -> None:
    async with opened(tmp_path, local_idle_seconds=0.2) as sandboxes:
        idle = await sandboxes.claim(ALICE)
        working = await sandboxes.claim(ALICE)  # and used at once: it would be idle while the other is made
        result = await run(working, "import time; time.sleep(1); print('done')")
        assert result.stdout == b"done\n"
        assert await sandboxes.find(idle.session_id, ALICE) is None


@isolated
async def test_nothing_is_left_when_it_closes(kind: str, tmp_path: Path) -> None:
    async with opened(tmp_path, local_warm=1) as sandboxes:
        sandbox = await sandboxes.claim(ALICE)
        await run(sandbox, "mkdir -p locked/in && chmod 0 locked && setsid sleep 987 &", "bash")
    assert list((tmp_path / "state/sandboxes").iterdir()) == []
    assert not any(str(tmp_path / "state") in command for command in commands())


def commands() -> Iterator[str]:
    """The command lines of this host's processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except OSError:
            continue


SERVER = """
import asyncio, sys
from pathlib import Path
from codesession_api.ports import Principal, RunSpec
from codesession_api.sandboxes.local import open_local
from codesession_api.settings import load

async def main():
    sandboxes = await open_local(load(backend="local", local_directory=Path(sys.argv[1]), local_warm=1))
    sandbox = await sandboxes.claim(Principal("a" * 32, "b" * 32))
    code = "touch started; setsid sleep 987 & sleep 987"
    running = asyncio.create_task(sandbox.run(RunSpec("r", "bash", code)))
    while not list(Path(sys.argv[1]).glob("sandboxes/*/*/data/started")):
        await asyncio.sleep(0.01)
    print("running", flush=True)
    await running

asyncio.run(main())
"""


@isolated
async def test_children_die_with_a_server_that_is_killed(kind: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", SERVER, str(state)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout
    assert server.stdout.readline() == b"running\n"
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    async with asyncio.timeout(10):
        while any(str(state) in command for command in commands()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with opened(tmp_path):
        assert len(list((state / "sandboxes").iterdir())) == 1


@without
async def test_without_isolation_it_refuses_unless_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxesUnavailable, match=r"runsc: not on the PATH; bwrap: not on the PATH"):
        await open_local(settings(tmp_path / "state"))
    async with opened(tmp_path, unsafe_no_sandbox=True) as sandboxes:
        assert sandboxes.isolation == "none"
        assert (await run(await sandboxes.claim(ALICE), "print(1)")).stdout == b"1\n"


@without
async def test_an_isolation_that_does_not_work_is_not_used(kind: str, tmp_path: Path, tools: Path) -> None:
    broken = tools / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    try:
        with pytest.raises(SandboxesUnavailable, match="No permissions to create new namespace"):
            await open_local(settings(tmp_path / "state"))
    finally:
        broken.unlink()


async def test_an_interpreter_that_does_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxesUnavailable, match="CODESESSION_SANDBOX_PYTHON"):
        await open_local(settings(tmp_path / "state", sandbox_python=tmp_path / "missing"))
