"""With keys: whoever has none is refused, another tenant's ids are as good as none. And what is logged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.sandbox

KEYS = {"acme": "key-of-acme-1f3a", "other": "key-of-other-77c2"}


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("guarded")
    keys = directory / "keys"
    lines = [f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}" for tenant, key in KEYS.items()]
    keys.write_text("\n".join(lines))
    run_server = request.getfixturevalue("run_server")
    with run_server(directory, auth="api-key", api_keys_file=keys, log_level="debug") as server:
        server.client.headers["X-API-Key"] = KEYS["acme"]
        yield server


@pytest.fixture
def stranger(guarded: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, headers={"X-API-Key": KEYS["other"]}, timeout=60) as client:
        yield client


ROUTES = [
    ("POST", "/v1/exec"),
    ("POST", "/v1/upload"),
    ("POST", "/v1/upload/batch"),
    ("GET", "/v1/files/{}"),
    ("GET", "/v1/download/{}/{}"),
    ("GET", "/v1/sessions/{}/objects/{}"),
    ("DELETE", "/v1/sessions/{}/objects/{}"),
    ("DELETE", "/v1/files/{}/{}"),
    ("DELETE", "/v1/sessions/{}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}])
def test_without_a_key_nothing_is_served(
    guarded: Any, method: str, path: str, headers: dict[str, str]
) -> None:
    response = httpx.request(method, guarded.url + path.format("S" * 21, "F" * 21), headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/v1/health"])
def test_health_needs_no_key(guarded: Any, path: str) -> None:
    assert httpx.get(guarded.url + path).status_code == 200


def test_another_tenants_ids_are_as_good_as_none(guarded: Any, stranger: httpx.Client) -> None:
    ref = guarded.upload("secret.csv", b"secret")
    made = guarded.exec("open('out.txt', 'w').write('secret')", files=[ref])
    session = made["session_id"]
    for home, file_id in ((ref["storage_session_id"], ref["id"]), (session, made["files"][0]["id"])):
        for path in (f"/download/{home}/{file_id}", f"/sessions/{home}/objects/{file_id}"):
            assert stranger.get(path).status_code == 404
        for path in (f"/files/{home}/{file_id}", f"/sessions/{home}/objects/{file_id}"):
            assert stranger.delete(path).status_code == 404
        assert stranger.get(f"/files/{home}?detail=full").json() == []
        assert stranger.delete(f"/sessions/{home}").status_code == 404
        theirs = {"id": file_id, "storage_session_id": home, "name": "x"}
        body = {"lang": "bash", "code": "ls /mnt/data", "files": [theirs], "session_id": home}
        answer = stranger.post("/exec", json=body).json()
        assert answer["stdout"] == ""
        assert answer["session_id"] != session
        assert "'x' is no longer stored" in answer["stderr"]
    assert guarded.download(ref) == b"secret"
    assert guarded.exec("cat out.txt", "bash", session_id=session)["stdout"] == "secret"


def test_the_log_tells_what_happened_and_nothing_of_whom(guarded: Any, stranger: httpx.Client) -> None:
    secrets = [
        "code-9f2",
        "input-77a",
        "file-name-3c",
        "query-5d1",
        "header-8e",
        "body-key-2b",
        *KEYS.values(),
    ]
    ref = guarded.upload("file-name-3c.csv", b"input-77a", id="query-5d1")
    session = ref["storage_session_id"]
    guarded.exec("print('code-9f2'); 1/0", files=[ref], LIBRECHAT_CODE_API_KEY="body-key-2b")
    guarded.client.get(f"/v1/download/{session}/{ref['id']}?kind=user&id=query-5d1")
    guarded.client.post("/v1/exec", content=b'{"code-9f2')
    guarded.client.get("/v1/none/query-5d1", headers={"Authorization": "Bearer header-8e"})
    stranger.get("/v1/download/query-5d1/x")
    guarded.client.get("/health")
    guarded.wait_for_log("GET /health 200", 1)
    logged = guarded.log.read_text()
    assert "POST /exec 200" in logged
    assert "GET /download/{session_id}/{file_id} 200" in logged
    assert "GET (none) 404" in logged
    assert [secret for secret in [*secrets, session, ref["id"]] if secret in logged] == []
