"""Requests as an attacker would send them: mostly to where something happens, each with something odd in it.

The same number gives the same request, so that one that did harm can be sent again alone.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")
Header = tuple[bytes, bytes]

BOUNDARY = "x-boundary"
MULTIPART = (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())
JSON = (b"content-type", b"application/json")

ROUTES = [
    ("POST", "exec"),
    ("POST", "exec"),
    ("POST", "run/exec"),
    ("POST", "upload"),
    ("POST", "upload/batch"),
    ("GET", "files/*"),
    ("GET", "files/*/*"),
    ("GET", "download/*/*"),
    ("GET", "download/*/*"),
    ("GET", "sessions/*"),
    ("GET", "sessions/*/objects/*"),
    ("GET", "file/*/*/content"),
    ("DELETE", "sessions/*/objects/*"),
    ("DELETE", "files/*/*"),
    ("DELETE", "sessions/*"),
    ("GET", "*"),
    ("GET", "openapi.json"),
]
NASTY = [
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "é" * 200,
    "x" * 5000,
    "~",
    "@",
    "-",
    "a\r\nX-Evil: 1",
    '"; filename="other',
    "%2e%2e%2f",
    "\\..\\..",
    "CON",
    "\u202egnp.exe",
    "bytes=0-",
    "bytes=-1",
    "bytes=5-2",
    "9" * 400,
    "-1",
    "\ud800",
    "",
]
BROKEN = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"lang":"py","code":"' + b"\xff\xfe" + b'"}',
    b'{"lang":"py","code":"x","code":"y","timeout":1e999}',
    b'{"lang":"py","code":"\\ud800","args":["\\udfff"]}',
    b'{"lang":"py","code":"x","timeout":NaN}',
    b'{"lang":"py","code":"x","files":[null,1,[]]}',
    b"\xef\xbb\xbf{}",
]
DETAILS = ["simple", "summary", "full", "normalized"]
QUERY = ["kind", "id", "version", "detail", "entity_id", "session_id", "x"]
HEADERS = [
    "content-type",
    "content-length",
    "range",
    "if-range",
    "if-none-match",
    "x-api-key",
    "authorization",
    "x-request-id",
    "x-codeapi-expected-profile",
    "origin",
    "accept-encoding",
    "user-id",
    "transfer-encoding",
    "expect",
    "access-control-request-method",
]
FIELDS = [
    "lang",
    "code",
    "args",
    "files",
    "session_id",
    "timeout",
    "user_id",
    "entity_id",
    "runtime_session_hint",
]
REFERENCE = ["id", "name", "session_id", "storage_session_id", "kind", "resource_id", "version", "path"]
FORM = ["file", "file", "kind", "id", "version", "entity_id", "read_only", "x"]


@dataclass(frozen=True)
class Request:
    """Below HTTP parsing: `path` as on the wire, `chunks` as they arrive."""

    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[Header, ...] = ()
    chunks: tuple[bytes, ...] = ()


def execution(code: str, **fields: Any) -> Request:
    body = json.dumps({"lang": "py", "code": code} | fields).encode()
    return Request("POST", b"/v1/exec", headers=(JSON,), chunks=(body,))


def form(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    """Each part is its name, its file name if it has one, and its bytes."""
    body = b""
    for name, filename, value in parts:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("utf-8", "surrogatepass")
        body += head + value + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


class Attacker:
    """Knows `ids`, and may use those that it should not know."""

    def __init__(self, number: int, ids: Sequence[str]) -> None:
        self._random = Random(number)  # noqa: S311 - to be the same again
        self._ids = ids

    def request(self) -> Request:
        method, route = self._one(ROUTES)
        words = [self._segment() if part == "*" else part.encode() for part in route.split("/")]
        prefix = self._mostly(b"/v1/", b"/", b"//v1//", b"/v1/../v1/", b"/k/secret/v1/")
        tail = self._mostly(b"", b"/", b"//", b"%00", b"/..")
        query = b"&".join(self._one(QUERY).encode() + b"=" + _quoted(self._value()) for _ in self._some(3))
        extra = [(self._one(HEADERS).encode(), _header_value(self._text())) for _ in self._some(2)]
        headers, chunks = self._body("upload" in route) if method == "POST" else ((), ())
        method = self._mostly(method, "GET", "HEAD", "OPTIONS", "PUT", "X")
        return Request(method, prefix + b"/".join(words) + tail, query, (*headers, *extra), chunks)

    def _segment(self) -> bytes:
        return self._any(
            lambda: self._one(self._ids).encode(),
            lambda: self._one(self._ids).encode(),
            lambda: _quoted(self._text()),
            lambda: self._noise(25).translate(None, b"?#"),
        )

    def _body(self, multipart: bool) -> tuple[tuple[Header, ...], tuple[bytes, ...]]:
        """The headers that go with a body, and its chunks."""
        kinds: dict[str, Callable[[], tuple[tuple[Header, ...], tuple[bytes, ...]]]] = {
            "json": lambda: ((JSON,), (self._execution(),)),
            "form": lambda: ((MULTIPART,), (self._form(),)),
            "torn": lambda: ((MULTIPART,), self._torn(self._form())),
            "noise": lambda: ((), (self._noise(60),)),
        }
        usual = ["form", "form", "torn", "json", "noise"] if multipart else ["json"] * 4 + ["form", "noise"]
        return kinds[self._one(usual)]()

    def _execution(self) -> bytes:
        if self._random.random() < 0.15:
            return self._one(BROKEN)
        document: Any = {"lang": self._one(["py", "bash"]), "code": self._text()}
        if self._random.random() < 0.6:
            references = [{self._one(REFERENCE): self._text() for _ in self._some(6)} for _ in self._some(4)]
            document["files"] = references
        if self._random.random() < 0.3:
            document |= {"session_id": self._text(), "args": [self._text() for _ in self._some(3)]}
        if self._random.random() < 0.3:
            document |= {self._one(FIELDS): self._odd() for _ in self._some(3)}
        return json.dumps(document if self._random.random() < 0.95 else self._odd()).encode()

    def _odd(self) -> Any:
        return self._one(
            [None, True, 0, -1, 10**400, 1e308, float("nan"), self._text(), [self._text()], {self._text(): 1}]
        )

    def _form(self) -> bytes:
        parts = [
            (self._one(FORM), self._one([None, self._text(), self._text()]), self._noise(40))
            for _ in self._some(4)
        ]
        return form(parts)

    def _torn(self, body: bytes) -> tuple[bytes, ...]:
        """In pieces, and often not all of it."""
        at = sorted(self._random.randrange(len(body) + 1) for _ in self._some(3))
        pieces = tuple(body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True))
        return pieces if self._random.random() < 0.5 else pieces[:-1]

    def _value(self) -> str:
        return self._one(DETAILS) if self._random.random() < 0.3 else self._text()

    def _text(self) -> str:
        return self._any(
            lambda: self._one(self._ids),
            lambda: f"{self._one(self._ids)}/{self._one(self._ids)}",
            lambda: self._one(NASTY),
            lambda: "".join(self._random.choices(string.printable, k=self._random.randrange(30))),
            lambda: "".join(chr(self._random.randrange(0x3000)) for _ in self._some(20)),
        )

    def _noise(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(most))

    def _mostly(self, usual: T, *others: T) -> T:
        """Most of what is odd should come to where it matters."""
        return usual if self._random.random() < 0.9 else self._one(others)

    def _any(self, *ways: Callable[[], T]) -> T:
        return self._one(ways)()

    def _one(self, things: Sequence[T]) -> T:
        return self._random.choice(things)

    def _some(self, most: int) -> range:
        return range(self._random.randrange(most + 1))


def _quoted(text: str) -> bytes:
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()


def _header_value(text: str) -> bytes:
    """As bytes that an HTTP parser lets through."""
    raw = text.encode("utf-8", "surrogatepass")
    return bytes(byte for byte in raw if byte >= 32 and byte != 127)
