"""What outlives a process: sessions that are gone are restored from their files, by any replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesession_api.errors import SandboxLost

pytestmark = pytest.mark.sandbox


def run_server(request: pytest.FixtureRequest, directory: Path, **settings: object) -> Any:
    return request.getfixturevalue("run_server")(directory, **settings)


MAKE = """
open('kept.txt', 'w').write('old')
open('doomed.txt', 'w').write('x')
"""
CHANGE = """
import os
os.remove('doomed.txt')
os.makedirs('d', exist_ok=True)
open('d/new.txt', 'w').write('new')
open('kept.txt', 'w').write('newer')
"""
SHOW = """
import os
print(sorted(os.path.relpath(os.path.join(d, f), '.') for d, _, fs in os.walk('.') for f in fs))
print(open('kept.txt').read())
"""


def history(server: Any) -> tuple[str, dict[str, Any]]:
    """A session that was given `in.csv`, made and changed files and deleted one; its last output."""
    ref = server.upload("in.csv")
    old = {"id": ref["id"], "session_id": ref["storage_session_id"], "name": "in.csv"}
    session = server.exec(MAKE, files=[old])["session_id"]
    changed = server.exec(CHANGE, session_id=session)
    assert changed["deleted_files"] == ["doomed.txt"]
    (new,) = [file for file in changed["files"] if file["name"] == "d/new.txt"]
    return session, new


@pytest.mark.parametrize("by", ["session", "reference of an old client"])
def test_a_session_is_restored_by_a_process_that_never_saw_it(
    request: pytest.FixtureRequest, tmp_path: Path, by: str
) -> None:
    with run_server(request, tmp_path) as server:
        session, new = history(server)
    with run_server(request, tmp_path) as server:
        old = {"id": new["id"], "session_id": session, "name": "d/new.txt"}
        asked = {"session_id": session} if by == "session" else {"files": [old]}
        answer = server.exec(SHOW, **asked)
        assert answer["stdout"] == "['d/new.txt', 'in.csv', 'kept.txt']\nnewer\n"
        assert answer["session_id"] != session
        assert answer["files"] == []
        again = server.exec(SHOW, session_id=answer["session_id"])
        assert again["stdout"] == answer["stdout"]
        assert server.download(new) == b"new"
    with run_server(request, tmp_path) as server:
        third = server.exec(SHOW, session_id=answer["session_id"])
        assert third["stdout"] == answer["stdout"]


def test_a_new_client_gets_the_files_it_names_and_no_others(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with run_server(request, tmp_path) as server:
        _, new = history(server)
    with run_server(request, tmp_path) as server:
        ref = {key: new[key] for key in ("id", "storage_session_id", "name")}
        answer = server.exec("import os; print(os.listdir('.'))", files=[ref])
        assert answer["stdout"] == "['d']\n"
        assert [(file["name"], file["inherited"]) for file in answer["files"]] == [("d/new.txt", True)]


def test_replicas_share_nothing_but_the_store(
    request: pytest.FixtureRequest, tmp_path: Path, minio: Any
) -> None:
    settings = minio.settings("replicas")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        run_server(request, tmp_path / "one", **settings) as one,
        run_server(request, tmp_path / "two", **settings) as two,
    ):
        made = one.exec("open('a.txt', 'w').write('from one')")
        (file,) = made["files"]
        assert two.download(file) == b"from one"
        ref = {key: file[key] for key in ("id", "storage_session_id", "name")}
        changed = two.exec("open('a.txt', 'a').write(', then two')", files=[ref])
        assert one.download(changed["files"][0]) == b"from one, then two"
        uploaded = one.upload("up.csv")
        assert two.exec("cat up.csv", "bash", files=[uploaded])["stdout"] == "a,b\n1,2\n"
        assert two.client.delete(f"/files/{file['storage_session_id']}/{file['id']}").status_code == 200
        assert one.client.get(f"/download/{file['storage_session_id']}/{file['id']}").status_code == 404


@pytest.mark.parametrize("path", ["/exec", "/exec/programmatic"])
async def test_a_session_that_was_lost_in_its_first_run_hands_on_what_it_was_restored_to(
    application: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The answer names it, so that the client goes on with it, and it is gone as well by then."""
    user = application.user()
    first = (await user.exec("kept=1"))["session_id"]
    application.sandboxes.clear()

    async def lost(*_: Any) -> None:
        raise SandboxLost("the pod was deleted")

    claim = application.sandboxes.claim

    async def claim_ill_fated(*who: Any, **how: Any) -> Any:
        made = await claim(*who, **how)
        made.run = lost
        return made

    with monkeypatch.context() as during:
        during.setattr(application.sandboxes, "claim", claim_ill_fated)
        request = {"lang": "py", "code": "1", "tools": [{"name": "get"}], "session_id": first}
        answer = (await user.client.post(path, json=request)).json()
    assert "The sandbox was lost" in answer["stderr"]
    assert answer["session_id"] != first
    application.sandboxes.clear()
    again = await user.exec(session_id=answer["session_id"])
    assert again["stdout"] == "kept"
