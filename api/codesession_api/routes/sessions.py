from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from codesession_api import guard, wire
from codesession_api.errors import ApiError
from codesession_api.routes.sites import same_site
from codesession_api.services import By, With

router = APIRouter()


@router.get("/sessions", dependencies=[Depends(same_site)])
async def list_sessions(services: With, principal: By) -> dict[str, Any]:
    """The live sessions of whoever asks, the newest first. They are not used by that."""
    if not guard.tells_sessions(services.settings):
        raise ApiError(403, "forbidden", "Nobody is asked who they are here, so sessions are not listed.")
    return {"sessions": [wire.session(live) for live in services.sandboxes.sessions(principal)]}
