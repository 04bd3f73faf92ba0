"""What a token must claim to be one of LibreChat (there: packages/api/src/auth/codeapi.ts)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from codesession_api.auth.principals import of_person
from codesession_api.ports import Principal

REQUIRED = (
    "iss",
    "aud",
    "sub",
    "iat",
    "nbf",
    "exp",
    "jti",
    "tenant_id",
    "role",
    "principal_source",
    "auth_context_hash",
)
LIFETIME_SECONDS = 300
_SOURCES = frozenset({"librechat_jwt", "openid_reuse"})
_NAMED = ("sub", "jti", "tenant_id")
_CONTEXT = ("chc_user_id", "org_id", "principal_source", "role", "service_id", "sub", "tenant_id")
_WORKER = "code_worker_id"


def person(claims: Mapping[str, Any]) -> Principal | None:
    """Whose token it is; None when a claim is missing, is no such value, or was not in the context's hash."""
    well = _has_times(claims) and _has_texts(claims) and claims["auth_context_hash"] in _hashes(claims)
    return of_person(claims["tenant_id"], claims["sub"]) if well else None


def context_hash(claims: Mapping[str, Any], *, worker: bool = False) -> str:
    """SHA-256 in hex of what `JSON.stringify` makes of the claims that say who somebody is, among them the id
    of the worker if `worker`."""
    names = sorted((*_CONTEXT, _WORKER)) if worker else _CONTEXT
    context = {name: claims.get(name, "") for name in names}
    text = json.dumps(context, ensure_ascii=False, separators=(",", ":"))
    # JSON.stringify writes a lone surrogate as \ud800, and so does this error handler.
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _hashes(claims: Mapping[str, Any]) -> set[str]:
    """A client that names a worker hashes it too, or does not."""
    named = {True, False} if _WORKER in claims else {False}
    return {context_hash(claims, worker=worker) for worker in named}


def _has_times(claims: Mapping[str, Any]) -> bool:
    times = [claims.get(name) for name in ("iat", "nbf", "exp")]
    return all(type(time) is int for time in times) and 0 < claims["exp"] - claims["iat"] <= LIFETIME_SECONDS


def _has_texts(claims: Mapping[str, Any]) -> bool:
    texts = [claims.get(name, "") for name in (*_CONTEXT, *_NAMED, _WORKER)]
    return (
        all(isinstance(text, str) for text in texts)
        and all(claims.get(name) for name in _NAMED)
        and claims.get("principal_source") in _SOURCES
        and {"role", "auth_context_hash"} <= claims.keys()
        and isinstance(claims["auth_context_hash"], str)
    )
