"""Runs a file of Python in this very process as if an interpreter had been started for it.

The process was forked from one with the big imports done, so starting and ending are acted out: `__main__`,
`sys.argv` and the import path before, threads, `atexit`, globals and buffers after. A real finalisation would
spend 50 ms and more on tearing down modules that nobody will miss.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import io
import linecache
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, ModuleType

from codesession_runner import figures

_INTERRUPTED = 130


Execute = Callable[[bytes, ModuleType], None]
"""Runs the source of a program in its namespace."""


def execute(source: bytes, main: ModuleType) -> None:
    """Run a program that is in no need of anything."""
    code: CodeType = compile(source, main.__dict__["__file__"], "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102


def run_file(
    path: str,
    args: list[str],
    *,
    import_from: str,
    on_memory_error: Callable[[], object],
    execute: Execute = execute,
) -> int:
    """Run to the end, the exit handlers included, and return the exit status."""
    main = new_main()
    sys.path[0] = import_from
    status = run_in(
        main,
        path,
        args,
        on_memory_error=on_memory_error,
        on_interrupt=_die_of_interrupt,
        execute=execute,
    )
    finalize(main)
    return status


def new_main() -> ModuleType:
    """The namespace of a program that begins."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    return main


def run_in(
    main: ModuleType,
    path: str,
    args: list[str],
    *,
    on_memory_error: Callable[[], object],
    on_interrupt: Callable[[], object] = lambda: None,
    execute: Execute = execute,
    source: bytes | None = None,
) -> int:
    """Run a file in a namespace, to the end of its last line, and return its exit status; or the `source`
    that would be in it."""
    if source is None:
        source = Path(path).read_bytes()
    _load(main, path, source)
    sys.argv = [path, *args]
    try:
        return _run(source, main, on_memory_error, on_interrupt, execute)
    except SystemExit as error:  # from the user's own sys.excepthook
        return _exit_status(error)


def rehearse() -> None:
    """Do what `run_file` does, as far as it leaves no trace."""
    main = new_main()
    _load(main, __file__, Path(__file__).read_bytes())
    _run(b"print(end='')", main, lambda: None, lambda: None, execute)
    flush()
    gc.collect()
    del linecache.cache[__file__], sys.modules["__main__"]


def _load(main: ModuleType, path: str, source: bytes) -> None:
    main.__dict__["__file__"] = path
    sys.modules["__main__"] = main
    lines = source.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[path] = (len(source), None, lines, path)


def _run(
    source: bytes,
    main: ModuleType,
    on_memory_error: Callable[[], object],
    on_interrupt: Callable[[], object],
    execute: Execute,
) -> int:
    path = main.__dict__["__file__"]
    try:
        execute(source, main)
    except SystemExit as error:
        return _exit_status(error)
    except KeyboardInterrupt as error:
        _print_exception(error, path)
        on_interrupt()
        return _INTERRUPTED
    except BaseException as error:
        if isinstance(error, MemoryError):
            on_memory_error()
        _print_exception(error, path)
        return 1
    return 0


def _print_exception(error: BaseException, path: str) -> None:
    """Report as the interpreter does, without the frames at the top that are not the program's."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename != path:
        traceback = traceback.tb_next
    report = type(error), error.with_traceback(traceback), traceback
    try:
        sys.excepthook(*report)
    except Exception:  # a hook of the user's own
        sys.__excepthook__(*report)


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    with contextlib.suppress(Exception):
        print(error.code, file=sys.stderr)  # noqa: T201
    return 1


def finalize(main: ModuleType) -> None:
    """What an interpreter does when its program has ended, as far as anyone could notice."""
    steps: list[Callable[[], object]] = [
        threading._shutdown,  # type: ignore[attr-defined]
        figures.save_open,
        atexit._run_exitfuncs,
        flush,  # first, since files in a cycle are finalised from their descriptors up
        main.__dict__.clear,
        gc.collect,
        flush,
    ]
    for step in steps:
        try:
            step()
        except BaseException as error:
            with contextlib.suppress(BaseException):
                sys.excepthook(type(error), error, error.__traceback__)


def flush() -> None:
    """Write out what the program left in buffers: the standard streams, and files that it never closed."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()  # type: ignore[union-attr]
    for writer in gc.get_objects():  # without those of before the fork, which are frozen
        if issubclass(type(writer), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            with contextlib.suppress(Exception):
                writer.flush()


def flush_on_sigterm() -> None:
    """A run that is cut off still shows what it printed, unless the program has SIGTERM for itself.

    Processes that it forks have the default: with a handler, Python forgets a signal that comes right after
    the fork, and `Process.terminate` would be lost.
    """

    def flush_and_die(number: int, frame: FrameType | None) -> None:
        flush()
        _die_of(signal.SIGTERM)

    def replace(old: object, new: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
        with contextlib.suppress(ValueError):  # a thread forks
            if signal.getsignal(signal.SIGTERM) is old:
                signal.signal(signal.SIGTERM, new)

    replace(signal.SIG_DFL, flush_and_die)
    os.register_at_fork(
        before=lambda: replace(flush_and_die, signal.SIG_DFL),
        after_in_parent=lambda: replace(signal.SIG_DFL, flush_and_die),
    )


def _die_of_interrupt() -> None:
    flush()
    _die_of(signal.SIGINT)


def _die_of(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
