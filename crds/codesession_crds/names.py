"""Ids of sessions and files.

Where no authentication is configured an id is its own proof, so it comes from `secrets`: 26 * 36**20 values
are 108 bits. A session's id is also the name of its pod and its volume claim, hence a DNS label.
"""

from __future__ import annotations

import re
import secrets
import string

ID_LENGTH = 21
ID_PATTERN = r"^[a-z][a-z0-9]{20}$"

_LETTERS = string.ascii_lowercase
_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile(ID_PATTERN)
_WIRE_ID = re.compile(r"^[A-Za-z0-9_-]{21}$")


def new_id() -> str:
    """A fresh id: 21 characters `[a-z0-9]`, the first a letter."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH - 1))


def is_id(value: str) -> bool:
    """Whether `value` has the shape that `new_id` gives."""
    return _ID.fullmatch(value) is not None


def is_wire_id(value: str) -> bool:
    """Whether LibreChat's clients could have sent `value`: 21 characters `[A-Za-z0-9_-]`."""
    return _WIRE_ID.fullmatch(value) is not None
