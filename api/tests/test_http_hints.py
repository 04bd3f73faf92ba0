"""`runtime_session_hint`: a principal's own name of the session that it wants again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codesession_api import hints
from codesession_api.errors import SandboxLost
from codesession_api.ports import Principal
from codesession_api.settings import load
from codesession_crds.names import new_id
from fakes import Api, FakeSandbox, nothing, serving, writing

ALICE, BOB = ({"X-API-Key": f"key-of-{name}"} for name in ("alice", "bob"))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    lines = [f"{who}:{hashlib.sha256(f'key-of-{who}'.encode()).hexdigest()}" for who in ("alice", "bob")]
    (tmp_path / "keys").write_text("\n".join(lines))
    return tmp_path / "keys"


@pytest.fixture
async def api(tmp_path: Path, keys: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path / "objects", auth="api-key", api_keys_file=keys) as api:
        yield api


async def run(api: Api, who: dict[str, str] = ALICE, **fields: Any) -> dict[str, Any]:
    response = await api.client.post("/exec", json={"lang": "py", "code": "", **fields}, headers=who)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def where(answer: dict[str, Any]) -> tuple[str, str | None, str | None]:
    return answer["session_id"], answer.get("runtime_session_id"), answer.get("runtime_status")


async def test_the_same_hint_is_the_same_session(api: Api) -> None:
    first = await run(api, runtime_session_hint="v2:user:abc")
    session = first["session_id"]
    assert where(first) == (session, session, "new")
    assert where(await run(api, runtime_session_hint="v2:user:abc")) == (session, session, "reused")
    assert (await run(api, runtime_session_hint="v2:user:abd"))["session_id"] != session
    assert (await run(api, BOB, runtime_session_hint="v2:user:abc"))["runtime_status"] == "new"
    assert where(await run(api))[1:] == (None, None)


async def test_files_stay_in_place_and_are_carried_over(api: Api) -> None:
    api.sandboxes.program = writing(**{"a.txt": b"one"})
    made = await run(api, runtime_session_hint="h")
    (file,) = made["files"]
    ref = {key: file[key] for key in ("id", "storage_session_id", "name")}
    sandbox = api.sandboxes.live[made["session_id"]]
    sandbox.program = nothing
    again = await run(api, runtime_session_hint="h", files=[ref])
    assert again["session_id"] == made["session_id"]
    assert [(file["name"], file["inherited"]) for file in again["files"]] == [("a.txt", True)]
    assert sandbox.files == {"a.txt": b"one"}


async def test_a_named_session_and_the_files_come_before_the_hint(api: Api) -> None:
    api.sandboxes.program = writing(**{"a.txt": b"one"})
    hinted = await run(api, runtime_session_hint="h")
    other = await run(api)
    (file,) = other["files"]
    ref = {key: file[key] for key in ("id", "storage_session_id", "name")}
    for fields in ({"session_id": other["session_id"]}, {"files": [ref]}):
        answer = await run(api, runtime_session_hint="h", **fields)
        assert where(answer) == (other["session_id"], other["session_id"], "reused")
    gone = await run(api, runtime_session_hint="h", session_id=new_id())
    assert gone["session_id"] == hinted["session_id"]


async def test_when_its_session_is_gone_a_hint_begins_anew(api: Api) -> None:
    first = await run(api, runtime_session_hint="h")
    api.sandboxes.live.clear()
    again = await run(api, runtime_session_hint="h")
    assert again["runtime_status"] == "new"
    assert again["session_id"] != first["session_id"]


async def test_a_session_that_is_lost_as_it_is_prepared_is_passed_over(api: Api) -> None:
    api.sandboxes.program = writing(**{"a.txt": b"one"})
    (file,) = (await run(api))["files"]
    ref = {key: file[key] for key in ("id", "storage_session_id", "name")}
    hinted = await run(api, runtime_session_hint="h")
    api.sandboxes.live = {hinted["session_id"]: api.sandboxes.live[hinted["session_id"]]}
    dead: FakeSandbox = api.sandboxes.live[hinted["session_id"]]
    dead.files.clear()
    dead.put_error = SandboxLost("gone")
    answer = await run(api, runtime_session_hint="h", files=[ref])
    assert answer["runtime_status"] == "new"
    assert answer["session_id"] != hinted["session_id"]


@pytest.mark.parametrize("hint", ["", None, True, {"a": 1}, ["x"]])
async def test_what_is_no_hint_is_ignored(api: Api, hint: object) -> None:
    assert where(await run(api, runtime_session_hint=hint))[1:] == (None, None)


async def test_where_nobody_is_asked_who_he_is_a_hint_counts_for_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        first, second = [await run(api, runtime_session_hint="v2:user:abc") for _ in range(2)]
        assert first["session_id"] != second["session_id"]
        assert where(first)[1:] == (None, None)


def test_a_hint_is_a_name_of_its_principals_and_fit_for_a_label(keys: Path) -> None:
    settings = load(backend="local", auth="api-key", api_keys_file=keys)
    people = [Principal("a" * 32, "1" * 32), Principal("a" * 32, "2" * 32), Principal("b" * 32, "1" * 32)]
    found = {hints.hashed(settings, who, hint) for who in people for hint in ("v2:user:x", "\ud800" * 9999)}
    assert len(found) == 6
    assert all(hint is not None and len(hint) == 32 and hint.isalnum() for hint in found)
