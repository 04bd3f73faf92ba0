"""Who a request is from, as hashes: nothing behind this module sees a key or a name."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from codesession_api.errors import ApiError
from codesession_api.ports import Principal
from codesession_api.settings import Settings, SettingsError

log = logging.getLogger(__name__)

_RELOAD_SECONDS = 1.0
_LINE = re.compile(r"^([^\s:#][^\s:]*):([0-9a-f]{64})$")


class Authenticator(Protocol):
    def __call__(self, headers: Mapping[str, str]) -> Principal:
        """Whose request it is, by its headers (names in lower case). Raises ApiError."""
        ...


def authenticator(settings: Settings) -> Authenticator:
    """Raises SettingsError when no way was chosen, or when the chosen one cannot work."""
    if settings.auth == "none":
        return Anyone()
    if settings.auth == "api-key" and settings.api_keys_file is not None:
        return ApiKeys(settings.api_keys_file)
    raise SettingsError(
        "CODESESSION_AUTH must be chosen: `api-key`, or `none` to serve anyone who can connect"
    )


class Anyone:
    """No proof is asked for. All are one tenant, and a session's unguessable id is what protects it."""

    _anyone = Principal(tenant="0" * 32, principal="0" * 32)

    def __call__(self, headers: Mapping[str, str]) -> Principal:
        return self._anyone


class ApiKeys:
    """Keys in `X-API-Key`, known by their SHA-256; the file is read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, int, int] | None = None
        self._looked = 0.0
        self._tenants: list[tuple[bytes, Principal]] = []
        try:
            self._reload()
        except (OSError, ValueError) as error:
            raise SettingsError(f"CODESESSION_API_KEYS_FILE cannot be used: {error}") from None

    def __call__(self, headers: Mapping[str, str]) -> Principal:
        self._refresh()
        given = hashlib.sha256(headers.get("x-api-key", "").encode()).digest()
        found = None
        for known, principal in self._tenants:
            if hmac.compare_digest(known, given):
                found = principal
        if found is None:
            raise ApiError(401, "unauthorized", "A valid key is needed in the header X-API-Key.")
        return found

    def _refresh(self) -> None:
        """A file that turned bad does not lock everybody out: the keys of before stay in use."""
        now = time.monotonic()
        if now - self._looked < _RELOAD_SECONDS:
            return
        self._looked = now
        try:
            self._reload()
        except (OSError, ValueError) as error:
            log.error("the keys file cannot be read again, the keys of before stay: %s", error)

    def _reload(self) -> None:
        status = self._path.stat()
        signature = (status.st_mtime_ns, status.st_ino, status.st_size)
        if signature == self._signature:
            return
        self._tenants = _parse(self._path.read_text(encoding="utf-8"))
        self._signature = signature


def _parse(text: str) -> list[tuple[bytes, Principal]]:
    """ValueError names the line and never what it holds."""
    tenants = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not `tenant:sha256-hex-of-the-key`")
        tenants.append((bytes.fromhex(match[2]), _principal(match[1])))
    return tenants


def _principal(tenant: str) -> Principal:
    """Keys can be rotated: all of a tenant's are one principal, and their sessions outlive each of them."""
    return Principal(tenant=_hash("tenant", tenant), principal=_hash("api-key", tenant))


def _hash(kind: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()[:32]
