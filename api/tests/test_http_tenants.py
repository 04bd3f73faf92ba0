"""With keys: whoever has none is refused, another tenant's ids are as good as none. And what is logged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from codesession_api.app import create_app
from codesession_api.ports import Objects, Sandboxes
from codesession_api.settings import load
from codesession_crds.names import new_id

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


PUBLIC = {"/livez", "/readyz", "/health", "/openapi.json", "/playground", "/playground/{path:path}"}
MODELS = {"/mcp", "/sse", "/sse/messages"}
"""Their messages are of a protocol of its own, whose clients ask for another's in `test_mcp` of e2e."""


def routes() -> list[tuple[str, str]]:
    """Every method and path that the application serves to somebody only."""
    app = create_app(load(backend="local", auth="none"), cast(Sandboxes, None), cast(Objects, None))
    found = [route for route in iter_route_contexts(app.routes) if route.path not in PUBLIC]
    return [(method, route.path or "") for route in found for method in sorted(route.methods or ())]


@dataclass(frozen=True)
class Named:
    """A file as a request names it."""

    session_id: str
    file_id: str
    filename: str = "secret.csv"

    def in_path(self, path: str) -> str:
        """KeyError: a route has a new parameter, which needs a value here."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: vars(self)[found[1]], path)


def execution(file: Named) -> dict[str, Any]:
    refs = [
        {"id": file.file_id, "storage_session_id": file.session_id, "name": "new"},
        {"id": file.file_id, "session_id": file.session_id, "name": "old"},
    ]
    code = "cat /mnt/data/*; ls /mnt/data"
    return {"json": {"lang": "bash", "code": code, "files": refs, "session_id": file.session_id}}


def program(file: Named) -> dict[str, Any]:
    """What is in the file, or in the session, as the input of a call."""
    given = execution(file)["json"]
    return {"json": {**given, "tools": [], "timeout": 15000}}


def cancellation(file: Named) -> dict[str, Any]:
    return {"json": {"request_id": file.session_id}}


def upload(file: Named) -> dict[str, Any]:
    ids = {"session_id": file.session_id, "entity_id": file.session_id}
    return {"data": ids, "files": {"file": (file.filename, b"theirs")}}


BODIES: dict[str, Callable[[Named], dict[str, Any]]] = {
    "/exec": execution,
    "/run/exec": execution,
    "/exec/programmatic": program,
    "/exec/programmatic/cancel": cancellation,
    "/upload": upload,
    "/upload/batch": upload,
}


def ask(client: httpx.Client, method: str, path: str, file: Named) -> tuple[int, list[str], list[str]]:
    """Status, names of the headers, and body without what differs between any two answers: ids, numbers, the
    order of lines. KeyError: a new route takes a body, which needs one here that names the file."""
    given = {} if method in ("GET", "HEAD", "DELETE") else BODIES[path](file)
    response = client.request(method, file.in_path(path), **given)
    text = re.sub(r"[A-Za-z0-9_-]{21}", "ID", response.text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    # How long an answer is, is not said in one that was begun to keep the connection.
    headers = {*response.headers} - {"content-length", "transfer-encoding"}
    return response.status_code, sorted(headers), sorted(text.strip().split(r"\n"))


@pytest.mark.parametrize(("method", "path"), routes())
def test_without_a_key_nothing_is_served(guarded: Any, method: str, path: str) -> None:
    answers = []
    for headers in (
        {},
        {"X-API-Key": "wrong"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
    ):
        url = guarded.url + Named("S" * 21, "F" * 21).in_path(path)
        response = httpx.request(method, url, headers=headers)
        answers.append((response.status_code, response.text, response.headers["www-authenticate"]))
    assert answers[0][0] == 401
    assert method == "HEAD" or '"unauthorized"' in answers[0][1]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in routes() if path not in MODELS]
)
def test_another_tenants_ids_are_as_good_as_none(
    guarded: Any, stranger: httpx.Client, method: str, path: str
) -> None:
    ref = guarded.upload("secret.csv", b"secret")
    made = guarded.exec("open('secret.csv', 'w').write('secret')")
    uploaded = Named(ref["storage_session_id"], ref["id"])
    written = Named(made["session_id"], made["files"][0]["id"])
    before = [
        guarded.client.get(f"/files/{file.session_id}?detail=full").json() for file in (uploaded, written)
    ]
    assert all(len(listing) == 1 for listing in before)
    for file in (uploaded, written):
        nobodys = Named(new_id(), new_id())
        assert ask(stranger, method, path, file) == ask(stranger, method, path, nobodys)
    assert before == [
        guarded.client.get(f"/files/{file.session_id}?detail=full").json() for file in (uploaded, written)
    ]
    assert guarded.download(ref) == b"secret"
    assert guarded.exec("cat secret.csv", "bash", session_id=written.session_id)["stdout"] == "secret"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for method, path in routes()
        if not path.startswith("/upload") and "cancel" not in path and path not in ("/sessions", *MODELS)
    ],
)
def test_the_owners_ids_are_worth_more(guarded: Any, method: str, path: str) -> None:
    """Else the test above would show nothing. An upload names no file that there is, a list of sessions none;
    and that a step can be cancelled by its owner alone is shown with the programs that call tools."""
    made = guarded.exec("open('secret.csv', 'w').write('secret')")
    own = Named(made["session_id"], made["files"][0]["id"])
    other = Named(new_id(), new_id())
    assert ask(guarded.client, method, path, other) != ask(guarded.client, method, path, own)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/v1/health"])
def test_health_needs_no_key(guarded: Any, path: str) -> None:
    assert httpx.get(guarded.url + path).status_code == 200


def test_a_session_of_another_tenant_is_not_gone_on_with(guarded: Any, stranger: httpx.Client) -> None:
    session = guarded.exec("x = 1")["session_id"]
    body = {"lang": "bash", "code": "true", "session_id": session}
    assert stranger.post("/exec", json=body).json()["session_id"] != session
    assert stranger.delete(f"/sessions/{session}").status_code == 404
    assert guarded.exec("pass", session_id=session)["session_id"] == session


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
    assert re.search(r"GET /download/\{session_id\}/\S+ 200", logged)
    assert "GET (none) 404" in logged
    assert [secret for secret in [*secrets, session, ref["id"]] if secret in logged] == []
