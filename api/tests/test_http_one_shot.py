"""Which sessions are of one execution, so that their sandbox need not wait for the next one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codesession_crds.names import new_id
from fakes import Api, serving, writing


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{hashlib.sha256(b'key').hexdigest()}")
    async with serving(tmp_path / "objects", auth="api-key", api_keys_file=keys) as api:
        api.client.headers["X-API-Key"] = "key"
        yield api


@pytest.mark.parametrize(
    ("fields", "one_shot"),
    [
        ({}, True),
        ({"session_id": new_id()}, False),
        ({"runtime_session_hint": "v2:user:abc"}, False),
    ],
)
async def test_what_leads_nowhere_is_of_one_execution(
    api: Api, fields: dict[str, Any], one_shot: bool
) -> None:
    await api.exec(**fields)
    (sandbox,) = api.sandboxes.claims
    assert sandbox.one_shot is one_shot


@pytest.mark.parametrize(("key", "one_shot"), [("storage_session_id", True), ("session_id", False)])
async def test_only_old_clients_come_back_to_where_a_file_was_used(
    api: Api, key: str, one_shot: bool
) -> None:
    file = await api.upload()
    await api.exec(files=[{"id": file["id"], "name": "in.csv", key: file["storage_session_id"]}])
    (sandbox,) = api.sandboxes.claims
    assert sandbox.files == {"in.csv": b"1,2"}
    assert sandbox.one_shot is one_shot


async def test_a_file_that_is_made_keeps_the_session(api: Api) -> None:
    api.sandboxes.program = writing(**{"a.txt": b"one"})
    await api.exec()
    (sandbox,) = api.sandboxes.claims
    assert not sandbox.one_shot


async def test_a_session_that_is_named_is_kept(api: Api) -> None:
    session = (await api.exec()).json()["session_id"]
    assert api.sandboxes.live[session].one_shot
    await api.exec(session_id=session)
    assert not api.sandboxes.live[session].one_shot
