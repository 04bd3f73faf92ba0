"""Web pages of other origins, where the configuration names these."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from codesession_api.settings import Settings

_METHODS = ("GET", "HEAD", "POST", "DELETE")
_EXPOSED = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Mcp-Session-Id",
    "Retry-After",
    "X-CodeAPI-Execution-Profile",
    "X-Request-Id",
)


def allow(app: FastAPI, settings: Settings) -> None:
    """To be called last: what is around everything else gives its headers to failures too. A page sends its
    key itself, so that no credentials of the browser's are ever wanted."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
