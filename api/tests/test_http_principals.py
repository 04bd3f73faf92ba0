"""Users of one tenant who are proved to be different: what one stored for itself is not there for others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from codesession_api.app import create_app
from codesession_api.auth import claims
from codesession_api.settings import load


class Tokens:
    """LibreChat's, by the real authentication."""

    def __init__(self, directory: Path) -> None:
        self._signer = Ed25519PrivateKey.generate()
        directory.mkdir()
        public = self._signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / "lc.pem").write_bytes(public)

    def of(self, user: str, tenant: str = "legacy") -> str:
        now = int(time.time())
        made = {"iss": "librechat", "aud": "codeapi", "iat": now, "nbf": now, "exp": now + 300, "jti": "1"}
        made |= {"sub": user, "tenant_id": tenant, "role": "USER", "principal_source": "librechat_jwt"}
        made["auth_context_hash"] = claims.context_hash(made)
        return jwt.encode(made, self._signer, "EdDSA", headers={"kid": "lc"})


READS = [
    "/download/{0}/{1}",
    "/sessions/{0}/objects/{1}",
    "/download/{0}/in.csv",
    "/file/{0}/{1}/content",
]
DELETES = ["/files/{0}/{1}", "/sessions/{0}/objects/{1}", "/sessions/{0}"]
PRIVATE: list[dict[str, str]] = [{}, {"kind": "user", "id": "u1"}]
SHARED = [
    {"kind": "agent", "id": "a1"},
    {"kind": "skill", "id": "s1", "version": "3"},
    {"entity_id": "agent_1"},
]


async def statuses(user: Any, ref: dict[str, Any]) -> set[int]:
    ids = (ref["storage_session_id"], ref["id"])
    return {(await user.get(path, *ids)).status_code for path in READS}


@pytest.mark.parametrize("fields", PRIVATE)
async def test_an_upload_is_its_users_alone(application: Any, fields: dict[str, str]) -> None:
    alice, bob = application.user("alice"), application.user("bob")
    ref = await alice.upload("in.csv", b"secret", **fields)
    ids = (ref["storage_session_id"], ref["id"])
    assert await statuses(bob, ref) == {404}
    assert {(await bob.delete(path, *ids)).status_code for path in DELETES} == {404}
    assert (await bob.get("/files/{}?detail=full", *ids)).json() == []
    run = await bob.exec(files=[ref])
    assert run["stdout"] == ""
    assert "Input file 'in.csv' is no longer stored" in run["stderr"]
    assert await statuses(alice, ref) == {200}
    assert (await alice.exec(files=[ref]))["stdout"] == "in.csv"
    assert (await alice.delete(DELETES[0], *ids)).status_code == 200


@pytest.mark.parametrize("fields", SHARED)
async def test_what_is_of_an_agent_or_a_skill_is_the_whole_tenants(
    application: Any, fields: dict[str, str]
) -> None:
    alice, bob = application.user("alice"), application.user("bob")
    ref = await alice.upload("in.csv", b"shared", **fields)
    ids = (ref["storage_session_id"], ref["id"])
    assert await statuses(bob, ref) == {200}
    assert len((await bob.get("/files/{}?detail=full", *ids)).json()) == 1
    run = await bob.exec("made.csv=1", files=[ref])
    assert run["stdout"] == "in.csv"
    listed = (await bob.get("/files/{}?detail=full", run["session_id"])).json()
    assert {entry["metadata"]["original-filename"] for entry in listed} == {"in.csv", "made.csv"}
    assert {(await bob.delete(path, *ids)).status_code for path in DELETES} == {404}
    assert await statuses(application.user("alice", "other"), ref) == {404}
    assert (await alice.delete(DELETES[2], *ids)).status_code == 200
    assert await statuses(bob, ref) == {404}


