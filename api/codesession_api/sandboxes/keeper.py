"""Keeps streams open into the sandboxes that will be claimed next, and closes those that nobody uses."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Sequence

from codesession_api.errors import SandboxLost
from codesession_api.sandboxes.connection import ConnectionLost
from codesession_api.sandboxes.dialer import Dialer, PodRef
from codesession_api.sandboxes.sessions import SessionCache

AHEAD = 8
_SWEEP_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
_RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Keeper:
    """`work` must be running; `ahead` streams for each environment. A claim that finds one open saves the
    60 ms of an exec."""

    def __init__(
        self, sessions: SessionCache, dialer: Dialer, environments: Sequence[str], *, ahead: int = AHEAD
    ) -> None:
        self._sessions = sessions
        self._dialer = dialer
        self._environments = environments
        self._ahead = ahead
        self._kept: list[PodRef] = []
        self._dials: dict[PodRef, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()

    def near(self) -> list[str]:
        """The warm sessions that there is a stream to."""
        return [pod.name for pod in self._kept if self._dialer.holds(pod)]

    async def work(self) -> None:
        """For ever: on every change, and every few seconds without one."""
        while True:
            changed = asyncio.ensure_future(self._sessions.changed())
            ahead = self._kept = self._warm()
            for pod in ahead:
                if pod not in self._dials and not self._dialer.holds(pod):
                    self._dials[pod] = self._loop.create_task(self._dial(pod))
            await self._dialer.close_idle(keep=ahead)
            await asyncio.wait([changed], timeout=_SWEEP_SECONDS)
            changed.cancel()
            # A burst of changes is looked at once.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def aclose(self) -> None:
        dials = list(self._dials.values())
        for dial in dials:
            dial.cancel()
        if dials:
            await asyncio.wait(dials)

    def _warm(self) -> list[PodRef]:
        """The pods to hold streams to; the same ones from one time to the next."""
        pools = [self._sessions.warm(environment) for environment in self._environments]
        first = (warm[name] for warm in pools for name in heapq.nsmallest(self._ahead, warm))
        return [PodRef(view.pod, view.pod_uid) for view in first]

    async def _dial(self, pod: PodRef) -> None:
        try:
            await self._dialer.connect(pod)
        except (ConnectionLost, SandboxLost) as error:
            logger.info("no stream ahead of a claim: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            del self._dials[pod]
