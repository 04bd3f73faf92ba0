"""LibreChat's own tokens: JWTs that it signs for each of its users, verified with its public key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt

from codesession_api.auth import claims, public_keys
from codesession_api.auth.reloaded import Reloaded
from codesession_api.ports import Principal
from codesession_api.settings import SettingsError

SKEW_SECONDS = 30
_LONGEST = 8192


class Tokens:
    """A token may come again and again until it expires: LibreChat keeps each for 30 seconds.

    Raises SettingsError when the directory of public keys cannot be read, or has none."""

    def __init__(self, directory: Path, *, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = Reloaded(
            "CODESESSION_JWT_KEYS",
            lambda: public_keys.files(directory),
            lambda: public_keys.read(directory),
        )
        if not self._keys.current():
            raise SettingsError("CODESESSION_JWT_KEYS cannot be used: it holds no file `<kid>.pem`")

    def __call__(self, token: bytes) -> Principal | None:
        """Whose token it is, if it is a good one now."""
        if len(token) > _LONGEST:
            return None
        try:
            claimed = self._verified(token)
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
            # The latter three are hostile JSON, such as numbers without end and lists without bottom.
            return None
        return claims.person(claimed) if claimed is not None else None

    def _verified(self, token: bytes) -> dict[str, Any] | None:
        """The token names the key, and the key decides the algorithm: there is no choice to confuse."""
        key = self._keys.current().get(jwt.get_unverified_header(token).get("kid", ""))
        if key is None:
            return None
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            leeway=SKEW_SECONDS,
            options={"require": list(claims.REQUIRED), "strict_aud": True},
        )
