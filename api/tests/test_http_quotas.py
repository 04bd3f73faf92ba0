"""What a client is told when nothing more may be stored."""

from __future__ import annotations

from typing import Any

import pytest

SESSION = "This session may not store more than 10 bytes."
FEW = "This session has as many files as it may store: 2."
USER = "All files of one user may not be more than 10 bytes."


@pytest.mark.parametrize("path", ["/upload", "/upload/batch"])
@pytest.mark.parametrize(
    ("settings", "sizes", "told"),
    [
        ({"session_bytes": 10}, [11], SESSION),
        ({"session_bytes": 10}, [5, 6], SESSION),
        ({"session_files": 2}, [1, 1, 1], FEW),
        ({"principal_bytes": 10}, [11], USER),
    ],
)
async def test_an_upload_over_a_limit_is_refused_and_leaves_nothing(
    application: Any, path: str, settings: dict[str, int], sizes: list[int], told: str
) -> None:
    application.start(**settings)
    files = [("file", (f"{number}.bin", bytes(size))) for number, size in enumerate(sizes)]
    response = await application.user().client.post(path, files=files)
    assert response.status_code == 413
    assert response.json() == {"error": "quota_exceeded", "message": told}
    assert await application.keys() == []


async def test_outputs_over_a_sessions_limit_are_told_and_not_stored(application: Any) -> None:
    application.start(session_bytes=10, transfers=1)
    user = application.user()
    first = await user.exec("a=12345\nb=123456")
    assert [file["name"] for file in first["files"]] == ["a"]
    assert f"Files were made and not stored (1). {SESSION}\n" in first["stderr"]
    assert first["artifact_delivery"] == {
        "code": "artifact_delivery_failed", "status": "partial", "attempted": 2, "delivered": 1, "failed": 1,
    }  # fmt: skip
    session = first["session_id"]
    second = await user.exec("c=12345\nd=123456\ne=123456", session_id=session)
    assert [file["name"] for file in second["files"]] == ["c"]
    assert f"Files were made and not stored (2). {SESSION}\n" in second["stderr"]
    third = await user.exec("f=1", session_id=session)
    assert (third["files"], third["artifact_delivery"]["status"]) == ([], "failed")
    stored = await user.get("/files/{}?detail=full", session)
    assert sum(entry["size"] for entry in stored.json()) == 10


async def test_old_states_and_inputs(application: Any) -> None:
    """The first count, the second do not: these are another session's."""
    application.start(session_files=2)
    user = application.user()
    refs = [await user.upload(f"{number}.csv") for number in range(3)]
    first = await user.exec("a=1", files=refs)
    session = first["session_id"]
    assert (await user.exec("a=2", session_id=session))["files"][0]["name"] == "a"
    over = await user.exec("a=3", session_id=session)
    assert over["files"] == []
    assert FEW in over["stderr"]


async def test_a_users_limit_is_the_users(application: Any) -> None:
    application.start(principal_bytes=10)
    alice, bob = application.user("alice"), application.user("bob")
    await alice.upload("a", bytes(8))
    over = await alice.exec("out=123")
    assert over["files"] == []
    assert USER in over["stderr"]
    assert len((await alice.exec("out=12"))["files"]) == 1
    assert len((await bob.exec("out=123"))["files"]) == 1


async def test_a_run_without_outputs_lists_nothing(application: Any) -> None:
    application.start(principal_bytes=10)
    user = application.user()
    session = (await user.exec())["session_id"]
    await user.exec(session_id=session)
    assert application.objects.listed == []
    await user.exec("a=1", session_id=session)
    assert len(application.objects.listed) == 2
