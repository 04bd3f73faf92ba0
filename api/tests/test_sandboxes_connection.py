"""The API's end of a connection against a peer that follows a script, mostly a hostile one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from codesession_api.errors import (
    SandboxBadRequest,
    SandboxBusy,
    SandboxError,
    SandboxFileMissing,
    SandboxFileTooLarge,
    SandboxLost,
    SandboxNoSpace,
    SandboxRunUnknown,
    SandboxUnsupportedLanguage,
)
from codesession_api.ports import FileEntry, Outcome, RunResult, RunSpec, Stream, TaggedPath
from codesession_api.sandboxes import connection as connection_module
from codesession_api.sandboxes import session as session_module
from codesession_api.sandboxes.connection import MAX_CHANNELS, Connection, ConnectionLost
from codesession_api.sandboxes.session import Limits, Session
from codesession_runner.frames import MAX_PAYLOAD, WINDOW, Frame, Kind, credit, message
from scripted import ENDED, HELLO, LIMITS, Lines, Peer, connected, session

SPEC = RunSpec("run-1", "py", "print(1)")


async def nothing() -> AsyncIterator[bytes]:
    for chunk in list[bytes]():
        yield chunk


async def read_all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


# --- the handshake


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a frame of"),
        (Frame(Kind.PING).encode(), "PING before HELLO"),
        (message(Kind.HELLO, 7, HELLO).encode(), "HELLO before HELLO"),
        (message(Kind.HELLO, 0, {**HELLO, "protocol": 2}).encode(), "another version"),
        (message(Kind.HELLO, 0, {**HELLO, "boot": 7}).encode(), "without a boot id"),
        (message(Kind.HELLO, 0, {**HELLO, "boot": ""}).encode(), "without a boot id"),
        (message(Kind.HELLO, 0, {**HELLO, "languages": "py"}).encode(), "without languages"),
        (Frame(Kind.HELLO, 0, b"[]").encode(), "no JSON object"),
        (Frame(Kind.HELLO, 0, b"[" * 100_000).encode(), "no JSON"),
        (b"\0\0\0\0\x63\0\0\0\0", "unknown kind 99"),
    ],
)
async def test_a_bad_greeting_is_refused_with_its_cause(sent: bytes, cause: str) -> None:
    peer = Peer()
    peer.send_bytes(sent)
    with pytest.raises(ConnectionLost, match=cause):
        await Connection.open(peer)
    assert peer.closed


async def test_silence_instead_of_a_greeting_ends() -> None:
    peer = Peer()
    with pytest.raises(ConnectionLost, match="no HELLO within"):
        await Connection.open(peer, timeout=0.01)
    assert peer.closed


async def test_the_cause_of_a_broken_transport_is_told() -> None:
    peer = Peer()
    peer.cut("the relay ended: no runner")
    with pytest.raises(ConnectionLost, match="no runner"):
        await Connection.open(peer)


# --- the heartbeat


async def test_pings_both_ways_keep_it_alive() -> None:
    async with connected(heartbeat=0.02, dead_after=0.08) as (connection, peer):
        for _ in range(8):
            assert (await peer.receive()).kind is Kind.PING
            peer.send(Frame(Kind.PONG))
        peer.send(Frame(Kind.PING))
        while (await peer.receive()).kind is not Kind.PONG:
            pass
        assert connection.lost is None


async def test_a_silent_peer_is_given_up() -> None:
    async with connected(heartbeat=0.01, dead_after=0.05) as (connection, peer):
        with pytest.raises(SandboxError, match="nothing heard"):
            await session(connection).missing([])
        await connection.closed()
        assert peer.closed


async def test_a_stream_that_was_silent_is_tried_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 0.05)
    async with connected() as (dead, silent), connected() as (alive, peer):
        running = asyncio.create_task(session(dead, alive).run(SPEC))
        assert (await silent.receive()).kind is Kind.PING
        assert (await peer.receive()).kind is Kind.PING
        peer.send(Frame(Kind.PONG))
        channel, opened = await peer.opened()
        assert opened["op"] == "run"
        peer.send(message(Kind.END, channel, ENDED))
        assert (await running).outcome is Outcome.EXIT
        assert dead.lost is not None


# --- a run


async def test_a_run_is_sent_and_its_result_put_together() -> None:
    async with connected() as (connection, peer):
        spec = RunSpec("run-1", "py", "print('ä')", args=["a"], timeout=99)
        running = asyncio.create_task(session(connection).run(spec))
        channel, opened = await peer.opened()
        assert opened == {
            "op": "run",
            "run": "run-1",
            "lang": "py",
            "args": ["a"],
            "timeout_ms": 10_000,
            "live": False,
        }
        assert await peer.receive() == Frame(Kind.DATA, channel, "print('ä')".encode())
        assert await peer.receive() == Frame(Kind.EOF, channel)
        peer.send(
            Frame(Kind.STDOUT, channel, b"one "),
            Frame(Kind.STDERR, channel, b"warning"),
            Frame(Kind.STDOUT, channel, b"two"),
            message(Kind.RECORD, channel, {"path": "a.txt", "size": 3, "change": "changed"}),
            message(Kind.RECORD, channel, {"path": "b\udcff", "change": "deleted"}),
            message(Kind.END, channel, {**ENDED, "exit_code": 3}),
        )
        assert await running == RunResult(
            outcome=Outcome.EXIT,
            exit_code=3,
            wall_ms=1.5,
            cpu_ms=1.0,
            stdout=b"one two",
            stderr=b"warning",
            changed=[FileEntry("a.txt", 3)],
            deleted=["b\udcff"],
        )
        assert connection.requests == 0


async def test_the_limits_hold_on_this_side_too() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        sent = 0
        while sent < 8 * WINDOW:  # as fast as credit comes
            frames = [Frame(Kind.STDOUT, channel, b"x" * MAX_PAYLOAD)] * 2
            peer.send(*frames)
            sent += 2 * MAX_PAYLOAD
            while (await peer.receive()).kind is not Kind.CREDIT:
                pass
        for number in range(5):
            peer.send(message(Kind.RECORD, channel, {"path": f"{number}", "size": 1, "change": "changed"}))
        peer.send(message(Kind.END, channel, {**ENDED, "files_dropped": 2}))
        result = await running
        assert len(result.stdout) == LIMITS.output_bytes
        assert result.truncated
        assert len(result.changed) == LIMITS.files
        assert result.files_dropped == 4


async def test_a_run_is_told_as_it_comes_and_only_what_was_taken_is_granted() -> None:
    free, taken = asyncio.Event(), list[tuple[Stream, int]]()

    async def heard(stream: Stream, data: bytes) -> None:
        taken.append((stream, len(data)))
        await free.wait()

    limits = Limits(run_seconds=10, output_bytes=WINDOW + 2 * MAX_PAYLOAD, file_bytes=1, files=1)
    async with connected() as (connection, peer):
        told = Session("s" * 21, Lines(connection), limits)
        running = asyncio.create_task(told.run(SPEC, heard))
        channel, _ = await peer.opened()
        window = [Frame(Kind.STDOUT, channel, b"x" * MAX_PAYLOAD)] * (WINDOW // MAX_PAYLOAD)
        peer.send(*window)
        asking = asyncio.create_task(told.missing([TaggedPath("a", "t")]))
        while (frame := await peer.receive()).kind is not Kind.OPEN:
            assert frame.kind in (Kind.DATA, Kind.EOF)
        peer.send(message(Kind.END, frame.channel, {}))
        assert await asking == set()
        free.set()
        while (await peer.receive()).kind is not Kind.CREDIT:
            pass
        peer.send(*window[:2])
        while (await peer.receive()).kind is not Kind.CREDIT:
            pass
        peer.send(
            Frame(Kind.STDOUT, channel, b"past the limit"),
            Frame(Kind.STDERR, channel, b"warning"),
            message(Kind.RECORD, channel, {"path": "a.txt", "size": 3, "change": "changed"}),
            message(Kind.END, channel, ENDED),
        )
        result = await running
        assert taken[-1] == (Stream.STDERR, 7)
        # The limit is this side's too.
        assert sum(size for stream, size in taken if stream is Stream.STDOUT) == limits.output_bytes
        assert (result.stdout, result.stderr, result.truncated) == (b"", b"", True)
        assert result.changed == [FileEntry("a.txt", 3)]


async def test_who_cannot_hear_a_run_ends_it() -> None:
    async def deaf(stream: Stream, data: bytes) -> None:
        raise ConnectionResetError

    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC, deaf))
        channel, _ = await peer.opened()
        peer.send(Frame(Kind.STDOUT, channel, b"x"))
        with pytest.raises(ConnectionResetError):
            await running
        while (frame := await peer.receive()).kind is not Kind.CANCEL:
            pass
        assert frame.channel == channel


async def test_cancelling_the_caller_cancels_the_run() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        while (frame := await peer.receive()).kind is not Kind.CANCEL:
            pass
        assert frame.channel == channel
        assert connection.requests == 1
        peer.send(Frame(Kind.STDOUT, channel, b"late"), message(Kind.END, channel, ENDED))
        await other_request(connection, peer)
        assert connection.requests == 0


async def test_a_cancelled_run_that_goes_on_talking_gets_no_more_credit() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        for _ in range(WINDOW // MAX_PAYLOAD + 1):
            peer.send(Frame(Kind.STDOUT, channel, b"x" * MAX_PAYLOAD))
        await connection.closed()
        assert "beyond the credit" in str(connection.lost)


async def other_request(connection: Connection, peer: Peer) -> None:
    """Another request on the connection goes through."""
    asking = asyncio.create_task(session(connection).missing([TaggedPath("a", "t")]))
    channel, _ = await peer.opened()
    peer.send(message(Kind.RECORD, channel, {"path": "a"}), message(Kind.END, channel, {}))
    assert await asking == {"a"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("bad_request", SandboxBadRequest),
        ("not_found", SandboxFileMissing),
        ("too_large", SandboxFileTooLarge),
        ("no_space", SandboxNoSpace),
        ("unsupported_language", SandboxUnsupportedLanguage),
        ("busy", SandboxBusy),
        ("unknown_run", SandboxRunUnknown),
        ("internal", SandboxError),
        ("never heard of", SandboxError),
        (["a"], SandboxError),
    ],
)
async def test_a_refusal_has_its_own_error(code: object, expected: type[Exception]) -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        peer.send(message(Kind.END, channel, {"error": {"code": code, "message": "a\n" + "b" * 9999}}))
        with pytest.raises(SandboxError) as caught:
            await running
        assert type(caught.value) is expected
        assert str(caught.value) == "a " + "b" * 198


# --- hostile answers


def record(**body: object) -> Callable[[int], Frame]:
    return lambda channel: message(Kind.RECORD, channel, body)


def end(**body: object) -> Callable[[int], Frame]:
    return lambda channel: message(Kind.END, channel, {**ENDED, **body})


@pytest.mark.parametrize(
    "answer",
    [
        lambda channel: Frame(Kind.DATA, channel, b"x"),
        lambda channel: Frame(Kind.EOF, channel),
        lambda channel: Frame(Kind.CANCEL, channel),
        lambda channel: message(Kind.OPEN, channel, {"op": "run"}),
        lambda channel: message(Kind.OPEN, channel + 1, {"op": "run"}),
        lambda channel: Frame(Kind.STDOUT, channel + 1, b"x"),
        lambda channel: Frame(Kind.STDOUT, 0, b"x"),
        lambda channel: message(Kind.HELLO, 0, HELLO),
        lambda channel: Frame(Kind.CREDIT, channel, b"\xff"),
        lambda channel: credit(channel, 2**32 - 1),
        lambda channel: Frame(Kind.RECORD, channel, b"{"),
        lambda channel: Frame(Kind.END, channel, b'"done"'),
        lambda channel: Frame(Kind.END, channel, b""),
        lambda channel: Frame(Kind.END, channel, json.dumps({**ENDED, "wall_ms": float("nan")}).encode()),
        record(path="", size=1, change="changed"),
        record(path=7, size=1, change="changed"),
        record(path="a\0b", size=1, change="changed"),
        record(path="a" * 5000, size=1, change="changed"),
        record(path="a", size=-1, change="changed"),
        record(path="a", size=True, change="changed"),
        record(path="a", size=1.5, change="changed"),
        record(path="a", size=2**60, change="changed"),
        record(path="a", size=1, change="renamed"),
        record(size=1, change="deleted"),
        end(outcome="success"),
        end(outcome=None),
        end(outcome=["exit"]),
        end(exit_code="0"),
        end(exit_code=True),
        end(exit_code=-1),
        end(signal=1000),
        end(wall_ms="1"),
        end(cpu_ms=-1),
        end(files_dropped=None),
    ],
)
async def test_what_the_protocol_does_not_allow_is_a_lost_sandbox(
    answer: Callable[[int], Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "REDIAL_SECONDS", 0.05)
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        peer.send(answer(channel))
        with pytest.raises(SandboxLost):
            await running


async def test_garbage_ends_every_request_with_the_same_cause() -> None:
    async with connected() as (connection, peer):
        asking = [asyncio.create_task(session(connection).missing([])) for _ in range(3)]
        for _ in asking:
            await peer.opened()
        peer.send_bytes(b"\xff" * 64)
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert len({str(outcome) for outcome in outcomes}) == 1
        assert all(isinstance(outcome, SandboxError) for outcome in outcomes)
        with pytest.raises(ConnectionLost, match="a frame of"):
            await connection.verify()
        assert peer.closed


async def test_a_request_that_is_never_ended_is_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "QUEUE_SECONDS", 0.02)
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(RunSpec("r", "py", "", timeout=0.01)))
        await peer.opened()
        with pytest.raises(SandboxError, match="did not end the run in time"):
            await running


async def test_requests_that_a_runner_never_ends_are_bounded() -> None:
    async with connected() as (connection, peer):
        for _ in range(MAX_CHANNELS):
            running = asyncio.create_task(session(connection).run(SPEC))
            await peer.opened()
            running.cancel()
        with pytest.raises(SandboxBusy):
            await session(connection).run(SPEC)


async def test_a_runner_that_asks_and_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_BACKLOG", 10_000)
    async with connected() as (connection, peer):
        peer.reads.clear()
        for _ in range(20):
            peer.send(*[Frame(Kind.PING)] * 100)
        await connection.closed()
        assert "does not read" in str(connection.lost)


# --- a cut during a run


async def cut_during(
    run: Callable[[Peer, int], None],
    answer: Callable[[Peer], Coroutine[Any, Any, None]],
    hello: dict[str, Any] = HELLO,
) -> RunResult:
    """Cut the first connection after `run`, and let `answer` play the second."""
    async with connected() as (first, peer), connected(hello) as (second, other):
        running = asyncio.create_task(session(first, second).run(SPEC))
        channel, _ = await peer.opened()
        run(peer, channel)
        peer.cut()
        answering = asyncio.create_task(answer(other))
        try:
            return await running
        finally:
            answering.cancel()


async def attached(peer: Peer) -> None:
    channel, opened = await peer.opened()
    assert opened == {"op": "attach", "run": "run-1"}
    peer.send(Frame(Kind.STDOUT, channel, b"one two"), message(Kind.END, channel, ENDED))


@pytest.mark.parametrize(
    "before",
    [
        lambda peer, channel: None,
        lambda peer, channel: peer.send(Frame(Kind.STDOUT, channel, b"one")),
        lambda peer, channel: peer.send_bytes(Frame(Kind.STDOUT, channel, b"one").encode()[:-1]),
        lambda peer, channel: peer.send(
            Frame(Kind.STDOUT, channel, b"one two"),
            message(Kind.RECORD, channel, {"path": "gone with the cut", "size": 1, "change": "changed"}),
        ),
        lambda peer, channel: peer.send_bytes(message(Kind.END, channel, ENDED).encode()[:-1]),
    ],
    ids=["before output", "after output", "within a frame", "after records", "within END"],
)
async def test_a_cut_run_is_taken_up_again_and_says_everything_once(
    before: Callable[[Peer, int], None],
) -> None:
    result = await cut_during(before, attached)
    assert result.stdout == b"one two"
    assert result.changed == []


async def test_an_end_that_arrived_before_the_cut_counts() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        peer.send(message(Kind.END, channel, ENDED))
        peer.cut()
        assert (await running).outcome is Outcome.EXIT


async def test_a_runner_that_was_restarted_has_lost_the_run() -> None:
    asked: list[Frame] = []

    async def restarted(peer: Peer) -> None:
        asked.append(await peer.receive())

    with pytest.raises(SandboxLost, match="restarted during the run"):
        await cut_during(lambda peer, channel: None, restarted, {**HELLO, "boot": "boot-2"})
    assert asked == []


async def test_a_run_that_the_runner_does_not_know_is_lost_and_not_run_again() -> None:
    async def forgetful(peer: Peer) -> None:
        channel, opened = await peer.opened()
        assert opened["op"] == "attach"
        peer.send(message(Kind.END, channel, {"error": {"code": "unknown_run", "message": "no such run"}}))

    with pytest.raises(SandboxLost, match="no such run"):
        await cut_during(lambda peer, channel: None, forgetful)


async def test_it_dials_until_it_gets_through() -> None:
    async with connected() as (first, peer), connected() as (second, other):
        busy = ConnectionLost("HTTP 503")
        running = asyncio.create_task(session(first, busy, busy, busy, second).run(SPEC))
        await peer.opened()
        peer.cut("the API server went away")
        await attached(other)
        assert (await running).stdout == b"one two"


async def test_what_never_comes_back_is_lost_with_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "REDIAL_SECONDS", 0.1)
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        await peer.opened()
        peer.cut("the relay ended: killed")
        with pytest.raises(SandboxLost, match="the relay ended: killed"):
            await running


async def test_a_sandbox_that_is_gone_is_not_dialled_again() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection, SandboxLost("the pod is gone")).run(SPEC))
        await peer.opened()
        peer.cut()
        with pytest.raises(SandboxLost, match="the pod is gone"):
            await running


# --- files


async def test_a_put_ends_as_soon_as_it_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * MAX_PAYLOAD

    async with connected() as (connection, peer):
        putting = asyncio.create_task(session(connection).put("a", endless(), tag="t"))
        channel, opened = await peer.opened()
        assert opened == {"op": "put", "path": "a", "tag": "t", "read_only": False}
        received = 0
        while received < WINDOW:  # and not a byte more: no credit was given
            received += len((await peer.receive()).payload)
        peer.send(message(Kind.END, channel, {"error": {"code": "too_large", "message": "too large"}}))
        with pytest.raises(SandboxFileTooLarge):
            await putting
        assert peer.quiet


@pytest.mark.parametrize("body", [{"size": 5}, {"size": "0"}, {}])
async def test_a_put_that_is_not_confirmed_fails(body: dict[str, Any]) -> None:
    async with connected() as (connection, peer):
        putting = asyncio.create_task(session(connection).put("a", nothing(), tag="t"))
        channel, _ = await peer.opened()
        peer.send(message(Kind.END, channel, body))
        with pytest.raises(SandboxError):
            await putting


async def test_a_put_whose_source_fails_is_cancelled() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("the store went away")

    async with connected() as (connection, peer):
        putting = asyncio.create_task(session(connection).put("a", broken(), tag="t"))
        await peer.opened()
        with pytest.raises(OSError, match="the store went away"):
            await putting
        kinds = [(await peer.receive()).kind for _ in range(2)]
        assert kinds == [Kind.DATA, Kind.CANCEL]


async def test_a_get_that_is_cut_raises_and_never_just_ends() -> None:
    async with connected() as (connection, peer):
        getting = asyncio.create_task(read_all(session(connection).get("a", tag="t")))
        channel, _ = await peer.opened()
        peer.send(Frame(Kind.DATA, channel, b"half"))
        peer.cut()
        with pytest.raises(SandboxError, match="cut while a file was read"):
            await getting


@pytest.mark.parametrize("size", [3, 5, -1, None, True])
async def test_a_get_of_another_size_than_told_fails(size: object) -> None:
    async with connected() as (connection, peer):
        getting = asyncio.create_task(read_all(session(connection).get("a", tag="t")))
        channel, _ = await peer.opened()
        peer.send(Frame(Kind.DATA, channel, b"four"), message(Kind.END, channel, {"size": size}))
        with pytest.raises(SandboxError):
            await getting


async def test_a_get_that_is_given_up_is_cancelled() -> None:
    async with connected() as (connection, peer):
        chunks = session(connection).get("a", tag="t")
        first = asyncio.ensure_future(anext(chunks))
        channel, _ = await peer.opened()
        peer.send(Frame(Kind.DATA, channel, b"x"))
        assert await first == b"x"
        await chunks.aclose()
        assert (await peer.receive()).kind is Kind.CANCEL


async def test_a_slow_reader_holds_up_no_other_request() -> None:
    async with connected() as (connection, peer):
        slow = session(connection).get("slow", tag="t")
        first = asyncio.ensure_future(anext(slow))
        slow_channel, _ = await peer.opened()
        peer.send(*[Frame(Kind.DATA, slow_channel, b"x" * MAX_PAYLOAD)] * (WINDOW // MAX_PAYLOAD))
        await first
        for _ in range(3):
            await other_request(connection, peer)
        await slow.aclose()


async def test_more_than_the_credit_is_refused() -> None:
    async with connected() as (connection, peer):
        getting = asyncio.create_task(read_all(session(connection).get("a", tag="t")))
        channel, _ = await peer.opened()
        peer.send(*[Frame(Kind.DATA, channel, b"x" * MAX_PAYLOAD)] * (WINDOW // MAX_PAYLOAD + 1))
        with pytest.raises(SandboxError, match="beyond the credit"):
            await getting


async def test_a_file_over_the_limit_is_not_read_to_its_end() -> None:
    limits = Limits(run_seconds=1, output_bytes=1, file_bytes=10, files=1)
    async with connected() as (connection, peer):
        getting = asyncio.create_task(
            read_all(Session("s" * 21, Lines(connection), limits).get("a", tag="t"))
        )
        channel, _ = await peer.opened()
        peer.send(Frame(Kind.DATA, channel, b"x" * 11))
        with pytest.raises(SandboxFileTooLarge):
            await getting


@pytest.mark.parametrize("path", ["b", "", None, ["a"]])
async def test_only_paths_that_were_asked_for_can_be_missing(path: object) -> None:
    async with connected() as (connection, peer):
        asking = asyncio.create_task(session(connection).missing([TaggedPath("a", "t")]))
        channel, _ = await peer.opened()
        peer.send(message(Kind.RECORD, channel, {"path": path}), message(Kind.END, channel, {}))
        with pytest.raises(SandboxError, match="was not asked for"):
            await asking


async def test_parameters_that_fit_no_frame_are_refused() -> None:
    async with connected() as (connection, _):
        with pytest.raises(SandboxBadRequest):
            await session(connection).run(RunSpec("r", "py", "", args=["x" * MAX_PAYLOAD]))
        assert connection.requests == 0
