"""Paths, dialects, refusals and health, as plain HTTP."""

from __future__ import annotations

import httpx
import pytest

from e2e.clients.librechat import LibreChat
from e2e.targets import Target

PRINT = {"lang": "py", "code": "print(1)"}


@pytest.mark.parametrize("path", ["/v1/exec", "/exec", "/v1//exec", "//exec"])
def test_exec_answers_under_every_base(http: httpx.Client, path: str) -> None:
    assert http.post(f"{http.base_url}{path}", json=PRINT).json()["stdout"] == "1\n"


@pytest.mark.parametrize("base", ["/v1/", "/"])
def test_a_base_url_may_end_with_a_slash(target: Target, base: str) -> None:
    """3.1 then asks for `//exec`."""
    with LibreChat("3.1.63", target.url + base, target.key) as client:
        assert client.python("print(1)").stdout.strip() == "1"


def test_files_are_had_bare_and_below_v1(http: httpx.Client) -> None:
    stored = http.post("/upload", files={"file": ("a.csv", b"1")}).json()
    session, file = stored["session_id"], stored["files"][0]["fileId"]
    for base in ("", "/v1", "/"):
        url = f"{http.base_url}{base}"
        assert http.get(f"{url}/files/{session}").json()[0].startswith(f"{session}/{file}")
        assert http.get(f"{url}/download/{session}/{file}").content == b"1"


def test_an_answer_speaks_both_dialects(http: httpx.Client) -> None:
    answer = http.post("/v1/exec", json={"lang": "bash", "code": "echo x > a.txt"}).json()
    (file,) = answer["files"]
    assert file["session_id"] == file["storage_session_id"] == answer["session_id"]


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ({}, "session_id"),
        ({"entity_id": "agent_abc"}, "session_id"),
        ({"kind": "agent", "id": "agent_abc"}, "storage_session_id"),
    ],
)
def test_references_of_both_dialects_are_understood(
    http: httpx.Client, scope: dict[str, str], named: str
) -> None:
    stored = http.post("/v1/upload", data=scope, files={"file": ("a.csv", b"1,2")}).json()
    reference = {"id": stored["files"][0]["fileId"], named: stored[named], "name": "a.csv"}
    ran = http.post("/v1/exec", json={"lang": "bash", "code": "cat a.csv", "files": [reference]})
    assert ran.json()["stdout"] == "1,2"


def test_what_a_client_leaks_is_ignored(http: httpx.Client) -> None:
    leaked = {
        "LIBRECHAT_CODE_API_KEY": "k",
        "codeSessionKey": "execute_code",
        "runtime_session_hint": "v2:user",
    }
    assert http.post("/v1/exec", json=PRINT | leaked).json()["stdout"] == "1\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"lang": "py"}', 422),
        (b'{"code": "1"}', 422),
        (b'{"lang": 1, "code": {}}', 422),
    ],
)
def test_a_broken_request_is_refused_with_a_reason(http: httpx.Client, body: bytes, status: int) -> None:
    answer = http.post("/v1/exec", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/files/not-an-id"), ("GET", "/v1/download/a/b"), ("DELETE", "/v1/sessions/..%2Fetc")],
)
def test_an_id_that_is_none_is_refused(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]


def test_an_upload_without_a_file_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/upload", files={"kind": (None, "user")})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_upload_cannot_leave_its_folder(http: httpx.Client) -> None:
    stored = http.post("/v1/upload", files={"file": ("../../etc/cron.d/x", b"1")}).json()
    (entry,) = http.get(f"/v1/files/{stored['session_id']}", params={"detail": "normalized"}).json()
    assert ".." not in entry["name"]
    assert not entry["name"].startswith("/")


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/v1/health"])
def test_it_is_well(target: Target, path: str) -> None:
    """Nobody has to show a key for it."""
    answer = httpx.get(target.url + path, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_health_names_the_isolation(target: Target) -> None:
    isolation = httpx.get(f"{target.url}/health", trust_env=False).json()["isolation"]
    assert isolation in ({"gvisor"} if target.name == "cluster" else {"runsc", "bubblewrap"})


def test_connections_are_closed_but_for_exec(http: httpx.Client) -> None:
    assert http.get(f"/v1/files/{'a' * 21}").headers["connection"] == "close"


def test_sessions_do_not_see_each_others_files(http: httpx.Client) -> None:
    write = "echo secret-4711 > /mnt/data/secret.txt; echo secret-4711 > /tmp/secret.txt"
    first = http.post("/v1/exec", json={"lang": "bash", "code": write}).json()
    search = "ls -A /mnt/data; grep -rsl secret-4711 /mnt /tmp /home /var /run || true"
    second = http.post("/v1/exec", json={"lang": "bash", "code": search}).json()
    assert second["session_id"] != first["session_id"]
    # Of the run's own code, which holds the word too, there is no copy in a place where it looks but /tmp.
    assert [line for line in second["stdout"].split() if not line.startswith("/tmp/run-")] == []
