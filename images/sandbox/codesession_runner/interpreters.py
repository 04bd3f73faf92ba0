"""The interpreters kept ready, in two pools, and the order kept among all processes of the sandbox.

Forking and ending a process that has pandas in it takes some ten milliseconds, more under gVisor, because of
its size. So there is a second fork server without the big imports, for programs that do not ask for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping

from codesession_runner.live_child import LiveChild
from codesession_runner.pool import Child, ChildPool, Exit
from codesession_runner.processes import is_zombie, run_processes, send_signal
from codesession_runner.run import Run
from codesession_runner.settings import Settings

_SWEEP_SECONDS = 3.0
_IMPORT = re.compile(rb"\b(?:import|from)\s+([^\n;#()]+)")
_LOOK_AT = 64 * 1024
LOST = b"The variables of this session are lost, for its Python has ended. Its files are kept."
"""Said by the run that ends a live interpreter and, since nobody may have heard that one, by the next."""

logger = logging.getLogger(__name__)


class Interpreters:
    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._plain = self._loaded = ChildPool(settings.ready_children, (), environment)
        if settings.preload:
            self._loaded = ChildPool(settings.ready_children, settings.preload, environment)
        self._pools = {self._plain, self._loaded}
        self._live: LiveChild | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Return when every pool is full."""
        await asyncio.gather(*(pool.start() for pool in self._pools))

    async def take(self, run: Run) -> Child:
        """A child for a run; waits for one if need be."""
        if run.live:
            return await self._take_live(run)
        loaded = run.language.forked_ahead and imports_packages(run.code)
        return await (self._loaded if loaded else self._plain).take()

    async def _take_live(self, run: Run) -> LiveChild:
        """The one that live runs share, or a new one when it is gone, which the run is told."""
        if self._live is not None and self._live.gone:
            if self._live.used:
                run.note(LOST)
            self._live.close()
            self._live = None
        if self._live is None:
            self._live = LiveChild(await self._loaded.take())
        return self._live

    def replenish(self) -> None:
        """Make up for what was taken or killed."""
        for pool in self._pools:
            pool.replenish()

    def resume(self) -> None:
        """Undo a SIGSTOP of the fork servers."""
        for pool in self._pools:
            pool.resume()

    def kill_servers(self) -> None:
        """Kill fork servers that do not answer; their children become the runner's own."""
        for pool in self._pools:
            pool.kill_server()

    def reap(self) -> None:
        """Wait for all that has ended below this process: fork servers, children of lost ones, orphans."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return
                for pool in self._pools:
                    pool.reaped(pid, Exit(status, usage.ru_utime + usage.ru_stime))

    def processes(self, child: Child | None = None) -> set[int]:
        """The processes of a run: all below this one without the pools' own, of which only `child` counts."""
        return run_processes({pool.server for pool in self._pools}, child.pid if child else 0)

    def kill(self, child: Child) -> None:
        """Kill the processes of a run. Where the runner is init they stand still first, by one call: while
        they are looked for they could take more memory, or fork."""
        init = os.getpid() == 1
        if init:
            send_signal(-1, signal.SIGSTOP)
        child.signal(signal.SIGKILL)
        for pid in self.processes(child):
            send_signal(pid, signal.SIGKILL)
        if init:
            send_signal(-1, signal.SIGCONT)
            if self._live not in (None, child) and not self._live.gone:
                self._live.rest()

    async def sweep(self, live: Child | None = None) -> None:
        """Kill all that a run has left behind, when its child has ended, or is one that stays."""
        started = self._loop.time()
        pause = 0.001
        killed: set[int] = set()
        while True:
            self.reap()
            left = self.processes(live)
            if live is not None:  # it waits for its own only when it goes on
                left = {pid for pid in left - {live.pid} if pid not in killed or not is_zombie(pid)}
            if not left:
                return
            for pid in left:
                send_signal(pid, signal.SIGKILL)
            killed |= left
            if self._loop.time() - started > _SWEEP_SECONDS:
                if os.getpid() != 1:
                    logger.error("processes of a run fork faster than they can be killed")
                    return
                # Nothing outruns this; the pools go with it and are made anew, relays are dialled again.
                send_signal(-1, signal.SIGKILL)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def close(self) -> None:
        for pool in self._pools:
            pool.close()


def imports_packages(code: bytes) -> bool:
    """Whether code seems to import what is not in the standard library; a wrong guess costs time alone."""
    names = (name for found in _IMPORT.findall(code[:_LOOK_AT]) for name in found.split(b","))
    roots = {re.split(rb"[.\s]", name.strip())[0].decode(errors="replace") for name in names}
    return not roots <= sys.stdlib_module_names
