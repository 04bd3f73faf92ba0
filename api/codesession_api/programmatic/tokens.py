"""Continuation tokens: what has to be known to go on with a program, signed, so that any replica can.

A token is only good for the principal it was made for, who is part of what is signed and not of the token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from codesession_api.ports import Principal

_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class Continuation:
    """A program that waits. `expires` is in seconds since the epoch."""

    session: str
    run: str
    round: int
    expires: float
    language: str
    seconds: float
    """What the program may run from one batch of calls to the next."""
    tools: list[str]
    """The names that it may call."""
    files: list[dict[str, Any]]
    """The references to its inputs, as the client gave them."""
    notes: list[str]
    """What the model is to be told in the end."""


def sign(key: bytes, continuation: Continuation, by: Principal) -> str:
    packed = zlib.compress(json.dumps(asdict(continuation)).encode("ascii"))
    return base64.urlsafe_b64encode(_mac(key, packed, by) + packed).decode().rstrip("=")


def read(key: bytes, token: str, by: Principal, now: float) -> Continuation | None:
    """None for a token that is expired, another principal's, or none at all."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, packed = data[:_MAC_BYTES], data[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, packed, by)):
        return None
    continuation = Continuation(**json.loads(zlib.decompress(packed)))
    return continuation if now < continuation.expires else None


def _mac(key: bytes, packed: bytes, by: Principal) -> bytes:
    whole = f"continuation\0{by.tenant}\0{by.principal}\0".encode() + packed
    return hmac.new(key, whole, hashlib.sha256).digest()