async def test_what_a_run_leaves_is_its_users_alone(application: Any) -> None:
    alice, bob = application.user("alice"), application.user("bob")
    given = await alice.upload()
    first = await alice.exec("out.csv=secret\ndoomed.csv=1", files=[given])
    session = first["session_id"]
    await alice.exec("-doomed.csv", session_id=session)
    before = await application.keys()
    application.sandboxes.clear()
    legacy = {"id": first["files"][0]["id"], "session_id": session, "name": "out.csv"}
    for asked in ({"session_id": session}, {"files": [legacy]}):
        run = await bob.exec(**asked)
        assert (run["stdout"], "in.csv" in run["stderr"], "doomed" in run["stderr"]) == ("", False, False)
    assert (await bob.get("/files/{}", session)).json() == []
    assert (await bob.delete("/sessions/{}", session)).status_code == 404
    assert await application.keys() == before
    assert (await alice.exec(session_id=session))["stdout"] == "in.csv out.csv"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?kind=skill&id=s1&version=3", 200),
        ("?kind=skill", 200),
        ("?kind=user&id=s1&version=3", 404),
        ("?kind=skill&id=s2&version=3", 404),
        ("?kind=skill&id=s1&version=4", 404),
        ("?entity_id=s2", 404),
    ],
)
async def test_who_is_proved_cannot_contradict_the_upload(application: Any, query: str, status: int) -> None:
    alice, anybody = application.user("alice"), application.user()
    for user, expected in ((alice, status), (anybody, 200)):
        ref = await user.upload("in.csv", kind="skill", id="s1", version="3")
        ids = (ref["storage_session_id"], ref["id"])
        assert {(await user.get(path + query, *ids)).status_code for path in READS} == {expected}
        listed = (await user.get("/files/{}" + query, *ids)).json()
        assert len(listed) == (1 if expected == 200 else 0)
        assert (await user.delete(DELETES[0] + query, *ids)).status_code == expected


async def test_a_reference_that_contradicts_the_upload_is_left_out_and_told(application: Any) -> None:
    for user, found in ((application.user("alice"), ""), (application.user(), "in.csv")):
        ref = await user.upload("in.csv", kind="user", id="u1")
        run = await user.exec(files=[{**ref, "resource_id": "u2"}])
        assert run["stdout"] == found
        assert ("is no longer stored" in run["stderr"]) is (found == "")
        assert (await user.exec(files=[ref]))["stdout"] == "in.csv"


async def test_an_output_is_nobodys_word(application: Any) -> None:
    """Clients carry outputs along with their own id for an owner, and download them with the user's."""
    alice = application.user("alice")
    (out,) = (await alice.exec("out.csv=1"))["files"]
    application.sandboxes.clear()
    ref = {
        "id": out["id"],
        "storage_session_id": out["storage_session_id"],
        "name": "out.csv",
        "kind": "user",
    }
    assert (await alice.exec(files=[{**ref, "resource_id": out["id"]}]))["stdout"] == "out.csv"
    got = await alice.get("/download/{}/{}?kind=user&id=u1", out["storage_session_id"], out["id"])
    assert got.text == "1"


async def test_tokens_make_principals_of_users(application: Any, tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "jwt")
    settings = load(backend="local", auth="jwt", jwt_keys=tmp_path / "jwt")
    app = create_app(settings, application.sandboxes, application.objects)
    transport = httpx.ASGITransport(app)

    def asking(user: str, tenant: str = "legacy") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {tokens.of(user, tenant)}"}
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    async def upload(**fields: str) -> str:
        answer = await asking("alice").post("/upload", data=fields, files={"file": ("a.csv", b"1")})
        return f"/download/{answer.json()['session_id']}/{answer.json()['files'][0]['fileId']}"

    private, shared = await upload(kind="user", id="alice"), await upload(kind="agent", id="a1")
    for path, who, tenant, status in [
        (private, "alice", "legacy", 200),
        (private + "?kind=user&id=alice", "alice", "legacy", 200),
        (private + "?kind=user&id=bob", "alice", "legacy", 404),
        (private, "bob", "legacy", 404),
        (private + "?kind=user&id=alice", "bob", "legacy", 404),
        (private, "alice", "other", 404),
        (shared, "bob", "legacy", 200),
        (shared + "?kind=agent&id=a2", "bob", "legacy", 404),
        (shared, "alice", "other", 404),
    ]:
        assert (await asking(who, tenant).get(path)).status_code == status, (path, who, tenant)


async def test_the_store_is_asked_for_the_likeliest_key_first(application: Any) -> None:
    """A listing for each input would be slow: one's own files cost none, those of another user one each."""
    alice, bob = application.user("alice"), application.user("bob")
    ref = await alice.upload("in.csv", kind="agent", id="a1")
    own = await bob.upload("own.csv")
    await bob.exec(files=[own])
    assert application.objects.listed == []
    await bob.exec(files=[own, ref])
    assert len(application.objects.listed) == 1
