"""The keys file: `tenant:sha256-hex-of-the-key` lines, so that who reads it has no key."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from codesession_api.auth.principals import of_keys
from codesession_api.auth.reloaded import Reloaded
from codesession_api.ports import Principal

_LINE = re.compile(r"([^\s:#][^\s:]*):([0-9a-f]{64})")


class ApiKeys:
    """Raises SettingsError when the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._known = Reloaded(
            "CODESESSION_API_KEYS_FILE", lambda: [path], lambda: parse(path.read_text(encoding="utf-8"))
        )

    def __call__(self, key: bytes) -> Principal | None:
        """Whose key it is. All are compared, in constant time each, whichever it is."""
        given = hashlib.sha256(key).digest()
        found = None
        for known, principal in self._known.current():
            if hmac.compare_digest(known, given):
                found = principal
        return found if key else None


def parse(text: str) -> list[tuple[bytes, Principal]]:
    """SHA-256 digests and whose they are. ValueError names the line and never what it holds."""
    known = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not `tenant:sha256-hex-of-the-key`")
        known.append((bytes.fromhex(match[2]), of_keys(match[1])))
    return known
