from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from codesession_api.auth.principals import narrowed
from codesession_api.mcp.server import SESSION_HEADER
from codesession_api.mcp.transports import MESSAGES, Front
from codesession_api.ports import Principal
from codesession_api.routes.execute import body, slot
from codesession_api.routes.sites import same_site
from codesession_api.services import By, With


async def _front(request: Request) -> Front:
    front: Front = request.app.state.mcp
    return front


To = Annotated[Front, Depends(_front)]


async def place(principal: By, front: To) -> AsyncIterator[None]:
    """Held as long as the stream is."""
    with front.streams.taken(principal.principal):
        yield


async def _user(by: By, user_id: Annotated[str, Header()] = "") -> Principal:
    """`User-Id` tells the users of one key apart, for some tools list what was done. A token does so too."""
    return by if by.proved or not user_id else narrowed(by, user_id)


User = Annotated[Principal, Depends(_user)]
router = APIRouter(dependencies=[Depends(same_site)], include_in_schema=False)


@router.post("/mcp", dependencies=[Depends(slot)])
async def streamable(request: Request, services: With, principal: User, front: To) -> Response:
    content = await body(request, services.settings.request_bytes)
    return await front.streamable(principal, request.headers.get(SESSION_HEADER), content)


@router.get("/sse", dependencies=[Depends(place)])
async def stream(principal: User, front: To) -> Response:
    return front.stream(principal)


@router.post(MESSAGES, dependencies=[Depends(slot)])
async def message(principal: User, front: To) -> Response:
    return front.message(principal)
