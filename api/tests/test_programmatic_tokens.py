"""Continuation tokens: read by any replica that has the key, for the principal they were made for."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from codesession_api.ports import Principal
from codesession_api.programmatic.tokens import Continuation, read, sign

KEY = b"k" * 32
OWNER = Principal("t" * 32, "p" * 32)
WAITING = Continuation("s" * 21, "run", 3, 1000.0, "py", 15.0, ["ü"], [{"id": "f", "name": "a"}], ["note"])


def altered(token: str) -> str:
    data = bytearray(base64.urlsafe_b64decode(token + "=="))
    data[-1] ^= 1
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_token_says_what_was_signed() -> None:
    assert read(KEY, sign(KEY, WAITING, OWNER), OWNER, 999.9) == WAITING


@pytest.mark.parametrize(
    ("key", "by", "now", "change"),
    [
        (KEY, OWNER, 1000.0, str),
        (b"other", OWNER, 0.0, str),
        (KEY, Principal("t" * 32, "q" * 32), 0.0, str),
        (KEY, Principal("u" * 32, "p" * 32), 0.0, str),
        (KEY, OWNER, 0.0, altered),
        (KEY, OWNER, 0.0, lambda token: token[:-8]),
        (KEY, OWNER, 0.0, lambda token: ""),
        (KEY, OWNER, 0.0, lambda token: "tok-1"),
        (KEY, OWNER, 0.0, lambda token: "ü" + token),
        (KEY, OWNER, 0.0, lambda token: token + "\n"),
    ],
)
def test_any_other_is_none(key: bytes, by: Principal, now: float, change: Callable[[str], str]) -> None:
    assert read(key, change(sign(KEY, WAITING, OWNER)), by, now) is None
