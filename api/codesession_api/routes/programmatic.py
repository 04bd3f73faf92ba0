from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from codesession_api import wire
from codesession_api.patience import PatientResponse
from codesession_api.profile import PROFILE
from codesession_api.programmatic.answers import failed
from codesession_api.routes.execute import body, check_type, slot
from codesession_api.services import By, With

router = APIRouter()

RequestId = Annotated[
    str | None,
    Header(alias="X-LibreChat-Code-Request-ID", description="Names this step, for it to be cancelled by."),
]


@router.post("/exec/programmatic", dependencies=[Depends(slot)])
async def programmatic(
    request: Request, services: With, principal: By, request_id: RequestId = None
) -> Response:
    """Run a program that calls tools up to its calls or its end, or go on with one."""
    check_type(request.headers.get("content-type", ""))
    content = await body(request, services.settings.request_bytes)
    parsed = wire.parsed(wire.ProgrammaticRequest, content)
    step = services.programs.resume if parsed.continuation_token else services.programs.begin
    work = partial(step, principal, parsed, request_id)
    response = PatientResponse(work, services.settings.keep_alive_seconds, failed)
    response.headers[PROFILE] = services.settings.profile
    return response


@router.post("/exec/programmatic/cancel")
async def cancel(request: Request, services: With, principal: By) -> JSONResponse:
    """End the program one of whose steps is under way, or waits, by that name."""
    check_type(request.headers.get("content-type", ""))
    content = await body(request, services.settings.request_bytes)
    parsed = wire.parsed(wire.CancelRequest, content)
    found = await services.programs.cancel(principal, parsed.request_id)
    said = wire.Cancelled(status="cancellation_requested" if found else "already_completed")
    return JSONResponse(said.model_dump(), 202 if found else 200)
