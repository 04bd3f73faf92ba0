"""A user's uploads in the next session, for users of older interpreters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codesession_api import folders, keys
from codesession_api.ports import Principal
from codesession_api.settings import load
from codesession_api.sweeper import Sweeper
from codesession_crds.names import is_wire_id

ANYBODY, ALICE = Principal("t", "0" * 32), Principal("t", "a" * 32, proved=True)
UPLOADS = [
    ({"entity_id": "x"}, {}),
    ({"kind": "user", "id": "x"}, {}),
    ({}, {"User-Id": "x"}),
    ({"entity_id": "x", "kind": "user", "id": "y"}, {"User-Id": "z"}),
    ({"kind": "user", "id": "x"}, {"User-Id": "z"}),
    ({"kind": "user"}, {"User-Id": "x"}),
    ({"id": "z"}, {"User-Id": "x"}),
]
NOBODYS = [({}, {}), ({"kind": "agent", "id": "x"}, {"User-Id": "x"}), ({"kind": "skill", "id": "x"}, {})]


@pytest.mark.parametrize("run", [{"entity_id": "x"}, {"user_id": "x"}, {"entity_id": "x", "user_id": "y"}])
@pytest.mark.parametrize(("fields", "headers"), UPLOADS)
async def test_an_upload_is_in_the_next_session_of_its_owner(
    application: Any, fields: dict[str, str], headers: dict[str, str], run: dict[str, str]
) -> None:
    application.start(user_files=True)
    user = application.user()
    ref = await user.upload("mine.csv", b"1", headers=headers, **fields)
    answer = await user.exec(**run)
    assert answer["stdout"] == "mine.csv"
    assert answer["files"] == []
    assert (await user.exec(session_id=answer["session_id"]))["stdout"] == "mine.csv"
    assert (await user.get("/download/{}/{}", answer["session_id"], ref["id"])).text == "1"
    for other in ({"entity_id": "y"}, {"user_id": "z"}, {}):
        assert (await user.exec(**other))["stdout"] == ""


@pytest.mark.parametrize(("fields", "headers"), NOBODYS)
async def test_what_is_no_users_is_in_no_folder(
    application: Any, fields: dict[str, str], headers: dict[str, str]
) -> None:
    application.start(user_files=True)
    user = application.user()
    await user.upload("agents.csv", headers=headers, **fields)
    assert (await user.exec(user_id="x"))["stdout"] == ""


async def test_without_the_setting_there_are_no_folders(application: Any) -> None:
    user = application.user()
    await user.upload(entity_id="x")
    assert (await user.exec(entity_id="x"))["stdout"] == ""
    assert len(await application.keys()) == 1


async def test_who_is_proved_has_one_folder_whatever_is_said(application: Any) -> None:
    application.start(user_files=True)
    alice, bob = application.user("alice"), application.user("bob")
    await alice.upload("mine.csv", kind="user", id="bob", headers={"User-Id": "bob"})
    assert (await alice.exec(user_id="bob"))["stdout"] == "mine.csv"
    assert (await alice.exec())["stdout"] == "mine.csv"
    for said in ({}, {"user_id": "alice"}, {"entity_id": "bob"}):
        assert (await bob.exec(**said))["stdout"] == ""
    assert (await application.user().exec(user_id="bob"))["stdout"] == ""


async def test_the_newest_of_a_name_counts_and_what_is_asked_for_wins(application: Any) -> None:
    application.start(user_files=True)
    user = application.user()
    await user.upload("a.csv", b"old", entity_id="x")
    await user.upload("b.csv", b"b", entity_id="x")
    await user.upload("a.csv", b"new", entity_id="x")
    asked = await user.upload("b.csv", b"asked for")
    answer = await user.exec(entity_id="x", files=[asked])
    session = application.sandboxes[answer["session_id"]]
    assert session.files == {"a.csv": b"new", "b.csv": b"asked for"}
    changed = await user.exec("a.csv=changed", entity_id="x")
    assert changed["files"][0]["modified_from"]["id"]
    again = await user.exec(entity_id="x")
    assert application.sandboxes[again["session_id"]].files["a.csv"] == b"new"


async def test_a_file_that_was_deleted_is_missed_by_nobody(application: Any) -> None:
    application.start(user_files=True)
    user = application.user()
    ref = await user.upload("a.csv", entity_id="x")
    await user.upload("b.csv", entity_id="x")
    await user.delete("/files/{}/{}", ref["storage_session_id"], ref["id"])
    answer = await user.exec(entity_id="x")
    assert (answer["stdout"], answer["stderr"]) == ("b.csv", "")


async def test_a_restored_session_stays_without_what_it_deleted(application: Any) -> None:
    application.start(user_files=True)
    user = application.user()
    await user.upload("a.csv", entity_id="x")
    await user.upload("b.csv", entity_id="x")
    session = (await user.exec("-a.csv\nmade.csv=1", entity_id="x"))["session_id"]
    application.sandboxes.clear()
    await user.upload("late.csv", entity_id="x")
    assert (await user.exec(entity_id="x", session_id=session))["stdout"] == "b.csv late.csv made.csv"


async def test_a_folder_gives_no_more_than_a_run_may_have(application: Any) -> None:
    application.start(user_files=True, run_files=3)
    user = application.user()
    for number in range(5):
        await user.upload(f"{number}.csv", entity_id="x")
    asked = await user.upload("asked.csv")
    assert (await user.exec(entity_id="x", files=[asked]))["stdout"] == "3.csv 4.csv asked.csv"


async def test_a_refused_upload_replaces_nothing(application: Any) -> None:
    application.start(user_files=True, session_bytes=5)
    user = application.user()
    await user.upload("a.csv", b"1", entity_id="x")
    files = [("file", ("a.csv", b"22")), ("file", ("b.csv", bytes(9)))]
    refused = await user.client.post("/upload/batch", data={"entity_id": "x"}, files=files)
    assert refused.status_code == 413
    answer = await user.exec(entity_id="x")
    assert application.sandboxes[answer["session_id"]].files == {"a.csv": b"1"}


async def test_a_folder_cannot_be_asked_for(application: Any) -> None:
    application.start(user_files=True)
    user = application.user()
    ref = await user.upload(entity_id="x")
    folder = folders.of_run(ANYBODY, "x", None)
    assert folder is not None
    assert any(f"/{folder}/" in key for key in await application.keys())
    for path in ("/files/{}", "/download/{}/{}", "/sessions/{}/objects/{}", "/download/{}/in.csv"):
        assert (await user.get(path, folder, ref["id"])).status_code == 404
    assert (await user.delete("/sessions/{}", folder)).status_code == 404
    stolen = {"id": ref["id"], "storage_session_id": folder, "name": "in.csv"}
    for asked in ({"files": [stolen]}, {"session_id": folder}):
        assert (await user.exec(**asked))["stdout"] == ""


async def test_a_file_in_a_folder_lives_as_long_as_it_is_used(application: Any) -> None:
    application.start(user_files=True)
    user = application.user()
    await user.upload("used.csv", entity_id="x")
    await user.upload("idle.csv", entity_id="x")
    await application.age(8 * 24)
    (home,) = [key for key in await application.keys() if key.endswith("used.csv") and "@" not in key]
    await application.objects.touch(home)
    settings = load(backend="local", auth="none")
    for hours in (0, 2):
        clock = datetime.now(UTC) + timedelta(hours=hours)
        await Sweeper(settings, application.objects, lambda clock=clock: clock).look()  # type: ignore[misc]
    assert len([key for key in await application.keys() if keys.parse(key)]) == 2
    assert (await user.exec(entity_id="x"))["stdout"] == "used.csv"


@pytest.mark.parametrize("name", ["x", "ü" * 5000, "\ud800", "a/../b"])
def test_ids_of_folders_are_no_ids_of_sessions(name: str) -> None:
    folder = folders.of_run(ANYBODY, name, None)
    assert folder is not None
    assert len(folder) == 21
    assert not is_wire_id(folder)
    assert folder != folders.of_run(ALICE, name, None) == folders.of_run(ALICE, None, None)
