"""A forked child: waits for its one program, then becomes it; or stays, and runs one after another (`live`).

Nothing of the sandbox is left in it by then: every descriptor but the three of the program is closed, and one
socket that tells the runner few things: that the program began, that it ran out of memory, and, in a child
that stays, that it ended. The program may find that socket and lie; it can only mislabel its own end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from codesession_runner import figures, live
from codesession_runner.interpreter import execute, flush_on_sigterm, rehearse, run_file
from codesession_runner.processes import set_dumpable
from codesession_runner.program import BEGUN, MAX_REQUEST, OUT_OF_MEMORY, Program
from codesession_runner.streams import connect

_CANNOT_EXECUTE = 127


def main(runner: socket.socket) -> NoReturn:
    """The whole life of the process; it ends early when the runner closes its end of the socket."""
    try:
        _prepare(runner)
        request, descriptors, _, _ = socket.recv_fds(runner, MAX_REQUEST, 4)
        if request:
            _begin(Program.decode(request), descriptors, runner)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _prepare(runner: socket.socket) -> None:
    """All that can be done before the program is known, so that a run does not wait for it.

    Memory is shared with the fork server until it is touched, and under gVisor each first touch costs 40 us:
    so the way of a run is gone once with nothing to run.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.closerange(3, runner.fileno())
    os.closerange(runner.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    random = sys.modules.get("numpy.random")
    if random is not None:  # `random` of the standard library does so by itself
        random.seed()
    flush_on_sigterm()
    set_dumpable(False)
    Program.decode(Program(__file__, [], None, "/", []).encode())
    rehearse()


def _begin(program: Program, descriptors: list[int], runner: socket.socket) -> NoReturn:
    set_dumpable(True)
    for number, value in program.limits:
        _limit(number, value)
    with contextlib.suppress(OSError):
        os.chdir(program.directory)
    figures.belong_to(program.directory)
    if program.live:
        live.serve(program, descriptors, runner)
    _become(program, descriptors, runner)


def _become(program: Program, descriptors: list[int], runner: socket.socket) -> NoReturn:
    connect(descriptors[:3])
    runner.send(BEGUN)
    if program.interpreter is not None:
        os.environ.update(program.environment)
        _execute(program.interpreter, [program.path, *program.args])
    status = run_file(
        program.path,
        program.args,
        import_from=program.directory,
        on_memory_error=lambda: runner.send(OUT_OF_MEMORY),
        execute=execute if program.tools is None else _with_tools(program.tools, descriptors[3]),
    )
    os._exit(status)


def _with_tools(identifiers: list[str], descriptor: int) -> Callable[[bytes, ModuleType], None]:
    # Only here, since it imports asyncio, of which every other program has the cost too.
    from codesession_runner.toolbox import Toolbox

    return Toolbox(descriptor, identifiers).execute


def _limit(number: int, value: int) -> None:
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def _execute(interpreter: str, args: list[str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, and so by all that it executes
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(interpreter, [interpreter, *args])  # noqa: S606
    except OSError as error:
        os.write(2, f"{interpreter}: {error.strerror}\n".encode())
        os._exit(_CANNOT_EXECUTE)
