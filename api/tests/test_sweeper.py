"""Retention, with a clock that is ahead: against a directory and against MinIO."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from codesession_api import keys
from codesession_api.errors import ObjectsUnavailable
from codesession_api.files import nothing
from codesession_api.keys import FileKey
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import ObjectInfo, Objects, Principal
from codesession_api.settings import SettingsError, load
from codesession_api.sweeper import Sweeper

ALICE = Principal("t", "a" * 32)
UPLOADS, SESSION, OTHER = "U" * 21, "s" * 21, "o" * 21
DAY = timedelta(days=1)


class Clock:
    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def sweeper(objects: Objects, clock: Clock, **settings: Any) -> Sweeper:
    return Sweeper(load(backend="local", auth="none", **settings), objects, clock)


async def stored(objects: Objects) -> set[str]:
    return {info.key async for info in objects.list("")} - {keys.SWEEP}


async def put(objects: Objects, *made: FileKey) -> set[str]:
    for key in made:
        await objects.put(str(key), nothing())
    return {str(key) for key in made}


async def test_what_nobody_used_for_long_goes(objects: Objects) -> None:
    clock = Clock()
    private = FileKey.of(ALICE, UPLOADS, "f" * 21, "d/données.csv")
    shared = FileKey.of(ALICE, UPLOADS, "g" * 21, "b", shared=True)
    given = FileKey.of(ALICE, SESSION, "f" * 21, "a", origin=UPLOADS)
    gone = FileKey.of(ALICE, SESSION, "h" * 21, "c", gone=True)
    there = await put(objects, private, shared, given, gone)
    await objects.put("foreign/object", nothing())
    clock.ahead = 7 * DAY - timedelta(hours=1)
    assert await sweeper(objects, clock).look() == 0
    clock.ahead = 7 * DAY + timedelta(hours=2)
    assert await sweeper(objects, clock).look() == len(there)
    assert await stored(objects) == {"foreign/object"}


async def test_one_replica_sweeps_in_an_interval(objects: Objects) -> None:
    clock = Clock()
    first, second = sweeper(objects, clock), sweeper(objects, clock)
    assert await first.look() == 0
    assert await second.look() is None
    clock.ahead = timedelta(minutes=59)
    assert await second.look() is None
    clock.ahead = timedelta(minutes=61)
    assert await second.look() == 0


async def test_racing_sweeps_do_no_harm(objects: Objects) -> None:
    clock = Clock()
    await put(objects, *(FileKey.of(ALICE, SESSION, f"f{n:020}", "a") for n in range(30)))
    clock.ahead = 8 * DAY
    await asyncio.gather(*(sweeper(objects, clock)._sweep() for _ in range(3)))
    assert await stored(objects) == set()


async def test_what_is_used_while_it_is_swept_stays(application: Any) -> None:
    """Between the listing and the delete."""
    objects = application.objects
    (used,) = await put(objects, FileKey.of(ALICE, SESSION, "f" * 21, "used"))
    await put(objects, FileKey.of(ALICE, SESSION, "g" * 21, "idle"))
    await application.age(8 * 24)

    class Touching(LocalObjects):
        def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
            listing = super().list(prefix)

            async def touching() -> AsyncIterator[ObjectInfo]:
                async for info in listing:
                    yield info
                await objects.touch(used)

            return touching()

    assert await sweeper(Touching(application.directory), Clock()).look() == 1
    assert await stored(objects) == {used}


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ("", set()),
        ("first", {"first", "deleted"}),
        ("upload", {"upload", "given", "deleted"}),
        ("second", {"second", "deleted"}),
        ("deleted", {"deleted"}),
    ],
)
async def test_marks_go_with_what_they_are_about(application: Any, kept: str, left: set[str]) -> None:
    """A name that was deleted must not come back because an older state of it is still used, and a session
    that was given a file has it for as long as that is stored."""
    made = {
        "upload": FileKey.of(ALICE, UPLOADS, "a" * 21, "upload"),
        "given": FileKey.of(ALICE, SESSION, "a" * 21, "given", origin=UPLOADS),
        "first": FileKey.of(ALICE, SESSION, "b" * 21, "first"),
        "deleted": FileKey.of(ALICE, SESSION, "c" * 21, "deleted", gone=True),
        "second": FileKey.of(ALICE, SESSION, "d" * 21, "second"),
    }
    await put(application.objects, *made.values())
    await application.age(8 * 24)
    if kept:
        await application.objects.touch(str(made[kept]))
    clock = Clock()
    for _ in range(2):
        await sweeper(application.objects, clock).look()
        clock.ahead += timedelta(hours=2)
    assert {key.rpartition("/")[2] for key in await stored(application.objects)} == left


async def test_a_store_that_fails_is_asked_again(application: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(LocalObjects):
        asked = 0

        async def head(self, key: str) -> ObjectInfo:
            self.asked += 1
            if self.asked < 4:
                raise ObjectsUnavailable("S3 failed") if self.asked < 3 else RuntimeError("unforeseen")
            return await super().head(key)

    await put(application.objects, FileKey.of(ALICE, SESSION, "f" * 21, "old"))
    await application.age(8 * 24)
    running = asyncio.create_task(sweeper(Failing(application.directory), Clock(), sweep_seconds=0.02).run())
    async with asyncio.timeout(10):
        while await stored(application.objects):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [record.levelname for record in caplog.records][:3] == ["WARNING", "WARNING", "ERROR"]


async def test_a_sweep_holds_one_session_at_a_time(tmp_path: Path) -> None:
    class Endless(LocalObjects):
        """A long listing, none of which is old."""

        async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
            for number in range(30_000):
                key = FileKey.of(ALICE, f"s{number // 10:020}", f"f{number:020}", "a")
                yield ObjectInfo(str(key), 0, "", datetime.now(UTC))

    tracemalloc.start()
    try:
        assert await sweeper(Endless(tmp_path), Clock()).look() == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


async def test_every_application_sweeps(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    application.start(sweep_seconds=0.05)
    user = application.user()
    old = await user.upload("old.csv")
    await application.age(8 * 24)
    new = await user.upload("new.csv")
    async with application.app.router.lifespan_context(application.app), asyncio.timeout(10):
        while (await user.get("/download/{}/{}", *ids(old))).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await user.get("/download/{}/{}", *ids(new))).status_code == 200


def ids(ref: dict[str, str]) -> tuple[str, str]:
    return ref["storage_session_id"], ref["id"]


def test_files_live_as_long_as_clients_count_on() -> None:
    with pytest.raises(SettingsError, match="CODESESSION_RETENTION_HOURS: input should be greater"):
        load(backend="local", retention_hours=23)
