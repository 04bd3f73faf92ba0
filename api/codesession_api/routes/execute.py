from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from fastapi import APIRouter, Depends, Request, Response

from codesession_api import streaming, wire
from codesession_api.errors import bad_request, unsupported_media_type
from codesession_api.execution import Watch
from codesession_api.patience import PatientResponse
from codesession_api.profile import PROFILE
from codesession_api.services import By, With
from codesession_api.streaming import EventResponse

router = APIRouter()


async def slot(services: With, principal: By) -> AsyncIterator[None]:
    """Held from before the body is read until the answer is sent."""
    with services.slots.taken(principal.principal):
        yield


@router.post("/exec", dependencies=[Depends(slot)])
@router.post("/run/exec", dependencies=[Depends(slot)])
async def execute(request: Request, services: With, principal: By) -> Response:
    """Run a program. What the program did wrong is status 200 with text in `stderr`. With `Accept:
    text/event-stream` its output and its end are told as they happen."""
    check_type(request.headers.get("content-type", ""))
    parsed = wire.parsed(wire.ExecRequest, await body(request, services.settings.request_bytes))
    run, seconds = services.executor.execute, services.settings.keep_alive_seconds
    response: Response
    if streaming.wanted(request.headers.get("accept", "")):
        response = EventResponse(lambda heard: run(principal, parsed, Watch(heard)), seconds)
    else:
        response = PatientResponse(partial(run, principal, parsed), seconds)
    response.headers[PROFILE] = services.settings.profile
    return response


def check_type(content_type: str) -> None:
    """What says that it is something else is refused; JSON with no type or as plain text is taken."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("form-data", "form-urlencoded", "xml")):
        raise unsupported_media_type("The body must be application/json.")


async def body(request: Request, limit: int) -> bytes:
    """400 rather than 413 when it is too long: clients try the latter again and again."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > limit:
            raise bad_request(f"The request is over the limit of {limit} bytes.")
    return bytes(read)
