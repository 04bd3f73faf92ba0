"""Many API replicas claim from one pool: `python -m e2e.bench.claim_race` on the cluster of KUBECONFIG.

Each claimer is a process with the API's own code, which claims until nothing is left. There is no operator,
and no pod: the sessions are written as Ready, so that all that is measured is claims.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from codesession_api.errors import SandboxesBusy
from codesession_api.ports import Principal
from codesession_api.sandboxes.kubernetes import KubernetesSandboxes, open_kubernetes
from codesession_api.settings import load
from codesession_crds.client import KubeClient
from codesession_crds.model import API_VERSION
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS, RESOURCE_QUOTAS
from e2e.targets import definitions

MANAGER = "codesession-tests"
ENVIRONMENT = "default"
_AT_ONCE = 32
_SYNC_SECONDS = 300.0
_TASKS = 4
"""Claims that one claimer has under way."""


@dataclass(frozen=True)
class Result:
    sessions: int
    claimers: int
    claimed: int
    """Claims that were answered with a session."""
    doubled: int
    """Sessions that more than one claim was answered with."""
    unclaimed: int
    """Sessions that are nobody's at the end."""
    strangers: int
    """Sessions whose owner is another than the claimer was told."""
    lost_races: int
    """Patches that were refused, since another was first."""
    seconds: float
    """From the first claim to the last."""


async def race(sessions: int, claimers: int) -> Result:
    definitions.install()
    async with await KubeClient.connect() as client, _namespace(client) as namespace:
        await _fill(client, namespace, sessions)
        processes = [await _start(namespace, number) for number in range(claimers)]
        for process in processes:
            await _line(process)
        begun = time.monotonic()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        reports: list[dict[str, Any]] = [json.loads(await _line(process)) for process in processes]
        seconds = time.monotonic() - begun
        for process in processes:
            await process.wait()
        listed, _ = await client.list(CODE_SESSIONS.path(namespace))
    return _judged(listed, reports, seconds)


def _judged(listed: list[dict[str, Any]], reports: list[dict[str, Any]], seconds: float) -> Result:
    answers = [(name, owner) for report in reports for name, owner in report["claimed"]]
    owners = {one["metadata"]["name"]: one["spec"].get("claim", {}).get("principal") for one in listed}
    return Result(
        sessions=len(listed),
        claimers=len(reports),
        claimed=len(answers),
        doubled=sum(count > 1 for count in Counter(name for name, _ in answers).values()),
        unclaimed=sum(owner is None for owner in owners.values()),
        strangers=sum(owners.get(name) != owner for name, owner in answers),
        lost_races=sum(report["patches"] for report in reports) - len(answers),
        seconds=round(seconds, 1),
    )


@asynccontextmanager
async def _namespace(client: KubeClient) -> AsyncIterator[str]:
    name = f"claim-race-{new_id()[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.create("/api/v1/namespaces", body, field_manager=MANAGER)
    try:
        yield name
    finally:
        await client.delete(f"/api/v1/namespaces/{name}")


async def _fill(client: KubeClient, namespace: str, count: int) -> None:
    """Ready sessions, and a quota that allows no other: a claimer that finds none warm is told so at once."""
    await client.create(
        CODE_ENVIRONMENTS.path(namespace),
        _object("CodeEnvironment", ENVIRONMENT, image="unused"),
        field_manager=MANAGER,
    )

    async def make() -> None:
        name = new_id()
        session = _object("CodeSession", name, environmentRef={"name": ENVIRONMENT})
        await client.create(CODE_SESSIONS.path(namespace), session, field_manager=MANAGER)
        ready = {"phase": "Ready", "podName": name, "podUID": name}
        await client.merge_patch(CODE_SESSIONS.path(namespace, name, "status"), {"status": ready})

    await _each(count, make)
    hard = {"count/codesessions.codesession.dev": str(count)}
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full"},
        "spec": {"hard": hard},
    }
    await client.create(RESOURCE_QUOTAS.path(namespace), quota, field_manager=MANAGER)


def _object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


async def _each(count: int, call: Callable[[], Awaitable[None]]) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await call()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())


async def _start(namespace: str, number: int) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "e2e.bench.claim_race", "--claimer", str(number), namespace)
    return await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
    )


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a claimer ended before its time")
    return line


async def _claimer(number: int, namespace: str) -> None:
    """Says "ready", waits for a word, and says what it claimed."""
    unused = {"s3_endpoint": "unused", "s3_access_key": "unused", "s3_secret_key": "unused"}
    sandboxes = await open_kubernetes(load(namespace=namespace, environment=ENVIRONMENT, **unused))
    assert isinstance(sandboxes, KubernetesSandboxes)
    await sandboxes.synced(_SYNC_SECONDS)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    before = sandboxes._client.attempts["PATCH", "codesessions"]
    claimed: list[tuple[str, str]] = []

    async def claim(task: int) -> None:
        while True:
            # Every claim has an owner of its own, so that no other's can be taken for it.
            owner = f"{number:08x}{task:08x}{len(claimed):016x}"
            try:
                sandbox = await sandboxes.claim(Principal("a" * 32, owner))
            except SandboxesBusy:
                return
            claimed.append((sandbox.session_id, owner))

    await asyncio.gather(*(claim(task) for task in range(_TASKS)))
    patches = sandboxes._client.attempts["PATCH", "codesessions"] - before
    print(json.dumps({"claimed": claimed, "patches": patches}), flush=True)
    await sandboxes.aclose()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.claim_race", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--claimers", type=int, default=8)
    parser.add_argument("--claimer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.claimer:
        asyncio.run(_claimer(int(options.claimer[0]), options.claimer[1]))
        return 0
    result = asyncio.run(race(options.sessions, options.claimers))
    print(json.dumps(asdict(result), indent=1))
    return int(bool(result.doubled or result.unclaimed or result.strangers))


if __name__ == "__main__":
    sys.exit(main())
