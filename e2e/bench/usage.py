"""What a session costs its node, by the kubelet's own account of the pod: processor seconds and memory."""

from __future__ import annotations

import asyncio
import statistics
from datetime import datetime
from typing import Any

from codesession_crds.client import KubeClient
from e2e.bench.cases import PRINT, Bench
from e2e.targets import kubectl, release
from e2e.targets.waiting import eventually

IDLE_SECONDS = 30.0
RUNS = 50


async def measure(bench: Bench, client: KubeClient, sessions: int = 2) -> dict[str, float]:
    """Medians over some sessions: processor seconds to Ready, of a minute idle and of a run; MiB, idle."""
    measured = [await _of_one(bench, client) for _ in range(sessions)]
    return {name: round(statistics.median(one[name] for one in measured), 4) for name in measured[0]}


async def _of_one(bench: Bench, client: KubeClient) -> dict[str, float]:
    eventually(release.warm_sessions, "a full pool", seconds=120)
    session = await bench.open()
    started = await _settled(client, session)
    await asyncio.sleep(IDLE_SECONDS)
    idle = await _settled(client, session)
    for _ in range(RUNS):
        await bench.run("py", PRINT, session)
    ran = await _settled(client, session)
    await bench.end(session)
    return {
        "cpu_seconds_to_ready": _processor_seconds(started),
        "cpu_seconds_idle_minute": _rate(started, idle) * 60,
        "cpu_seconds_run": (_processor_seconds(ran) - _processor_seconds(idle)) / RUNS,
        "memory_mib": idle["memory"]["workingSetBytes"] / 2**20,
    }


async def _settled(client: KubeClient, session: str) -> dict[str, Any]:
    """The pod's account, taken after this call began: the kubelet looks every half minute."""
    before = await _account(client, session)
    while True:
        now = await _account(client, session)
        if now["cpu"]["time"] != before["cpu"]["time"]:
            return now
        await asyncio.sleep(0.5)


async def _account(client: KubeClient, session: str) -> dict[str, Any]:
    node = (kubectl.get("pods", session, release.SANDBOXES) or {})["spec"]["nodeName"]
    while True:
        summary = await client.get(f"/api/v1/nodes/{node}/proxy/stats/summary")
        for pod in summary["pods"]:
            if pod["podRef"]["name"] == session and "usageCoreNanoSeconds" in pod.get("cpu", {}):
                found: dict[str, Any] = pod
                return found
        await asyncio.sleep(0.5)


def _processor_seconds(account: dict[str, Any]) -> float:
    return float(account["cpu"]["usageCoreNanoSeconds"]) / 1e9


def _rate(before: dict[str, Any], after: dict[str, Any]) -> float:
    times = [datetime.fromisoformat(one["cpu"]["time"]) for one in (before, after)]
    return (_processor_seconds(after) - _processor_seconds(before)) / (times[1] - times[0]).total_seconds()
