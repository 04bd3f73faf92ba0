"""The operations of the protocol, one function each: what OPEN asks for, and the payload of END that it gets.

Everything in a request is checked here before anything is done with it; errors are `OperationError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codesession_runner.calls import MAX_RESULTS, Calls, results_of, tools_of
from codesession_runner.channel import Channel
from codesession_runner.errors import OperationError
from codesession_runner.frames import Kind
from codesession_runner.languages import Language
from codesession_runner.run import Run
from codesession_runner.runs import Runs
from codesession_runner.workspace import Workspace

MAX_CODE = 16 * 1024 * 1024
MAX_ARGS = 256
MAX_ARGS_BYTES = 64 * 1024
MAX_TAG = 128
TOOL_LANGUAGES = ("py", "bash")
MAX_LIST = 4 * 1024 * 1024
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Request = Mapping[str, Any]
End = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """The parts of the runner that operations work on. Calling it serves one request."""

    runs: Runs
    workspace: Workspace
    languages: Mapping[str, Language]
    run_seconds: float

    async def __call__(self, request: dict[str, Any], channel: Channel) -> End:
        name = request.get("op")
        operation = _OPERATIONS.get(name) if isinstance(name, str) else None
        if operation is None:
            raise OperationError("bad_request", "unknown op")
        return await operation(self, request, channel)


async def run(self: Operations, request: Request, channel: Channel) -> End:
    """`{run, lang, args, timeout_ms, live, tools?, request?}` and the code as DATA: run it, or follow the run
    of this id."""
    run_id = _run_id(request)
    found = self.runs.find(run_id)
    if found is None:
        language, args, timeout = _language(self, request), _args(request), _timeout(self, request)
        live, calls = _live(request, language), _calls(request, language)
        name = _request(request)
        code = await channel.read(MAX_CODE)
        found = self.runs.find(run_id)  # another connection may have been quicker
        if found is None:
            found = Run(run_id, language, code, args, timeout, live, calls=calls, request=name)
            self.runs.submit(found)
    return await _follow(self, found, channel)


async def attach(self: Operations, request: Request, channel: Channel) -> End:
    """`{run}`: follow a run from its first byte."""
    return await _follow(self, _known_run(self, request), channel)


async def results(self: Operations, request: Request, channel: Channel) -> End:
    """`{run, round, answer, request?}` and a JSON list of `{id, value}` or `{id, error}` as DATA: go on with
    a run that waits, and follow it. The same `answer` may come again."""
    found, name = _known_run(self, request), _request(request)
    calls, number, by = _round(found, request)
    stop = channel.on_cancel

    def cancel() -> None:
        with contextlib.suppress(OperationError):  # somebody else's run goes on
            calls.check(number, by)
            self.runs.cancel(found)
        stop()

    channel.on_cancel = cancel
    given = results_of(await channel.read(MAX_RESULTS))
    with self.runs.following(found):
        calls.answer(number, by, given)
        found.request = name or found.request
        return await _follow(self, found, channel)


async def cancel(self: Operations, request: Request, channel: Channel) -> End:
    """`{run, round?, answer?}` or `{request}`: stop a run; whoever follows it sees it end. With `answer`, not
    if another has answered that round."""
    if "request" in request:
        found = self.runs.requested(_request(request) or "")
        if found is None:
            raise OperationError("unknown_run", "no run has such a step")
    else:
        found = _known_run(self, request)
        if "answer" in request:
            calls, number, by = _round(found, request)
            calls.check(number, by)
    self.runs.cancel(found)
    return {}


async def put(self: Operations, request: Request, channel: Channel) -> End:
    """`{path, size?, read_only, tag}` and the bytes as DATA: write a file, whole or not at all."""
    size, read_only = request.get("size"), request.get("read_only", False)
    if size is not None and (not isinstance(size, int) or size < 0):
        raise OperationError("bad_request", "size must be a number of bytes")
    if not isinstance(read_only, bool):
        raise OperationError("bad_request", "read_only must be true or false")
    async with contextlib.aclosing(channel.incoming()) as chunks:
        written = await self.workspace.put(
            request.get("path"), chunks, tag=_tag(request), size=size, read_only=read_only
        )
    return {"size": written}


async def get(self: Operations, request: Request, channel: Channel) -> End:
    """`{path, tag}`: the bytes of a file as DATA."""
    size = 0
    async with contextlib.aclosing(self.workspace.get(request.get("path"), tag=_tag(request))) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            await channel.write(Kind.DATA, chunk)
    return {"size": size}


async def missing(self: Operations, request: Request, channel: Channel) -> End:
    """A JSON list of `{path, tag}` as DATA: a RECORD of each path whose bytes are not those of its tag."""
    for entry in _entries(await channel.read(MAX_LIST)):
        await asyncio.sleep(0)  # the list may be long, and others are served too
        if not self.workspace.has(entry.get("path"), entry.get("tag")):
            await channel.record({"path": entry.get("path")})
    return {}


async def list_files(self: Operations, request: Request, channel: Channel) -> End:
    """A RECORD `{path, size, mtime}` of each file."""
    for entry in await self.workspace.entries():
        await channel.record(entry)
    return {}


_OPERATIONS: dict[str, Callable[[Operations, Request, Channel], Awaitable[End]]] = {
    "run": run,
    "attach": attach,
    "results": results,
    "cancel": cancel,
    "put": put,
    "get": get,
    "missing": missing,
    "list": list_files,
}


async def _follow(self: Operations, found: Run, channel: Channel) -> End:
    channel.discard()
    channel.on_cancel = lambda: self.runs.cancel(found)
    with self.runs.following(found):
        async with contextlib.aclosing(found.follow()) as output:
            async for kind, piece in output:
                await channel.write(kind, piece)
        if found.result is None:
            pause = found.pause
            assert pause is not None
            await channel.write(Kind.DATA, pause.encode())
            return {"outcome": "calls", "round": pause.round}
        for record in found.records:
            await channel.record(record)
        return found.result


def _run_id(request: Request) -> str:
    return _id(request, "run")


def _id(request: Request, member: str) -> str:
    value = request.get(member)
    if not isinstance(value, str) or not _RUN_ID.fullmatch(value):
        raise OperationError("bad_request", f"{member} must be an id of 1 to 64 letters, digits, '-' or '_'")
    return value


def _calls(request: Request, language: Language) -> Calls | None:
    if "tools" not in request:
        return None
    if language.name not in TOOL_LANGUAGES:
        raise OperationError("unsupported_language", f"tools are called in {', '.join(TOOL_LANGUAGES)}")
    if request.get("live"):
        raise OperationError("bad_request", "a live run calls no tools")
    return Calls(tools_of(request["tools"]))


def _request(request: Request) -> str | None:
    return None if request.get("request") is None else _id(request, "request")


def _round(found: Run, request: Request) -> tuple[Calls, int, str]:
    """What is answered, which round of it and by whom."""
    number, by = request.get("round"), _id(request, "answer")
    if found.calls is None or type(number) is not int:
        raise OperationError("bad_request", "the run calls no tools, or round is no number")
    return found.calls, number, by


def _known_run(self: Operations, request: Request) -> Run:
    found = self.runs.find(_run_id(request))
    if found is None:
        raise OperationError("unknown_run", "no such run, or it ended too long ago")
    return found


def _language(self: Operations, request: Request) -> Language:
    name = request.get("lang")
    if not isinstance(name, str) or name not in self.languages:
        raise OperationError("unsupported_language", f"languages are {', '.join(self.languages)}")
    return self.languages[name]


def _args(request: Request) -> list[str]:
    args = request.get("args", [])
    if not isinstance(args, list) or len(args) > MAX_ARGS:
        raise OperationError("bad_request", f"args must be a list of up to {MAX_ARGS} strings")
    if not all(isinstance(arg, str) and "\0" not in arg for arg in args):
        raise OperationError("bad_request", "args must be strings without NUL")
    if len(json.dumps(args)) > MAX_ARGS_BYTES:
        raise OperationError("bad_request", f"args must be within {MAX_ARGS_BYTES} bytes")
    return args


def _timeout(self: Operations, request: Request) -> float:
    value = request.get("timeout_ms")
    if value is None:
        return self.run_seconds
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise OperationError("bad_request", "timeout_ms must be a positive number")
    return min(value / 1000, self.run_seconds)


def _live(request: Request, language: Language) -> bool:
    live = request.get("live", False)
    if not isinstance(live, bool):
        raise OperationError("bad_request", "live must be true or false")
    return live and language.name == "py"


def _tag(request: Request) -> str:
    tag = request.get("tag", "")
    if not isinstance(tag, str) or len(tag) > MAX_TAG:
        raise OperationError("bad_request", f"tag must be a string of up to {MAX_TAG} characters")
    return tag


def _entries(data: bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OperationError("bad_request", "the list is no JSON") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise OperationError("bad_request", "the list must hold objects")
    return entries
