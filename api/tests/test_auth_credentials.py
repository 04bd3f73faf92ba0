from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from codesession_api.auth.credentials import PATH_KEY, presented, take_path_key
from codesession_api.middleware import Edge, plain


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        ([("X-API-Key", "k1")], [("api-key", b"k1")]),
        ([("x-api-key", "")], []),
        ([("X-API-Key", "k1"), ("X-API-Key", "k2")], [("api-key", b"k1"), ("api-key", b"k2")]),
        ([("Authorization", "")], []),
        ([("Authorization", "Bearer k1")], [("api-key", b"k1")]),
        ([("Authorization", "bearer  k1 ")], [("api-key", b"k1")]),
        ([("Authorization", "Bearer")], [("api-key", b"")]),
        ([("Authorization", "Bearer a.b.c")], [("jwt", b"a.b.c")]),
        ([("Authorization", "Bearer a.b")], [("api-key", b"a.b")]),
        ([("Authorization", "Digest k1")], []),
        ([("Authorization", "k1")], []),
        ([("Authorization", basic("user:k1"))], [("basic", b"k1")]),
        ([("Authorization", basic("k1:"))], [("basic", b"k1")]),
        ([("Authorization", basic("k1"))], [("basic", b"k1")]),
        ([("Authorization", basic(":k1:2"))], [("basic", b"k1:2")]),
        ([("Authorization", basic("ü:schlüssel"))], [("basic", "schlüssel".encode())]),
        ([("Authorization", basic(":"))], [("basic", b"")]),
        ([("Authorization", "Basic")], [("basic", b"")]),
        ([("Authorization", "Basic not*base64")], [("basic", b"")]),
        ([("Authorization", "Basic a")], [("basic", b"")]),
        (
            [("X-API-Key", "k1"), ("Authorization", "Bearer a.b.c"), ("Authorization", basic("u:k2"))],
            [("api-key", b"k1"), ("jwt", b"a.b.c"), ("basic", b"k2")],
        ),
    ],
)
def test_what_headers_present(headers: list[tuple[str, str]], expected: list[tuple[str, bytes]]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    found = presented(Headers(raw=raw))
    assert [(credential.way, credential.secret) for credential in found] == expected
    assert not any(secret.decode() in repr(found) for _, secret in expected if secret)


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", "schlüssel".encode(), b"Bearer \xff", b"Basic \xff\xff", b"\x01"]
)
def test_bytes_that_are_no_ascii_are_taken_as_they_are(value: bytes) -> None:
    assert presented(Headers(raw=[(b"x-api-key", value)]))[0].secret == value
    presented(Headers(raw=[(b"authorization", value)]))


@pytest.mark.parametrize(
    ("path", "rest", "key"),
    [
        ("/k/SECRET/v1/exec", "/exec", "SECRET"),
        ("//k//SECRET//v1//exec", "/exec", "SECRET"),
        ("/k/SECRET/exec", "/exec", "SECRET"),
        ("/k/SECRET/v1/", "/", "SECRET"),
        ("/k/SECRET/", "/", "SECRET"),
        ("/k/SECRET", "/", "SECRET"),
        ("/k/a\nb/exec", "/exec", "a\nb"),
        ("/k/schlüssel/v1/files/x", "/files/x", "schlüssel"),
        ("/k/one/k/two/exec", "/k/two/exec", "one"),
        ("/k/", "/k", None),
        ("/k", "/k", None),
        ("/key/SECRET/exec", "/key/SECRET/exec", None),
        ("/v1/k/SECRET/exec", "/k/SECRET/exec", None),
        ("/v1/exec", "/exec", None),
        ("k/SECRET/exec", "k/SECRET/exec", None),
        ("*", "*", None),
    ],
)
def test_a_key_in_the_path_is_taken_off_it(path: str, rest: str, key: str | None) -> None:
    left, taken = take_path_key(path)
    assert (plain(left), taken) == (rest, key)
    assert [credential.secret for credential in presented(Headers(), taken)] == (
        [key.encode()] if key else []
    )


@pytest.mark.parametrize(("on", "path"), [(True, "/files/x y"), (False, "/k/SECRET/v1/files/x y")])
async def test_routes_see_a_path_without_the_key(on: bool, path: str) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/k/SECRET/v1/files/x y",
        "raw_path": b"/k/SECRET/v1/files/x%20y",
    }
    await Edge(app, path_keys=on)({**scope, "headers": []}, nowhere, nowhere)
    assert seen["path"] == path
    assert seen["raw_path"] == path.replace(" ", "%20").encode()
    assert seen.get(PATH_KEY) == ("SECRET" if on else None)


async def nowhere(*_: Any) -> Any:
    raise AssertionError("nothing is read or sent")
