"""The runner's end of a program's tools: a socket for Python, a directory with a FIFO for bash."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from codesession_runner.calls import MAX_INPUT, Calls, Result

SETTLE_SECONDS = 0.05
"""Nobody can tell when all of a shell's processes wait; this is how far apart calls of one round may be."""
_MAX_LINE = 2 * MAX_INPUT + 1024
"""Of an input that is quoted in JSON once more."""
_FIFO_READ = 64 * 1024
_LINE = re.compile(rb"([A-Za-z0-9_]{1,160}) ([0-9]{1,20}\.[0-9]{1,20})")


class Gate(Protocol):
    """`descriptors` and `environment` are what the program is given."""

    descriptors: list[int]
    environment: Mapping[str, str]

    def started(self) -> None:
        """The program has what it is given."""
        ...

    def close(self) -> None: ...


def open_gate(calls: Calls, directory: Path, *, python: bool) -> Gate:
    """`directory` is the run's own; `python` is the one that is forked. OSError when there is no room."""
    return SocketGate(calls) if python else FifoGate(calls, directory)


class SocketGate:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.descriptors = [self._theirs.fileno()]
        self.environment: Mapping[str, str] = {}
        self._buffer = bytearray()
        self._outgoing = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours, self._read)

    def started(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._theirs.close()
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours)
            self._loop.remove_writer(self._ours)
            self._ours.close()

    def _read(self) -> None:
        try:
            data = self._ours.recv(_FIFO_READ)
            if not data:
                raise ConnectionError
            self._buffer += data
            while (end := self._buffer.find(b"\n")) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._hear(json.loads(line))
            if len(self._buffer) > _MAX_LINE:
                raise ConnectionError
        except BlockingIOError:
            return
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            self.close()  # the program's own bytes in its own socket: it has no more tools

    def _hear(self, message: dict[str, Any]) -> None:
        if not message:
            self._calls.settle(0)
            return
        number, tool, text = message["id"], message["tool"], message["input"]
        if type(number) is not int or not isinstance(tool, str) or not isinstance(text, str):
            raise TypeError
        self._calls.make(tool, text, lambda result: self._reply(number, result))

    def _reply(self, number: int, result: Result) -> None:
        if self._ours.fileno() < 0:
            return
        reply = {"id": number, "error" if result.failed else "value": result.text}
        if not self._outgoing:
            self._loop.add_writer(self._ours, self._write)
        self._outgoing += json.dumps(reply).encode() + b"\n"

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                sent = self._ours.send(self._outgoing[:_FIFO_READ])
            except ConnectionError:
                sent = len(self._outgoing)
            del self._outgoing[:sent]
        if not self._outgoing:
            self._loop.remove_writer(self._ours)


class FifoGate:
    """A call is a line `identifier token` in the FIFO, with its input in `<token>.in`; it waits for a line in
    `<token>.fifo`, `0` or `1`, and finds its result in `<token>.out`. All of it is made by the functions in
    `tools.sh`, which bash reads before its program."""

    def __init__(self, calls: Calls, directory: Path) -> None:
        self._calls = calls
        self._directory = directory
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        script = directory / "tools.sh"
        script.write_text(_script(directory, calls.tools))
        with contextlib.suppress(FileExistsError):  # of an attempt whose child was gone
            os.mkfifo(directory / "calls", 0o600)
        # Open for writing too, so that it never ends.
        self._fifo = os.open(directory / "calls", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._fifo, self._read)
        self.descriptors: list[int] = []
        self.environment: Mapping[str, str] = {"BASH_ENV": str(script)}

    def started(self) -> None:
        """It keeps nothing that is the program's alone."""

    def close(self) -> None:
        if self._fifo >= 0:
            self._loop.remove_reader(self._fifo)
            os.close(self._fifo)
            self._fifo = -1

    def _read(self) -> None:
        try:
            self._buffer += os.read(self._fifo, _FIFO_READ)
        except BlockingIOError:
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        self._buffer = self._buffer[-_FIFO_READ:]
        for line in lines:
            if match := _LINE.fullmatch(line):
                self._hear(match[1].decode(), match[2].decode())
        self._calls.settle(SETTLE_SECONDS)

    def _hear(self, identifier: str, token: str) -> None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = self._input(token)
            self._calls.make(identifier, text, lambda result: self._reply(token, result))

    def _input(self, token: str) -> str:
        with self._opened(f"{token}.in", os.O_RDONLY, stat.S_ISREG) as descriptor:
            data = b""
            while len(data) <= MAX_INPUT and (piece := os.read(descriptor, MAX_INPUT)):
                data += piece
        (self._directory / f"{token}.in").unlink()
        return data.decode()

    def _reply(self, token: str, result: Result) -> None:
        with contextlib.suppress(OSError):
            with contextlib.suppress(OSError):  # no room: the caller finds no result, and fails
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(self._directory / f"{token}.out", flags, 0o600), "wb") as file:
                    file.write(result.text.encode("utf-8", "replace"))
            with self._opened(f"{token}.fifo", os.O_WRONLY, stat.S_ISFIFO) as descriptor:
                (self._directory / f"{token}.fifo").unlink()
                os.write(descriptor, b"1\n" if result.failed else b"0\n")

    @contextlib.contextmanager
    def _opened(self, name: str, flags: int, is_right: Any) -> Any:
        """A file that is the program's: of the right type, and never waited for."""
        path = self._directory / name
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not is_right(os.fstat(descriptor).st_mode):
                raise OSError("not what it should be")
            yield descriptor
        finally:
            os.close(descriptor)


_FUNCTION = """\
__call_tool() {
  builtin local name="$1" input="${2-}" at="@/$BASHPID.$RANDOM" status=
  [[ -n $input ]] || input='{}'
  if [[ $# -gt 2 ]]; then builtin printf '%s: takes one JSON argument\\n' "$name" >&2; return 2; fi
  command mkfifo -- "$at.fifo" && builtin printf %s "$input" > "$at.in" || return 1
  { builtin printf '%s %s\\n' "$name" "${at##*/}" > @/calls && IFS= builtin read -r status; } <> "$at.fifo"
  if [[ $status == 0 ]]; then builtin printf '%s\\n' "$(<"$at.out")"; return 0; fi
  builtin printf '%s: %s\\n' "$name" "$(<"$at.out")" >&2
  return 1
}
"""


def _script(directory: Path, identifiers: Mapping[str, str]) -> str:
    """The directory's name is the runner's own and holds nothing that would need quotes."""
    functions = "".join(f'{name}() {{ __call_tool {name} "$@"; }}\n' for name in identifiers)
    return _FUNCTION.replace("@", str(directory)) + functions
