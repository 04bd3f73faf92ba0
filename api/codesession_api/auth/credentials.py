"""What a request presents as proof of who it is from. Nothing is judged here."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.datastructures import Headers

from codesession_api.settings import Way

PATH_KEY = "codesession.path_key"
"""Where the ASGI scope holds the key that was in the path."""

_PATH_KEY = re.compile(r"/+k/+([^/]+)(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credential:
    """One key or token as its bytes were sent; empty when it could not be read, which nobody's is."""

    way: Way
    secret: bytes = field(repr=False)


def take_path_key(path: str) -> tuple[str, str | None]:
    """`/k/KEY/v1/exec` as `/v1/exec` and `KEY`; any other path as it is, and None."""
    match = _PATH_KEY.fullmatch(path)
    return (match[2] or "/", match[1]) if match else (path, None)


def presented(headers: Headers, path_key: str | None = None) -> list[Credential]:
    """All of them, also what is sent twice: a header without a value presents nothing."""
    found = [Credential("api-key", key) for key in _values(headers, "x-api-key")]
    found += [credential for value in _values(headers, "authorization") for credential in _authorized(value)]
    if path_key is not None:
        found.append(Credential("path-key", path_key.encode()))
    return found


def _values(headers: Headers, name: str) -> Iterator[bytes]:
    # Starlette decodes as latin-1, which gives every byte back as it came.
    return (value.encode("latin-1") for value in headers.getlist(name) if value)


def _authorized(header: bytes) -> Iterator[Credential]:
    scheme, _, value = header.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            value = value.strip()
            yield Credential("jwt" if value.count(b".") == 2 else "api-key", value)
        case b"basic":
            yield Credential("basic", _basic(value.strip()))


def _basic(value: bytes) -> bytes:
    """The password, or the name where there is none: in a URL, `any:KEY@host` or `KEY@host`."""
    try:
        name, _, password = base64.b64decode(value, validate=True).partition(b":")
    except ValueError:
        return b""
    return password or name
