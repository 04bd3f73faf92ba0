"""The playground's files and their headers. What people see is in `e2e/tests/contract/test_playground.py`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from codesession_api.routes import playground
from codesession_api.settings import load
from fakes import Api, serving

NAMED = re.compile(r'(?:href|src)="([^"]+)"')


async def get(
    api: Api, path: str, status: int = 200, headers: dict[str, str] | None = None
) -> httpx.Response:
    # Not a request of the document: the tests' client would look for the route in it.
    response = await api.client.send(api.client.build_request("GET", path, headers=headers))
    assert response.status_code == status, response.text
    return response


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"acme:{hashlib.sha256(b'key').hexdigest()}\n")
    return path


@pytest.mark.parametrize("place", ["/playground", "/playground/", "/v1/playground", "/k/key/playground"])
async def test_the_page_and_all_it_names_are_there_wherever_it_is_asked_for(
    tmp_path: Path, keys: Path, place: str
) -> None:
    async with serving(tmp_path, auth="api-key,path-key", api_keys_file=keys) as api:
        page = await get(api, place)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        names = NAMED.findall(page.text)
        assert {name.rpartition(".")[2] for name in names} == {"js", "css", "svg", "txt"}
        for name in names:
            part = await get(api, urljoin(place, name))
            hashed = "-" in name
            assert part.headers["cache-control"] == (
                "public, max-age=31536000, immutable" if hashed else "no-cache"
            )
            guarded(part)
        guarded(page)


def guarded(response: httpx.Response) -> None:
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == policy["trusted-types"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob:"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("ways", "headers", "credential"),
    [
        ("none", {}, None),
        ("api-key", {}, "api-key"),
        ("api-key", {"X-API-Key": "wrong"}, "api-key"),
        ("jwt", {}, "jwt"),
        ("basic", {}, None),
        ("api-key,basic", {"Authorization": "Basic a2V5Og=="}, None),
    ],
)
async def test_the_page_is_told_what_to_ask_for(
    tmp_path: Path, keys: Path, ways: str, headers: dict[str, str], credential: str | None
) -> None:
    (tmp_path / "jwt").mkdir()
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "jwt/one.pem").write_bytes(pem)
    given: dict[str, Any] = {"api_keys_file": keys, "jwt_keys": tmp_path / "jwt", "languages": "bash,py"}
    async with serving(tmp_path, auth=ways, **given) as api:
        offer = await get(api, "/playground/offer.json", headers=headers)
        assert offer.json() == {"languages": ["bash", "py"], "credential": credential, "sessions": True}
        assert offer.headers["cache-control"] == "no-store"
        guarded(offer)


async def test_nothing_else_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for path in ("settings.py", "..%2fsettings.py", "../settings.py", "%2e%2e/app.py", "main.js"):
            await get(api, f"/playground/{path}", 404)


async def test_it_can_be_off(tmp_path: Path) -> None:
    async with serving(tmp_path, playground=False) as api:
        for path in ("/playground", "/playground/offer.json", "/playground/licenses.txt"):
            refused = await get(api, path, 404)
            assert refused.json()["message"] == "There is no such route."


def test_a_cluster_has_it_where_that_is_said() -> None:
    cluster = {"s3_endpoint": "s3", "s3_access_key": "a", "s3_secret_key": "b"}
    assert not playground.wanted(load(**cluster))
    assert playground.wanted(load(playground=True, **cluster))
    assert playground.wanted(load(backend="local"))
