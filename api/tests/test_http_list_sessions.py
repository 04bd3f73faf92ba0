"""Who is told of live sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LOCAL = {"Host": "localhost:8000"}


@pytest.fixture
def keys(tmp_path: Path) -> str:
    (tmp_path / "keys").write_text(f"acme:{'0' * 64}\n")
    return str(tmp_path / "keys")


async def test_the_sessions_of_whoever_asks_are_listed_and_nobody_elses(application: Any, keys: str) -> None:
    application.start(auth="api-key", api_keys_file=keys)
    mine, another = application.user("ann"), application.user("bob")
    made = [(await mine.exec())["session_id"] for _ in range(2)]
    theirs = (await another.exec())["session_id"]
    listed = (await mine.get("/sessions")).json()["sessions"]
    assert [session["session_id"] for session in listed] == made[::-1]
    assert all(session["since"].endswith("Z") and session["ends"].endswith("Z") for session in listed)
    assert [s["session_id"] for s in (await another.get("/sessions")).json()["sessions"]] == [theirs]


async def test_one_persons_own_server_lists_them(application: Any) -> None:
    user = application.user()
    session = (await user.exec())["session_id"]
    answer = await user.client.get("/sessions", headers=LOCAL)
    assert [one["session_id"] for one in answer.json()["sessions"]] == [session]


@pytest.mark.parametrize(
    "headers", [{"Host": "elsewhere.example"}, {**LOCAL, "Origin": "https://elsewhere.example"}]
)
async def test_a_page_of_another_site_is_told_nothing(application: Any, headers: dict[str, str]) -> None:
    assert (await application.user().client.get("/sessions", headers=headers)).status_code == 403


async def test_where_nobody_is_asked_who_they_are_ids_stay_secret(application: Any) -> None:
    application.start(host="0.0.0.0")
    await application.user().exec()
    answer = await application.user().get("/sessions")
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
