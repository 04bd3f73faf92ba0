from __future__ import annotations

from starlette.requests import Request

from codesession_api import guard
from codesession_api.errors import ApiError
from codesession_api.services import With


async def same_site(request: Request, services: With) -> None:
    """Refuse what a web page of another site asks for."""
    if not guard.admits(services.settings, request.headers):
        raise ApiError(403, "forbidden", "Web pages of other sites may not use this server.")
