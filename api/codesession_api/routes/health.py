from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response

from codesession_api.errors import ObjectsUnavailable, SandboxesBusy, SandboxesUnavailable
from codesession_api.services import With

router = APIRouter()

_CHECK_SECONDS = 5
_VERSION = version("codesession")


@router.get("/livez")
async def live() -> dict[str, str]:
    """That this process answers."""
    return {"status": "ok"}


@router.get("/readyz")
@router.get("/health")
async def ready(services: With, response: Response) -> dict[str, Any]:
    """Whether a run could be served now, what isolates it, and how long ago one was served well here."""
    sandboxes, storage = await asyncio.gather(
        _checked(services.sandboxes.check()), _checked(services.objects.check())
    )
    well = sandboxes == storage == "ok"
    response.status_code = 200 if well else 503
    success = services.executor.last_success
    return {
        "status": "ok" if well else "unavailable",
        "sandboxes": sandboxes,
        "storage": storage,
        "isolation": services.sandboxes.isolation,
        "seconds_since_last_run": None if success is None else round(time.monotonic() - success, 1),
        "version": _VERSION,
    }


async def _checked(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS} seconds"
    except (SandboxesUnavailable, SandboxesBusy, ObjectsUnavailable) as error:
        return str(error)
    return "ok"
