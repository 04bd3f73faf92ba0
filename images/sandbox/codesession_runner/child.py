"""A forked child: waits for its one program, then becomes it; or stays, and runs one after another (`live`).

Nothing of the sandbox is left in it by then: every descriptor but the three of the program is closed, and one
socket that tells the runner few things: that the program began, that it ran out of memory, and, in a child
that stays, that it ended. The program may find that socket and lie; it can only mislabel its own end.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from codesession_runner import figures, live
from codesession_runner.interpreter import execute, flush_on_sigterm, rehearse, run_file
from codesession_runner.processes import set_dumpable
from codesession_runner.program import BEGUN, MAX_REQUEST, OUT_OF_MEMORY, Program
from codesession_runner.streams import connect

_CANNOT_EXECUTE = 127
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""And so by all that it executes, unless they are restored."""

_LINKS = 1000


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
    Program.decode(Program(__file__, [], "/", []).encode())
    rehearse()


def _begin(program: Program, descriptors: list[int], runner: socket.socket) -> NoReturn:
    set_dumpable(True)
    for number, value in program.limits:
        _limit(number, value)
    if program.live:
        _enter(program.directory)
        live.serve(program, descriptors, runner)
    _become(program, descriptors, runner)


def _become(program: Program, descriptors: list[int], runner: socket.socket) -> NoReturn:
    connect(descriptors[:3])
    runner.send(BEGUN)
    if program.linked:
        _link(program.directory, Path(program.path).parent)
    if program.compile:
        _compile(program)
    _enter(program.directory)
    if program.command:
        _execute([*program.command, *program.args], program.variables())
    status = run_file(
        program.path,
        program.args,
        import_from=program.directory,
        on_memory_error=lambda: runner.send(OUT_OF_MEMORY),
        execute=execute if program.tools is None else _with_tools(program.tools, descriptors[3]),
    )
    os._exit(status)


def _enter(directory: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(directory)
    figures.belong_to(directory)


def _with_tools(identifiers: list[str], descriptor: int) -> Callable[[bytes, ModuleType], None]:
    # Only here, since it imports asyncio, of which every other program has the cost too.
    from codesession_runner.toolbox import Toolbox

    return Toolbox(descriptor, identifiers).execute


def _limit(number: int, value: int) -> None:
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def _compile(program: Program) -> None:
    """Return if that succeeds; else end as the compiler ended. All that it says goes to stderr."""
    os.chdir(Path(program.path).parent)
    try:
        pid = os.posix_spawnp(
            program.compile[0],
            program.compile,
            program.variables(),
            file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)],
            setsigdef=_IGNORED_BY_PYTHON,
        )
    except OSError as error:
        _cannot_execute(program.compile[0], error)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    if status:
        os._exit(status)


def _link(workspace: str, directory: Path) -> None:
    """Let code find the files of the workspace beside itself, but for what a compiler would write to."""
    with contextlib.suppress(OSError), os.scandir(workspace) as entries:
        for entry in itertools.islice(entries, _LINKS):
            if not entry.name.startswith("main."):
                (directory / entry.name).symlink_to(entry.path)


def _execute(words: list[str], environment: dict[str, str]) -> NoReturn:
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606
    except OSError as error:
        _cannot_execute(words[0], error)


def _cannot_execute(name: str, error: OSError) -> NoReturn:
    os.write(2, f"{name}: {error.strerror}\n".encode())
    os._exit(_CANNOT_EXECUTE)
