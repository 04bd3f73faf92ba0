"""The ways that are on, together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from starlette.datastructures import Headers

from codesession_api.auth.credentials import Credential, presented
from codesession_api.auth.keys import ApiKeys
from codesession_api.auth.principals import ANYONE
from codesession_api.auth.tokens import Tokens
from codesession_api.errors import Unauthorized
from codesession_api.ports import Principal
from codesession_api.settings import Settings, SettingsError, Way

Check = Callable[[bytes], Principal | None]

_SCHEMES: dict[Way, str] = {"api-key": "Bearer", "jwt": "Bearer", "basic": "Basic", "path-key": "Path-Key"}


class Authenticator(Protocol):
    def __call__(self, headers: Headers, path_key: str | None = None) -> Principal:
        """Whose request it is, by its headers and the key that was in its path. Raises Unauthorized."""
        ...


def authenticator(settings: Settings) -> Authenticator:
    """Raises SettingsError when no way was chosen, or when a chosen one cannot work."""
    if settings.auth is None:
        raise SettingsError(
            "CODESESSION_AUTH must be chosen: a comma list of `api-key`, `basic`, `path-key` and `jwt`, "
            "or `none` to serve anyone who can connect"
        )
    if settings.auth == ("none",):
        return _anyone
    return Combined(_checks(settings, settings.auth))


def _anyone(headers: Headers, path_key: str | None = None) -> Principal:
    return ANYONE


def _checks(settings: Settings, ways: Sequence[Way]) -> dict[Way, Check]:
    checks: dict[Way, Check] = {}
    if settings.api_keys_file is not None and (by_key := [way for way in ways if way != "jwt"]):
        checks.update(dict.fromkeys(by_key, ApiKeys(settings.api_keys_file)))
    if settings.jwt_keys is not None and "jwt" in ways:
        checks["jwt"] = Tokens(settings.jwt_keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    return checks


class Combined:
    """Every credential for a way that is on must be a good one; what is for another is not looked at."""

    def __init__(self, checks: Mapping[Way, Check]) -> None:
        self._checks = checks
        self._schemes = sorted({_SCHEMES[way] for way in checks})

    def __call__(self, headers: Headers, path_key: str | None = None) -> Principal:
        return self.judge(presented(headers, path_key))

    def judge(self, credentials: Iterable[Credential]) -> Principal:
        # A list, so that a bad one does not save the work of the others and show by it which it was.
        whose = [self._checks[each.way](each.secret) for each in credentials if each.way in self._checks]
        principal = agreed(whose)
        if principal is None:
            raise Unauthorized(self._schemes)
        return principal


def agreed(whose: Sequence[Principal | None]) -> Principal | None:
    """The one that all are of; of a person and a key, the person: LibreChat sends its key beside a token."""
    known = [principal for principal in whose if principal is not None]
    if len(known) < len(whose):
        return None
    deciding = set([principal for principal in known if principal.proved] or known)
    return deciding.pop() if len(deciding) == 1 else None
