"""The fork server: a process of its own, single-threaded, that has the big imports done and forks on demand.

It speaks with the runner over one SOCK_SEQPACKET socket, a JSON object per message. The runner asks for a
child (`{}`); the server answers `{"ready": pid}` with the child's own socket attached or `{"failed": errno}`,
and tells how each child ended: `{"exit": pid, "status": wait status, "cpu": seconds}`. What a child does is
in `child`; the server takes no part in a run, so that none of its own work is in the way of one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterable
from typing import Any

from codesession_runner import child, figures
from codesession_runner.processes import set_dumpable

MAX_MESSAGE = 4096


def main(control: socket.socket, preload: Iterable[str]) -> None:
    """Serve until the runner closes its end."""
    set_dumpable(False)
    for module in preload:
        # An image without the module is a smaller image; one that breaks is no reason to have no Python.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    figures.watch()
    gc.collect()
    gc.freeze()
    _Server(control).serve()


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wakeup, self._signalled = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._signalled, False)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._wakeup:
                    os.read(self._wakeup, 512)
                    self._report_exits()
                elif self._control.recv(MAX_MESSAGE):
                    self._fork()
                else:
                    return

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            try:
                pid = os.fork()
            except OSError as error:
                self._tell({"failed": error.errno})
                return
            if pid == 0:
                signal.set_wakeup_fd(-1)
                child.main(theirs)
            self._tell({"ready": pid}, [ours.fileno()])

    def _report_exits(self) -> None:
        """Reap, but kill a child's process group first: only until then is its number safe from reuse."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(ended.si_pid, signal.SIGKILL)
                pid, status, usage = os.wait4(ended.si_pid, 0)
                self._tell({"exit": pid, "status": status, "cpu": usage.ru_utime + usage.ru_stime})

    def _tell(self, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
        socket.send_fds(self._control, [json.dumps(message).encode()], list(descriptors))
