"""The API's end of a connection with the real runner at the other: over a socket as in a pod, over pipes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from codesession_api.errors import (
    SandboxBadRequest,
    SandboxFileMissing,
    SandboxFileTooLarge,
    SandboxLost,
    SandboxUnsupportedLanguage,
)
from codesession_api.ports import FileEntry, Outcome, RunSpec, TaggedPath
from codesession_api.sandboxes.child import Child
from codesession_api.sandboxes.connection import Connection, ConnectionLost
from codesession_api.sandboxes.session import Limits, Session
from codesession_api.sandboxes.transport import StreamTransport, TransportError, open_unix
from codesession_runner import frames

RUNNER = [sys.executable, "-I", str(Path(frames.__file__).parent)]
LIMITS = Limits(run_seconds=60, output_bytes=1_000_000, file_bytes=20_000_000, files=100)
MIB = 1024 * 1024


def environment(directory: Path) -> dict[str, str]:
    (directory / "data").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "CODESESSION_WORKSPACE": str(directory / "data"),
        "CODESESSION_SOCKET": str(directory / "runner.sock"),
        "CODESESSION_READY_PORT": "0",
        "CODESESSION_PRELOAD": "",
        "CODESESSION_FILE_BYTES": str(16 * MIB),
        "CODESESSION_OUTPUT_BYTES": str(2 * MIB),
    }


async def until(condition: Callable[[], bool]) -> None:
    """What another process does can only be looked for."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A runner on its socket."""
    socket = directory / "runner.sock"
    socket.unlink(missing_ok=True)
    runner = await asyncio.create_subprocess_exec(*RUNNER, env=environment(directory))
    try:
        await until(lambda: socket.exists() or runner.returncode is not None)
        yield runner
    finally:
        with suppress(ProcessLookupError):
            runner.kill()
        await runner.wait()


class CuttableLine:
    """Dials the runner's socket; `cut` is what a broken stream is to both ends."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / "runner.sock")
        self._connection: Connection | None = None
        self._transport: StreamTransport | None = None
        self.dials = 0
        self.refusing = False

    async def connect(self) -> Connection:
        if self._connection is None or self._connection.lost:
            if self.refusing:
                raise ConnectionLost("refused")
            try:
                self._transport = await open_unix(self._path)
            except TransportError as error:
                raise ConnectionLost(str(error)) from error
            self._connection = await Connection.open(self._transport)
            self.dials += 1
        return self._connection

    async def cut(self) -> None:
        assert self._transport
        await self._transport.aclose()

    async def aclose(self) -> None:
        if self._connection:
            await self._connection.aclose()


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[CuttableLine]:
    async with listening(tmp_path):
        line = CuttableLine(tmp_path)
        yield line
        await line.aclose()


@pytest.fixture
def session(line: CuttableLine) -> Session:
    return Session("s" * 21, line, LIMITS)


@pytest.fixture
async def piped(tmp_path: Path) -> AsyncIterator[Session]:
    """A runner as a child, on its standard streams."""
    child = await Child.start([*RUNNER, "--stdio"], environment(tmp_path))

    class Line:
        async def connect(self) -> Connection:
            return child.connection

    yield Session("s" * 21, Line(), LIMITS)
    await child.aclose()


@pytest.fixture(params=["socket", "pipes"])
def either(request: pytest.FixtureRequest) -> Session:
    found = request.getfixturevalue("session" if request.param == "socket" else "piped")
    assert isinstance(found, Session)
    return found


async def source(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(session: Session, path: str, tag: str = "") -> bytes:
    return b"".join([chunk async for chunk in session.get(path, tag=tag)])


async def test_a_run_gives_its_output_its_end_and_its_files(either: Session) -> None:
    code = "import sys; print('out'); sys.stderr.write('err'); open('a.txt', 'w').write('abc'); sys.exit(3)"
    result = await either.run(RunSpec("run-1", "py", code))
    assert (result.outcome, result.exit_code, result.signal) == (Outcome.EXIT, 3, None)
    assert (result.stdout, result.stderr) == (b"out\n", b"err")
    assert result.changed == [FileEntry("a.txt", 3)]
    assert result.wall_ms > 0
    result = await either.run(RunSpec("run-2", "bash", 'rm a.txt; echo "$1"', args=["x y"]))
    assert (result.stdout, result.deleted) == (b"x y\n", ["a.txt"])


async def test_a_run_is_cancelled_by_its_name_from_elsewhere(line: CuttableLine, tmp_path: Path) -> None:
    running, other = Session("s" * 21, line, LIMITS), CuttableLine(tmp_path)
    going = asyncio.create_task(running.run(RunSpec("run-1", "bash", "sleep 600", name="the-name")))
    elsewhere = Session("s" * 21, other, LIMITS)
    while not await elsewhere.cancel("the-name"):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert (await going).outcome is Outcome.CANCELLED
    await other.aclose()


async def test_a_file_of_many_windows_goes_in_and_comes_out_whole(either: Session) -> None:
    data = os.urandom(5 * MIB + 1)
    await either.put("deep/er/blob", source(data), tag="s/f")
    assert await either.missing([TaggedPath("deep/er/blob", "s/f"), TaggedPath("no", "s/g")]) == {"no"}
    assert await read(either, "deep/er/blob") == data


async def test_output_of_many_windows_is_cut_at_the_limit_of_this_side(either: Session) -> None:
    result = await either.run(RunSpec("run-1", "py", f"print('x' * {2 * MIB - 2})"))
    assert len(result.stdout) == LIMITS.output_bytes
    assert result.truncated


async def test_refusals_have_their_own_errors(either: Session) -> None:
    with pytest.raises(SandboxUnsupportedLanguage):
        await either.run(RunSpec("run-1", "cobol", ""))
    with pytest.raises(SandboxFileMissing):
        await read(either, "missing")
    with pytest.raises(SandboxBadRequest):
        await either.put("../escape", source(b"x"), tag="t")
    with pytest.raises(SandboxFileTooLarge):
        await either.put("big", source(bytes(17 * MIB)), tag="t")
    assert (await either.run(RunSpec("run-2", "bash", "ls"))).stdout == b""


async def test_several_requests_at_one_time(either: Session) -> None:
    blobs = {f"file-{number}": os.urandom(MIB) for number in range(6)}
    run = asyncio.create_task(either.run(RunSpec("run-1", "bash", "sleep 0.2; echo done")))
    await asyncio.gather(*(either.put(name, source(data), tag=name) for name, data in blobs.items()))
    assert await asyncio.gather(*(read(either, name) for name in blobs)) == list(blobs.values())
    assert (await run).stdout == b"done\n"


async def test_cancelling_the_caller_kills_the_run(either: Session, tmp_path: Path) -> None:
    running = asyncio.create_task(either.run(RunSpec("run-1", "bash", "echo $$ > pid; exec sleep 600")))
    pid = tmp_path / "data/pid"
    await until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # Runs of a session are serial: this one starts when nothing is left of the other.
    check = RunSpec("run-2", "bash", "kill -0 $(cat pid) 2>&1 | grep -c 'No such process'")
    assert (await either.run(check)).stdout == b"1\n"


STEPS = """
import pathlib, time
open('started', 'a').write('x')
for number in range(4):
    print(number, flush=True)
    while not pathlib.Path(f'go-{number}').exists():
        time.sleep(0.01)
