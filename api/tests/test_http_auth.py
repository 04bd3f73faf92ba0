"""Every way to prove who one is, over a socket; and that nothing of it is ever written down."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from codesession_api.auth import claims

pytestmark = pytest.mark.sandbox

KEY = "key-of-acme-1f3a"
WRONG = "wrong-key-9d4e"
SIGNER = Ed25519PrivateKey.generate()
LISTING = "files/" + "S" * 21


def token(signer: Ed25519PrivateKey = SIGNER, sub: str = "user-5c") -> str:
    now = int(time.time())
    made = {"iss": "librechat", "aud": "codeapi", "sub": sub, "iat": now, "nbf": now, "exp": now + 300}
    made |= {"jti": "1", "tenant_id": "t-8a", "role": "USER", "principal_source": "librechat_jwt"}
    made["auth_context_hash"] = claims.context_hash(made)
    return jwt.encode(made, signer, "EdDSA", headers={"kid": "lc"})


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    directory = tmp_path_factory.mktemp("auth")
    (directory / "keys").write_text(f"acme:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    (directory / "jwt").mkdir()
    pem = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "jwt/lc.pem").write_bytes(pem)
    run_server = request.getfixturevalue("run_server")
    settings = {"auth": "api-key, basic,path-key,jwt", "api_keys_file": directory / "keys"}
    with run_server(directory, **settings, jwt_keys=directory / "jwt", log_level="debug") as server:
        yield server


KEY_HEADER, BEARER = {"X-API-Key": KEY}, {"Authorization": "Bearer TOKEN"}


def minted(headers: dict[str, str]) -> dict[str, str]:
    """With tokens of now, not of when these tests were collected."""
    made = {"TOKEN": token(), "FORGED": token(Ed25519PrivateKey.generate())}
    return {
        name: re.sub("TOKEN|FORGED", lambda found: made[found[0]], text) for name, text in headers.items()
    }


@pytest.mark.parametrize(
    ("base", "headers", "status"),
    [
        ("/v1", {}, 401),
        ("/v1", KEY_HEADER, 200),
        ("/v1", {"Authorization": f"Bearer {KEY}"}, 200),
        ("/v1", BEARER, 200),
        ("/v1", KEY_HEADER | BEARER, 200),
        (f"/k/{KEY}/v1", {}, 200),
        (f"/k/{KEY}", {}, 200),
        (f"//k//{KEY}//v1/", {}, 200),
        (f"/k/{KEY}/v1", BEARER, 200),
        (f"/k/{WRONG}/v1", {}, 401),
        (f"/k/{WRONG}/v1", BEARER, 401),
        (f"/v1/k/{KEY}", {}, 404),
        ("/v1", {"X-API-Key": WRONG}, 401),
        ("/v1", {"X-API-Key": WRONG} | BEARER, 401),
        ("/v1", KEY_HEADER | {"Authorization": "Bearer FORGED"}, 401),
        ("/v1", {"Authorization": f"Bearer {WRONG}"}, 401),
    ],
)
def test_what_is_presented_decides(guarded: Any, base: str, headers: dict[str, str], status: int) -> None:
    response = httpx.get(f"{guarded.url}{base}/{LISTING}", headers=minted(headers))
    assert response.status_code == status
    if status == 401:
        assert set(response.json()) == {"error", "message"}
        schemes = re.findall(r'([\w-]+) realm="codesession"', response.headers["www-authenticate"])
        assert schemes == ["Basic", "Bearer", "Path-Key"]


@pytest.mark.parametrize("user", [f"any:{KEY}", f"{KEY}:", KEY, f":{KEY}"])
def test_a_key_may_be_in_the_url_as_a_user(guarded: Any, user: str) -> None:
    url = guarded.url.replace("http://", f"http://{user}@")
    assert httpx.get(f"{url}/v1/{LISTING}").status_code == 200
    assert httpx.get(f"{url.replace(KEY, WRONG)}/v1/{LISTING}").status_code == 401


def test_a_run_is_served_by_every_way(guarded: Any) -> None:
    body = {"lang": "bash", "code": "echo 4$((1+1))"}
    for base, headers in (("/v1", BEARER), (f"/k/{KEY}/v1", {}), ("/v1", KEY_HEADER)):
        response = httpx.post(f"{guarded.url}{base}/exec", json=body, headers=minted(headers), timeout=60)
        assert response.json()["stdout"] == "42\n"


def test_people_of_one_tenant_have_sessions_of_their_own(guarded: Any) -> None:
    def session(sub: str, **fields: str) -> str:
        headers = {"Authorization": f"Bearer {token(sub=sub)}"}
        body = {"lang": "bash", "code": "true", **fields}
        response = httpx.post(f"{guarded.url}/v1/exec", json=body, headers=headers, timeout=60)
        return str(response.json()["session_id"])

    of_ann = session("ann")
    assert session("ann", session_id=of_ann) == of_ann
    assert session("bob", session_id=of_ann) != of_ann


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", f"/k/{WRONG}/v1/health"])
def test_health_asks_nobody_and_tells_no_names(guarded: Any, path: str) -> None:
    response = httpx.get(guarded.url + path, headers={"X-API-Key": WRONG})
    assert response.status_code == 200
    known = {"status", "sandboxes", "storage", "isolation", "seconds_since_last_run", "version"}
    assert set(response.json()) <= known
    assert str(guarded.log.parent) not in response.text


def raw(address: str, request: bytes) -> bytes:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def written(line: bytes, header: bytes) -> bytes:
    text = line + b"\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    return text.replace(b"SECRET", WRONG.encode()).replace(b"LISTING", LISTING.encode())


RAW = [
    (b"GET /k/SECRET/v1/\xff HTTP/1.1", b"A: b", 400),
    (b"GET /k/SECRET%ff%00%2f/v1/LISTING HTTP/1.1", b"A: b", 401),
    (b"GET http://x/k/SECRET/v1/LISTING HTTP/1.1", b"A: b", 401),
    (b"BREW /k/SECRET/v1/LISTING HTTP/1.1", b"A: b", 400),
    (b"PUT /k/SECRET/v1/LISTING HTTP/1.1", b"A: b", 405),
    (b"GET /k/SECRET/v1/LISTING HTTP/9.9", b"A: b", 400),
    (b"GET /v1/LISTING HTTP/1.1", b"X-API-Key: SECRET\xff\xfe", 401),
    (b"GET /v1/LISTING HTTP/1.1", b"X-API-Key: ", 401),
    (b"GET /v1/LISTING HTTP/1.1", b"Authorization: ", 401),
    (b"GET /v1/LISTING HTTP/1.1", b"Authorization: Basic \xff", 401),
    (b"GET /v1/LISTING HTTP/1.1", b"Authorization: Bearer SECRET.\xff.c", 401),
]


@pytest.mark.parametrize(("line", "header", "status"), RAW)
def test_what_no_library_sends_is_refused_in_silence(
    guarded: Any, line: bytes, header: bytes, status: int
) -> None:
    answer = raw(guarded.url, written(line, header))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert WRONG.encode() not in answer


def test_two_keys_must_both_be_good(guarded: Any) -> None:
    for keys, status in (([KEY, KEY], 200), ([KEY, WRONG], 401), ([WRONG, KEY], 401)):
        headers = [("X-API-Key", key) for key in keys]
        assert httpx.get(f"{guarded.url}/v1/{LISTING}", headers=headers).status_code == status


def test_nothing_that_was_presented_is_told_to_anybody(guarded: Any) -> None:
    """At the level debug; after good answers, refusals, unknown routes and broken requests."""
    said, good, forged = "", token(), token(Ed25519PrivateKey.generate())
    for key, bearer in ((KEY, good), (WRONG, forged), (WRONG, forged[:-9]), (KEY, "a.b.c")):
        for path in (LISTING, "none", "health", "files/short", f"{LISTING}?detail=wrong", f"{LISTING}/x/y/"):
            for base in (f"/k/{key}/v1", f"//k//{key}//v1", "/v1"):
                headers = {"X-API-Key": key, "Authorization": f"Bearer {bearer}", "X-Request-Id": "1-2"}
                response = httpx.get(f"{guarded.url}{base}/{path}", headers=headers)
                said += f"{response.status_code} {response.headers} {response.text}\n"
        broken = httpx.post(f"{guarded.url}/k/{key}/v1/exec", content=b'{"lang":', headers=minted(BEARER))
        said += f"{broken.headers} {broken.text}\n"
    for line, header, _ in RAW:
        said += raw(guarded.url, written(line, header)).decode("latin-1")
    guarded.wait_for_log("GET /files/{session_id} 401", 1)
    logged = guarded.log.read_text()
    assert "GET /files/{session_id} 200" in logged
    parts = [part for each in (good, forged) for part in each.split(".")]
    secrets = [KEY, WRONG, *parts, "user-5c", "t-8a", hashlib.sha256(KEY.encode()).hexdigest()]
    assert [secret for secret in secrets if secret in said + logged] == []


def test_where_keys_in_the_path_are_off_such_a_path_is_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"acme:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    run_server = request.getfixturevalue("run_server")
    with run_server(
        tmp_path, auth="api-key,basic", api_keys_file=tmp_path / "keys", log_level="debug"
    ) as server:
        for headers in ({}, KEY_HEADER):
            response = httpx.get(f"{server.url}/k/{KEY}/v1/{LISTING}", headers=headers)
            assert response.status_code == 404
            assert response.json()["error"] == "not_found"
            assert KEY not in response.text
        assert httpx.get(f"{server.url}/v1/{LISTING}", headers=minted(BEARER)).status_code == 401
        assert httpx.get(f"{server.url}/v1/{LISTING}", headers=minted(KEY_HEADER | BEARER)).status_code == 200
        assert KEY not in server.log.read_text()
