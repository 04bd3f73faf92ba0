from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from codesession_api import wire
from codesession_api.errors import bad_request
from codesession_api.patience import PatientResponse
from codesession_api.profile import PROFILE
from codesession_api.services import By, With

router = APIRouter()


@router.post("/exec")
@router.post("/run/exec")
async def execute(request: Request, services: With, principal: By) -> Response:
    """Run a program. What the program did wrong is status 200 with text in `stderr`."""
    parsed = wire.exec_request(await _body(request, services.settings.request_bytes))
    work = partial(services.executor.execute, principal, parsed)
    response = PatientResponse(work, services.settings.keep_alive_seconds)
    response.headers[PROFILE] = services.settings.profile
    return response


async def _body(request: Request, limit: int) -> bytes:
    """400 rather than 413 when it is too long: clients try the latter again and again."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise bad_request(f"The request is over the limit of {limit} bytes.")
    return bytes(body)