"""


async def test_a_cut_stream_neither_repeats_a_run_nor_its_output(
    session: Session, line: CuttableLine, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    running = asyncio.create_task(session.run(RunSpec("run-1", "py", STEPS)))
    await until((data / "started").exists)
    for number in range(4):
        dials = line.dials
        await line.cut()
        await until(lambda dials=dials: line.dials > dials)  # type: ignore[misc]
        (data / f"go-{number}").touch()
    result = await running
    assert result.outcome is Outcome.EXIT
    assert result.stdout == b"0\n1\n2\n3\n"
    assert (data / "started").read_text() == "x"
    assert line.dials == 5


async def test_a_run_that_ends_while_nobody_listens_has_a_result(
    session: Session, line: CuttableLine, tmp_path: Path
) -> None:
    code = "touch started; while [ ! -e go ]; do sleep 0.01; done; echo x >> ran; echo done"
    running = asyncio.create_task(session.run(RunSpec("run-1", "bash", code)))
    await until((tmp_path / "data/started").exists)
    line.refusing = True
    await line.cut()
    (tmp_path / "data/go").touch()
    await until((tmp_path / "data/ran").exists)
    line.refusing = False
    result = await running
    assert result.stdout == b"done\n"
    assert FileEntry("ran", 2) in result.changed


async def test_a_runner_that_is_replaced_during_a_run_has_lost_it(tmp_path: Path) -> None:
    line = CuttableLine(tmp_path)
    session = Session("s" * 21, line, LIMITS)
    ran = tmp_path / "data/ran"
    async with listening(tmp_path) as runner:
        running = asyncio.create_task(session.run(RunSpec("run-1", "bash", "echo x >> ran; sleep 60")))
        await until(ran.exists)
        line.refusing = True
        runner.kill()
        await runner.wait()
    async with listening(tmp_path):
        line.refusing = False
        with pytest.raises(SandboxLost, match="restarted during the run"):
            await running
        assert ran.read_text() == "x\n"
    await line.aclose()
