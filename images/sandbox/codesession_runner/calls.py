"""The tool calls of one run: which it made, which it waits for, and who answered which round of them.

Calls are gathered until the program has nothing else to do (or, where that cannot be seen, makes no more for
a moment), and then told as one round. A round is answered once; the answer's id lets the same caller come
again when its connection was cut, and nobody else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codesession_runner.errors import OperationError

MAX_TOOLS = 100
MAX_CALLS = 200
MAX_NAME = 256
MAX_INPUT = 1024 * 1024
"""Bytes of one input, as JSON in ASCII."""
MAX_ROUND = 4 * 1024 * 1024
"""Bytes of the inputs of one round."""
MAX_RESULTS = 16 * 1024 * 1024
"""Bytes of the results of one round, as JSON."""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,159}")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call, as compact JSON; of one that failed, what the tool said."""

    text: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    input: Any
    size: int
    reply: Callable[[Result], None]

    def told(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "input": self.input}


@dataclass(frozen=True, slots=True)
class Pause:
    """A round that waits for its answer."""

    round: int
    calls: Sequence[Call]

    def encode(self) -> bytes:
        return json.dumps([call.told() for call in self.calls], separators=(",", ":")).encode("ascii")


@dataclass(slots=True, eq=False)
class Calls:
    """`tools` are the names by identifier. `on_pause` and then `on_news` are called when a round begins to
    wait, `on_resume` when it was answered."""

    tools: Mapping[str, str]
    on_news: Callable[[], None] = lambda: None
    on_pause: Callable[[], None] = lambda: None
    on_resume: Callable[[], None] = lambda: None
    pause: Pause | None = None
    _untold: list[Call] = field(default_factory=list)
    _answers: list[str] = field(default_factory=list)
    """Who answered each round."""
    _made: int = 0
    _closed: bool = False
    _timer: asyncio.TimerHandle | None = None

    def make(self, identifier: str, text: str, reply: Callable[[Result], None]) -> None:
        """Take in a call; `text` is its input as JSON. What is wrong with it is its result."""
        try:
            self._untold.append(self._call(identifier, text, reply))
        except OperationError as error:
            reply(Result(error.text, failed=True))

    def settle(self, seconds: float) -> None:
        """Tell what was called, unless there are more calls within that time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)

    def answer(self, number: int, by: str, results: Mapping[str, Result]) -> None:
        """Answer a round; a call without a result has failed. `conflict` when another did."""
        self.check(number, by)
        if 0 < number <= len(self._answers):
            return
        if self.pause is None or number != self.pause.round:
            raise OperationError("unknown_run", "the run does not wait for this")
        calls, self.pause = self.pause.calls, None
        self._answers.append(by)
        self.on_resume()
        for call in calls:
            call.reply(results.get(call.id) or Result("The call got no result.", failed=True))
        if self._untold:
            self.settle(0)

    def check(self, number: int, by: str) -> None:
        """`conflict` when another has answered a round."""
        if 0 < number <= len(self._answers) and self._answers[number - 1] != by:
            raise OperationError("conflict", "these calls were answered already")

    def close(self) -> None:
        """The run has ended or is being ended, and waits for nothing any more."""
        self._closed = True
        self.pause = None
        self._untold.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _call(self, identifier: str, text: str, reply: Callable[[Result], None]) -> Call:
        name = self.tools.get(identifier)
        if name is None:
            raise OperationError("bad_request", "there is no such tool")
        if self._made >= MAX_CALLS:
            raise OperationError("too_large", f"A program can call tools {MAX_CALLS} times.")
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise OperationError("bad_request", "The input is no JSON.") from None
        size = len(json.dumps(value))
        if size > MAX_INPUT or size + sum(call.size for call in self._untold) > MAX_ROUND:
            raise OperationError("too_large", f"The input is over the limit of {MAX_INPUT} bytes.")
        self._made += 1
        return Call(f"call_{self._made:03}", name, value, size, reply)

    def _tell(self) -> None:
        self._timer = None
        if self.pause is None and self._untold and not self._closed:
            calls, self._untold = self._untold, []
            self.pause = Pause(len(self._answers) + 1, calls)
            self.on_pause()
            self.on_news()


def tools_of(value: object) -> dict[str, str]:
    """The names by identifier of a request's `[{name, identifier}]`."""
    if not isinstance(value, list) or len(value) > MAX_TOOLS:
        raise OperationError("bad_request", f"tools must be a list of up to {MAX_TOOLS}")
    found: dict[str, str] = {}
    for entry in value:
        name, identifier = (
            (entry.get("name"), entry.get("identifier")) if isinstance(entry, dict) else (None, None)
        )
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise OperationError("bad_request", "a tool must have a name")
        if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier) or identifier in found:
            raise OperationError("bad_request", "a tool must have an identifier of its own")
        found[identifier] = name
    return found


def results_of(data: bytes) -> dict[str, Result]:
    """The results by call of `[{id, value} or {id, error}]`."""
    try:
        given = json.loads(data)
        return {entry["id"]: _result(entry) for entry in given}
    except (ValueError, RecursionError, TypeError, KeyError):
        raise OperationError("bad_request", "the results must be a list of objects with an id") from None


def _result(entry: Mapping[str, Any]) -> Result:
    if "error" in entry:
        return Result(str(entry["error"]), failed=True)
    return Result(json.dumps(entry.get("value"), separators=(",", ":"), ensure_ascii=False), failed=False)


def _refuse(constant: str) -> None:
    raise ValueError(constant)
