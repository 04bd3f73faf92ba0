"""A page for people: files that `api/playground` builds, under a policy by which they load nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

import codesession_api
from codesession_api import guard
from codesession_api.auth import PATH_KEY
from codesession_api.errors import Unauthorized, not_found
from codesession_api.services import Services, With
from codesession_api.settings import Settings

FILES = Path(codesession_api.__file__).with_name("playground")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text becomes markup, whoever wrote it.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_HASHED = re.compile(r"\w+-[A-Z0-9]{8}\.\w+")
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


def wanted(settings: Settings) -> bool:
    return settings.backend == "local" if settings.playground is None else settings.playground


@router.get("/playground")
async def page() -> Response:
    return _file("index.html")


@router.get("/playground/{path:path}")
async def part(request: Request, services: With, path: str) -> Response:
    # `/playground/` is the page too, and what it names then lies one folder deeper.
    name = path.rpartition("/")[2]
    return _offer(request, services) if name == "offer.json" else _file(name)


def _file(name: str) -> Response:
    found = next((each for each in FILES.iterdir() if each.name == name), None)
    if found is None:
        raise not_found("file")
    cached = _FOR_EVER if _HASHED.fullmatch(name) else "no-cache"
    headers = {**_HEADERS, "cache-control": cached}
    return Response(found.read_bytes(), headers=headers, media_type=_TYPES[found.suffix])


def _offer(request: Request, services: Services) -> Response:
    """What the page needs to know before anybody has shown a key."""
    settings = services.settings
    offer: dict[str, Any] = {
        "languages": settings.languages,
        "credential": _missing(request, services),
        "sessions": guard.tells_sessions(settings),
    }
    headers = {**_HEADERS, "cache-control": "no-store"}
    return JSONResponse(offer, headers=headers)


def _missing(request: Request, services: Services) -> str | None:
    """The way by which the page is to ask for a key or token. None where the request shows one, in its
    path or by Basic, for which browsers ask themselves."""
    try:
        services.authenticate(request.headers, request.scope.get(PATH_KEY))
    except Unauthorized:
        ways = services.settings.auth or ()
        return next((way for way in ("api-key", "jwt") if way in ways), None)
    return None
