"""A live interpreter: one program after another in one namespace, in a child that stays.

Between two programs the runner stops the process, and kills what the last one has started: threads stand
still until the next, and nothing changes the workspace meanwhile. Whatever goes wrong here ends the process:
the next program gets another, and is told so.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import NoReturn

from codesession_runner import figures, interpreter
from codesession_runner.processes import die_with_parent
from codesession_runner.program import BEGUN, MAX_REQUEST, OUT_OF_MEMORY, Program, ended
from codesession_runner.streams import Nowhere, connect, renew


def serve(program: Program, descriptors: list[int], runner: socket.socket) -> NoReturn:
    """Run this program, and all that come after it, until the runner closes its end of the socket."""
    die_with_parent()
    main, nowhere = interpreter.new_main(), Nowhere()
    sys.path[0] = program.directory
    # The default one looks for source lines in files, and those of earlier programs are gone.
    sys.excepthook = sys.__excepthook__ = traceback.print_exception
    while True:
        connect(descriptors)
        renew()
        runner.send(BEGUN)
        before = _processor_time()
        status = _run(program, main, runner)
        nowhere.connect()
        runner.send(ended(status, _processor_time() - before))
        request, descriptors, _, _ = socket.recv_fds(runner, MAX_REQUEST, 3)
        if not request:
            os._exit(0)
        program = Program.decode(request)


def _run(program: Program, main: ModuleType, runner: socket.socket) -> int:
    """The exit status; what the program forked and let run on does not return from here."""
    process = os.getpid()
    _prepare(main)
    status = interpreter.run_in(
        main,
        program.path,
        program.args,
        on_memory_error=lambda: runner.send(OUT_OF_MEMORY),
        source=None if program.source is None else program.source.encode(),
    )
    if os.getpid() != process:
        interpreter.finalize(main)
        os._exit(status)
    _join_threads()
    figures.save_open()
    signal.setitimer(signal.ITIMER_REAL, 0)
    interpreter.flush()
    return status


def _prepare(main: ModuleType) -> None:
    """Where it matters, a program finds things as if it were the first."""
    main.__dict__.pop("__warningregistry__", None)  # by line numbers, of another program's lines
    importlib.invalidate_caches()
    _reap()


def _join_threads() -> None:
    """Wait for what a program waits for at its end; workers that wait for work would keep it for ever."""
    pool = sys.modules.get("concurrent.futures.thread")
    workers = pool._threads_queues if pool else {}

    def awaited() -> Iterator[threading.Thread]:
        for thread in threading.enumerate():
            if not (thread.daemon or thread in workers or thread is threading.current_thread()):
                yield thread

    while thread := next(awaited(), None):
        thread.join()


def _reap() -> None:
    """Take note of processes that ended with the run that left them; first by those who hold them."""
    with contextlib.suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        if multiprocessing := sys.modules.get("multiprocessing.process"):
            multiprocessing.active_children()
        for process in gc.get_objects():
            if issubclass(type(process), subprocess.Popen):
                process.poll()
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _processor_time() -> float:
    """Seconds of this process and of the children that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
