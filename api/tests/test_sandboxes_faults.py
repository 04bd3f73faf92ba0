"""Every operation, its stream broken after every frame in every way, with a real runner at the other end.

Each row wants the answer of an undisturbed stream, or an error; that what was asked happened once if it was
answered, and at most once in any case; and that the sandbox serves on.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import pytest_asyncio

from codesession_api.errors import SandboxError
from codesession_api.ports import Reply, RunSpec, Stream, TaggedPath, Tool
from codesession_api.sandboxes.session import Limits, Session
from faulty import Fault, FaultyLine, Plan, Side
from runners import RunnerAt, runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNNERS = 8
BREAKS = 20
PATIENCE = 60.0
LIMITS = Limits(run_seconds=60, output_bytes=2_000_000, file_bytes=20_000_000, files=100)
Rows = list[tuple[Plan, ...]]
DATA = bytes(range(256)) * 1200


class Place(RunnerAt):
    """A runner of its own, for one row at a time."""

    @asynccontextmanager
    async def session(self, *plans: Plan) -> AsyncIterator[tuple[Session, FaultyLine]]:
        line = FaultyLine(self.socket, *plans)
        try:
            yield Session("s" * 21, line, LIMITS), line
        finally:
            await line.aclose()

    def runs(self, nonce: str) -> int:
        """How many lines programs of this row have written."""
        path = self.workspace / f"ran-{nonce}"
        return path.read_text().count("\n") if path.exists() else 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def places(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[asyncio.Queue[Place]]:
    directory = tmp_path_factory.mktemp("runners")
    free: asyncio.Queue[Place] = asyncio.Queue()
    ended = asyncio.Event()

    async def keep(number: int) -> None:
        async with runner(directory / str(number), heartbeat=0.5, dead_after=2.0) as at:
            free.put_nowait(Place(at.pid, at.workspace, at.socket))
            await ended.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(RUNNERS):
            group.create_task(keep(number))
        yield free
        ended.set()


# --- what is asked: `before` on a stream that holds, `ask` on one that breaks, `after` to see and to clean up


class Run:
    """A program that counts its runs and writes on both streams."""

    code = "echo x >> ran-{nonce}; echo out; echo err >&2"

    async def before(self, session: Session, nonce: str) -> None:
        pass

    async def ask(self, session: Session, nonce: str) -> Any:
        result = await session.run(RunSpec(nonce, "bash", self.code.format(nonce=nonce)))
        changed = [entry.path.replace(nonce, "") for entry in result.changed]
        return result.outcome, result.exit_code, result.stdout, result.stderr, changed, result.truncated

    async def after(self, place: Place, session: Session, nonce: str, *, answered: bool) -> None:
        assert place.runs(nonce) == answered, "ran and was answered differ"


class TalkativeRun(Run):
    """More than a window, so that credit goes the other way."""

    code = "echo x >> ran-{nonce}; head -c 1000000 /dev/zero"


class ToldRun(TalkativeRun):
    """Each byte is told once, however often the run is followed from its start."""

    async def ask(self, session: Session, nonce: str) -> Any:
        told = Counter[bytes]()

        async def heard(stream: Stream, data: bytes) -> None:
            told.update({data[:1]: len(data)})

        result = await session.run(RunSpec(nonce, "bash", self.code.format(nonce=nonce)), heard)
        return result.outcome, result.stdout, told


class LongCode(Run):
    """Sent in several frames."""

    code = "echo x >> ran-{nonce} #" + "x" * 300_000


class Put:
    async def before(self, session: Session, nonce: str) -> None:
        pass

    async def ask(self, session: Session, nonce: str) -> Any:
        return await session.put(f"put-{nonce}", pieces(), tag=nonce)

    async def after(self, place: Place, session: Session, nonce: str, *, answered: bool) -> None:
        path = place.workspace / f"put-{nonce}"
        assert path.exists() or not answered, "no file"
        assert not path.exists() or path.read_bytes() == DATA, "not all of the file"


class Get(Put):
    async def before(self, session: Session, nonce: str) -> None:
        await steadily(lambda: session.put(f"put-{nonce}", pieces(), tag=nonce))

    async def ask(self, session: Session, nonce: str) -> Any:
        return b"".join([chunk async for chunk in session.get(f"put-{nonce}", tag=nonce)])


class Missing(Get):
    async def ask(self, session: Session, nonce: str) -> Any:
        known = TaggedPath(f"put-{nonce}", nonce)
        return await session.missing([known, TaggedPath("none", "t"), TaggedPath("nor this", "t")])


class FirstStep:
    """Of a program that calls a tool, and counts how often it comes to its call and to its end."""

    code = "echo x >> ran-{nonce}; echo begun; get '{{}}'; echo x >> ran-{nonce}; echo ended"

    async def before(self, session: Session, nonce: str) -> None:
        pass

    async def ask(self, session: Session, nonce: str) -> Any:
        spec = RunSpec(nonce, "bash", self.code.format(nonce=nonce))
        return await session.begin(spec, [Tool("get", "get")], f"first-{nonce}")

    async def after(self, place: Place, session: Session, nonce: str, *, answered: bool) -> None:
        assert place.runs(nonce) == answered, "ran and was answered differ"
        await ended(session, f"first-{nonce}")


class NextStep(FirstStep):
    async def before(self, session: Session, nonce: str) -> None:
        await super().ask(session, nonce)

    async def ask(self, session: Session, nonce: str) -> Any:
        result = await session.resume(nonce, 1, [Reply("call_001", {"a": 1})], f"next-{nonce}")
        return result.stdout, getattr(result, "exit_code", None)

    async def after(self, place: Place, session: Session, nonce: str, *, answered: bool) -> None:
        assert place.runs(nonce) == 1 + answered, "went on and was answered differ"
        await ended(session, f"first-{nonce}")


class Cancel(NextStep):
    async def ask(self, session: Session, nonce: str) -> Any:
        return await session.cancel(f"first-{nonce}")

    async def after(self, place: Place, session: Session, nonce: str, *, answered: bool) -> None:
        await ended(session, f"first-{nonce}")
        assert place.runs(nonce) == 1, "what was cancelled went on"


async def steadily(ask: Callable[[], Awaitable[Any]]) -> Any:
    """On a busy machine even a stream that nobody breaks may be silent for too long."""
    for _ in range(5):
        with suppress(SandboxError):
            return await ask()
    return await ask()


async def ended(session: Session, step: str) -> None:
    """Cancel a program, and wait until there is none."""
    while await steadily(lambda: session.cancel(step)):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def pieces() -> AsyncIterator[bytes]:
    for start in range(0, len(DATA), 100_000):
        yield DATA[start : start + 100_000]


OPERATIONS: dict[str, Any] = {
    "a run": Run(),
    "a run with much output": TalkativeRun(),
    "a run that is told": ToldRun(),
    "a run of long code": LongCode(),
    "put": Put(),
    "get": Get(),
    "missing": Missing(),
    "the first step of a program": FirstStep(),
    "the next step of a program": NextStep(),
    "cancel": Cancel(),
}


async def row(place: Place, operation: Any, plans: tuple[Plan, ...], wanted: Any) -> None:
    """Raises AssertionError with what is wrong."""
    nonce = f"n{secrets.token_hex(6)}"
    answered, why = False, ""
    async with place.session() as (steady, _):
        await operation.before(steady, nonce)
        async with place.session(*plans) as (session, _):
            try:
                found = await operation.ask(session, nonce)
                assert found == wanted, f"{found!r:.200} for {wanted!r:.200}"
                answered = True
            except SandboxError as error:
                why = str(error)
            assert answered or why, "an error without a word"
            await operation.after(place, steady, nonce, answered=answered)
        served = await steady.run(RunSpec(f"{nonce}-on", "bash", "echo on"))
        assert served.stdout == b"on\n", "the sandbox does not serve on"


async def undisturbed(place: Place, operation: Any) -> tuple[Any, dict[Side, int]]:
    """The answer, and how many frames each side says for it."""
    nonce = f"n{secrets.token_hex(6)}"
    async with place.session() as (steady, _), place.session() as (session, line):
        await operation.before(steady, nonce)
        found = await operation.ask(session, nonce)
        await operation.after(place, steady, nonce, answered=True)
        return found, line.transports[0].passed


async def all_hold(places: asyncio.Queue[Place], rows: Rows, check: Callable[..., Awaitable[None]]) -> None:
    """Check them all, as many at one time as there are runners; name those that fail."""
    failures: list[str] = []

    async def one(plans: tuple[Plan, ...]) -> None:
        place = await places.get()
        try:
            async with asyncio.timeout(PATIENCE):
                await check(place, plans)
        except (Exception, asyncio.TimeoutError) as error:  # noqa: UP041
            failures.append(f"{'; '.join(map(str, plans))}: {type(error).__name__}: {error}"[:600])
        finally:
            places.put_nowait(place)

    await asyncio.gather(*map(one, rows))
    assert failures == []


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_break_after_any_frame(places: asyncio.Queue[Place], name: str) -> None:
    operation = OPERATIONS[name]
    place = await places.get()
    wanted, said = await undisturbed(place, operation)
    places.put_nowait(place)
    rows: Rows = [
        (Plan(fault, side, after),) for fault in Fault for side in Side for after in range(said[side] + 1)
    ]
    await all_hold(places, rows, lambda place, plans: row(place, operation, plans, wanted))


@pytest.mark.parametrize("name", ["a run", "the first step of a program", "the next step of a program"])
async def test_breaks_one_after_the_other(places: asyncio.Queue[Place], name: str) -> None:
    """The streams on which it is taken up again break, too."""
    operation = OPERATIONS[name]
    place = await places.get()
    wanted, said = await undisturbed(place, operation)
    places.put_nowait(place)
    source = random.Random(name)

    def plan() -> Plan:
        side = source.choice(list(Side))
        return Plan(source.choice(list(Fault)), side, source.randint(0, said[side]))

    rows: Rows = [tuple(plan() for _ in range(source.randint(2, 4))) for _ in range(BREAKS)]
    await all_hold(places, rows, lambda place, plans: row(place, operation, plans, wanted))
