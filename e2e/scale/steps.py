"""What is measured: sessions added up to each size, a while of nothing, and a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesession_crds.client import KubeClient
from e2e.cluster.instance import Instance
from e2e.cluster.progress import say
from e2e.scale import plane
from e2e.scale.load import Load, make_environment, make_volumes
from e2e.scale.process import Operator, busy_seconds, cpu_seconds, rss_mb
from e2e.scale.report import CLAIM, EMPTY_DIR, Step
from e2e.scale.writes import Writes

_SETTLE_SECONDS = 10.0
"""Longer than it takes to write an environment's counts."""


@dataclass(frozen=True)
class Plan:
    sizes: Sequence[int]
    volumes: int
    """Sessions with a volume each, besides."""
    idle: float
    """Seconds."""
    core: int
    """The operator's."""


async def measure(instance: Instance, plan: Plan, keep: Callable[[Sequence[Step]], None]) -> None:
    """`keep` is called after each step with all that were measured: the next may take long, or fail."""
    steps: list[Step] = []
    operator = Operator(plane.kubeconfig(instance, "operator"), plan.core)
    try:
        async with (
            _client(instance.cluster.kubeconfig) as admin,
            _client(plane.kubeconfig(instance, "api")) as client,
        ):
            await make_environment(admin, EMPTY_DIR.lower(), EMPTY_DIR)
            await operator.start()
            bench = _Bench(instance, operator, Load(client), plan.idle)
            watching = asyncio.create_task(bench.load.watch())
            for size in plan.sizes:
                steps.append(await bench.step(size, EMPTY_DIR))
                keep(steps)
            if plan.volumes:
                await make_volumes(admin, plan.volumes)
                await make_environment(admin, CLAIM.lower(), CLAIM)
                plane.bind_volumes(instance)
                steps.append(await bench.step(plan.sizes[-1] + plan.volumes, CLAIM))
                keep(steps)
            watching.cancel()
    finally:
        await operator.stop()


@contextlib.asynccontextmanager
async def _client(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    os.environ["KUBECONFIG"] = str(kubeconfig)
    async with await KubeClient.connect() as client:
        yield client


class _Bench:
    def __init__(self, instance: Instance, operator: Operator, load: Load, idle: float) -> None:
        self._instance = instance
        self._operator = operator
        self._idle = idle
        self._writes = Writes(plane.audit_log(instance))
        self.load = load

    async def step(self, sessions: int, workspace: str) -> Step:
        grown = await self._grow(sessions, workspace)
        idle = await self._idle_time()
        restart = await self._restart()
        return Step(sessions=sessions, workspace=workspace, **grown, **idle, **restart)

    async def _grow(self, sessions: int, workspace: str) -> dict[str, Any]:
        created = sessions - len(self.load.created)
        before, begun = self._cpu(), time.monotonic()
        names = await self.load.grow(workspace.lower(), created)
        seconds = time.monotonic() - begun
        cpu = {name: round(value - before.get(name, 0), 2) for name, value in self._cpu().items()}
        share = cpu["operator"] / seconds
        say(f"{sessions} sessions: {created / seconds:.0f}/s, the operator's core {share:.0%} busy")
        await asyncio.sleep(_SETTLE_SECONDS)
        latencies = [self.load.ready[name] - self.load.created[name] for name in names]
        writes = self._writes.since()
        return {"created": created, "seconds": seconds, "latencies": latencies, "cpu": cpu, "writes": writes}

    async def _idle_time(self) -> dict[str, Any]:
        before = cpu_seconds(self._operator.pid)
        await asyncio.sleep(self._idle)
        return {
            "idle_seconds": self._idle,
            "idle_writes": self._writes.since(),
            "idle_cpu": cpu_seconds(self._operator.pid) - before,
            "rss": rss_mb(self._operator.pid),
        }

    async def _restart(self) -> dict[str, Any]:
        await self._operator.stop()
        seconds = await self._operator.start()
        cpu, rss = cpu_seconds(self._operator.pid), rss_mb(self._operator.pid)
        say(f"settled {seconds:.1f} s after a restart, {rss['now']:.0f} MB")
        return {
            "restart_seconds": seconds,
            "restart_cpu": cpu,
            "restart_writes": self._writes.since(),
            "restart_rss": rss,
        }

    def _cpu(self) -> dict[str, float]:
        pids = {"operator": self._operator.pid, "bench": os.getpid(), **plane.pids(self._instance)}
        ours = {name: cpu_seconds(pid) for name, pid in pids.items()}
        return ours | {"elsewhere": busy_seconds() - sum(ours.values())}
