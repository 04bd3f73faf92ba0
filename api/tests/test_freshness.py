"""What runs use stays fresh: for the sweeper, and for clients that look at `lastModified`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codesession_api.errors import ObjectsUnavailable
from codesession_api.files import Files
from codesession_api.freshness import Freshener
from codesession_api.keys import FileKey
from codesession_api.ports import Principal


async def age_of(user: Any, ref: dict[str, Any]) -> timedelta:
    (entry,) = (await user.get("/files/{}?detail=summary", ref["storage_session_id"])).json()
    return datetime.now(UTC) - datetime.fromisoformat(entry["lastModified"])


async def becomes_fresh(user: Any, ref: dict[str, Any]) -> bool:
    for _ in range(100):
        if await age_of(user, ref) < timedelta(minutes=5):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_an_input_that_grew_old_is_touched(application: Any) -> None:
    user = application.user()
    ref = await user.upload()
    await application.age(22)
    await user.exec(files=[ref])
    assert await becomes_fresh(user, ref)
    assert (await user.get("/download/{}/{}", ref["storage_session_id"], ref["id"])).text == "a,b"


async def test_an_input_that_a_live_sandbox_has_already_is_touched_too(application: Any) -> None:
    user = application.user()
    ref = await user.upload()
    session = (await user.exec(files=[ref]))["session_id"]
    await application.age(22)
    application.start()
    user = application.user()
    assert (await user.exec(files=[ref], session_id=session))["stdout"] == "in.csv"
    assert await becomes_fresh(user, ref)


async def test_what_is_not_used_or_not_old_is_left_alone(application: Any) -> None:
    user = application.user()
    used, idle = await user.upload("used.csv"), await user.upload("idle.csv")
    await application.age(0.9, "used")
    await application.age(3, "idle")
    await user.exec(files=[used])
    await asyncio.sleep(0.1)
    assert await age_of(user, used) > timedelta(minutes=50)
    assert await age_of(user, idle) > timedelta(hours=2)


async def test_a_file_is_looked_at_once_an_hour(application: Any) -> None:
    user = application.user()
    by = Principal("t", "a" * 32)
    ref = await user.upload()
    clock = [0.0]
    looked: list[FileKey] = []

    class Looking(Files):
        async def locate(self, by: Principal, key: FileKey, *args: Any) -> Any:
            looked.append(key)
            raise ObjectsUnavailable("slow")

    freshener = Freshener(Looking(application.objects), lambda: clock[0])
    key = FileKey.of(by, ref["storage_session_id"], ref["id"], "in.csv")
    for clock[0], count in ((0, 1), (1, 1), (3599, 1), (3601, 2), (3602, 2)):
        freshener.used(by, [key])
        await asyncio.sleep(0.01)
        assert len(looked) == count


@pytest.mark.parametrize("error", [ObjectsUnavailable("away"), None])
async def test_a_touch_that_fails_or_hangs_costs_a_run_nothing(
    application: Any, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def touch(key: str) -> None:
        if error:
            raise error
        await asyncio.Event().wait()

    user = application.user()
    ref = await user.upload()
    await application.age(22)
    monkeypatch.setattr(application.objects, "touch", touch)
    async with asyncio.timeout(5):
        assert (await user.exec("out.csv=1", files=[ref]))["stdout"] == "in.csv"
        await application.app.state.services.executor.aclose()
