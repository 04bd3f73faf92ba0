"""The users of the soak against a server that nobody kills: all that they ask for is served, and right."""

from __future__ import annotations

import random

import httpx
import pytest

from e2e.soak.report import Record
from e2e.soak.users import User
from e2e.targets import Target

pytestmark = pytest.mark.sandbox


async def test_what_users_do_is_right(embedded_server: Target) -> None:
    record = Record(seed=1, minutes=0)
    async with httpx.AsyncClient(
        base_url=f"{embedded_server.url}/v1", headers=embedded_server.headers, timeout=100, trust_env=False
    ) as http:
        user = User(http, random.Random(1), record)
        for kind in ("live", "live", "fresh", "files", "program", "live"):
            await user.act(kind)
        await user.leave()
    assert (record.wrong, dict(record.told)) == ([], {})
    assert record.right == {"live": 3, "fresh": 1, "files": 1, "program": 1}
    # An upload's session, those of its run and of the fresh one, and the conversation.
    assert len(user.ended) == 4
