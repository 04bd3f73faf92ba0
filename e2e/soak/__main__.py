"""The command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from pathlib import Path

import httpx

from e2e.soak import gauges, leaks
from e2e.soak.kills import Killer
from e2e.soak.place import RELEASE, oldest
from e2e.soak.report import Record
from e2e.soak.users import User
from e2e.targets import Target, TargetError, release
from e2e.targets.waiting import eventually

_SAMPLE_SECONDS = 30.0
_PAUSE_SECONDS = (3.0, 8.0, 25.0)
"""Between kills: at least, in the mean, at most."""
_SILENCE_SECONDS = 60.0
"""Between two bytes of an answer. A run sends white space every few seconds, and a transfer waits for the
store while that starts again."""
_LAST_SECONDS = 150.0
"""What is under way when the time is over may take: a run, a claim and more, on a busy machine."""


def main() -> int:
    """1 when it could not be done, 2 when something was wrong or is left."""
    options = _options()
    record = Record(options.seed, options.minutes)
    try:
        with release.installed(RELEASE) as target:
            asyncio.run(_soak(target, record, options.users))
    except (TargetError, AssertionError) as error:
        print(f"e2e.soak: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(record.as_json(), indent=1) + "\n")
    print(f"right: {dict(record.right)}\ntold: {dict(record.told)}\nkilled: {dict(record.kills)}")
    faults = record.faults()
    for line in faults:
        print(f"e2e.soak: {line}", file=sys.stderr)
    return 2 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.soak")
    parser.add_argument("--minutes", type=float, default=30, help="of use; the end takes up to five more")
    parser.add_argument("--users", type=int, default=4, help="at one time")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of all chances"
    )
    parser.add_argument("--output", type=Path, default=Path("build/soak.json"))
    return parser.parse_args()


async def _soak(target: Target, record: Record, users: int) -> None:
    print(f"seed {record.seed}", flush=True)
    elder = await asyncio.to_thread(oldest, "api")
    before = await asyncio.to_thread(gauges.sample, "api", elder, 0)
    killer = Killer(random.Random(f"{record.seed} kills"), elder["metadata"]["name"])
    over, begun = asyncio.Event(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        all_users = [await _user(target, number, record) for number in range(users)]
        work = [tasks.create_task(user.work(over)) for user in all_users]
        others = [
            tasks.create_task(_kill(killer, record, over)),
            tasks.create_task(_watch(record, begun, over)),
        ]
        await asyncio.sleep(record.minutes * 30)
        killer.operator_is_spared = True
        await asyncio.sleep(record.minutes * 30)
        over.set()
        await asyncio.wait([*work, *others], timeout=_LAST_SECONDS)
    settling = time.monotonic()
    ended = await _leave(target, all_users)
    record.leaks = await asyncio.to_thread(leaks.found, ended, before)
    record.settled_seconds = round(time.monotonic() - settling, 1)


async def _user(target: Target, number: int, record: Record) -> User:
    """Of one of the tenants."""
    key = target.keys[number % len(target.keys)]
    http = httpx.AsyncClient(
        base_url=f"{target.url}/v1",
        # A kept connection may lead to a replica that was killed since.
        headers={"X-API-Key": key, "Connection": "close"},
        timeout=httpx.Timeout(_SILENCE_SECONDS, connect=10),
        trust_env=False,
    )
    return User(http, random.Random(f"{record.seed} user {number}"), record)


async def _kill(killer: Killer, record: Record, over: asyncio.Event) -> None:
    dice = random.Random(f"{record.seed} pauses")
    least, mean, most = _PAUSE_SECONDS
    while not await _passed(over, min(most, least + dice.expovariate(1 / (mean - least)))):
        if kind := await asyncio.to_thread(killer.kill):
            record.kills[kind] += 1
            if kind == "replica":
                record.replicas_killed.append(time.monotonic())


async def _watch(record: Record, begun: float, over: asyncio.Event) -> None:
    while not await _passed(over, _SAMPLE_SECONDS):
        seconds = time.monotonic() - begun
        record.samples += await asyncio.to_thread(gauges.all_samples, seconds)
        print(record.line(seconds), flush=True)


async def _passed(over: asyncio.Event, seconds: float) -> bool:
    """Whether it was over before so many seconds had passed."""
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return False
    return True


async def _leave(target: Target, users: list[User]) -> set[str]:
    """Everybody ends what they know of; all sessions that were ended by anybody, now and before."""
    await asyncio.to_thread(eventually, lambda: release.answers(f"{target.url}/readyz"), "an API", 120)
    async with asyncio.timeout(_LAST_SECONDS):
        await asyncio.gather(*(user.leave() for user in users))
    for user in users:
        await user.aclose()
    return {session for user in users for session in user.ended}


if __name__ == "__main__":
    raise SystemExit(main())
