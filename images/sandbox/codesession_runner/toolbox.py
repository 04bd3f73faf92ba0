"""Tools inside of a Python program: async functions, whose calls go to the runner over a socket.

A line of JSON is a call, `{id, tool, input}`, or `{}` once no task of the program can go on without a result;
the runner answers `{id, value}` or `{id, error}`. A thread reads the answers, for the program may run several
event loops, one after the other or side by side.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

_COROUTINE = 0x80
"""inspect.CO_COROUTINE"""
_PATIENCE = 0.02
"""Seconds after which calls are told although some task is always busy."""


class ToolError(Exception):
    """What a tool said of its failure."""


class Toolbox:
    """`descriptor` is that of the socket."""

    def __init__(self, descriptor: int, identifiers: Iterable[str]) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._identifiers = list(identifiers)
        self._process = os.getpid()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]] = {}
        self._settling: set[asyncio.AbstractEventLoop] = set()
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def execute(self, source: bytes, main: ModuleType) -> None:
        """Run the program; it may await at its top level, and return there, too."""
        main.__dict__.update(asyncio=asyncio, json=json, ToolError=ToolError)
        main.__dict__.update({name: self._function(name) for name in self._identifiers})
        code = _compiled(source, main.__dict__["__file__"])
        outcome = FunctionType(code, main.__dict__)()
        if code.co_flags & _COROUTINE:
            asyncio.run(outcome)

    def _function(self, identifier: str) -> Callable[..., Awaitable[Any]]:
        async def tool(**arguments: Any) -> Any:
            return await self._call(identifier, arguments)

        tool.__name__ = tool.__qualname__ = identifier
        return tool

    async def _call(self, identifier: str, arguments: dict[str, Any]) -> Any:
        if os.getpid() != self._process:
            raise ToolError("Tools can only be called in the process that the program began in.")
        text = json.dumps(arguments, allow_nan=False)
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[number] = loop, future
        self._send({"id": number, "tool": identifier, "input": text})
        if loop not in self._settling:
            self._settling.add(loop)
            loop.call_soon(self._settle, loop, loop.time() + _PATIENCE)
        reply = await future
        if "error" in reply:
            raise ToolError(reply["error"])
        return json.loads(reply["value"])

    def _settle(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Say that the program waits, once its loop has nothing left that could go on."""
        if getattr(loop, "_ready", ()) and loop.time() < until:
            loop.call_soon(self._settle, loop, until)
            return
        self._settling.discard(loop)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        self._send({})

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="tool-results", daemon=True)
                self._reader.start()
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                reply = json.loads(line)
                loop, future = self._waiting.pop(reply["id"])
                with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile
                    loop.call_soon_threadsafe(_resolve, future, reply)


def _resolve(future: asyncio.Future[Any], reply: dict[str, Any]) -> None:
    if not future.done():
        future.set_result(reply)


def _compiled(source: bytes, path: str) -> CodeType:
    """As a module, whose names are global; as the body of a function where it returns at its top level."""
    options = {"flags": ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, "dont_inherit": True}
    try:
        code: CodeType = compile(source, path, "exec", **options)  # type: ignore[call-overload]
    except SyntaxError as error:
        if error.msg != "'return' outside function":
            raise
        code = _body(ast.parse(source, path), path)
    return code


def _body(tree: ast.Module, path: str) -> CodeType:
    program = ast.parse("async def program(): pass")
    function = program.body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    function.body = tree.body
    module = compile(program, path, "exec", dont_inherit=True)
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))
