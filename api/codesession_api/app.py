"""The ASGI application: routes, errors as JSON, and what is opened and closed with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from codesession_api import cors, errors, guard, metrics, openapi
from codesession_api.auth import authenticator
from codesession_api.errors import ApiError, bad_request, not_found, refusal
from codesession_api.execution import Executor
from codesession_api.files import Files
from codesession_api.mcp.transports import Front
from codesession_api.middleware import Edge
from codesession_api.ports import Objects, Sandboxes
from codesession_api.profile import as_expected
from codesession_api.programmatic.programs import Programs
from codesession_api.quotas import Quotas
from codesession_api.routes import execute, files, health, mcp, playground, programmatic, sessions, upload
from codesession_api.routes.sites import same_site
from codesession_api.services import Services
from codesession_api.settings import Settings
from codesession_api.slots import Slots
from codesession_api.sweeper import Sweeper
from codesession_api.uploads import Uploader

_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own has paths with keys in them, queries, and texts of exceptions; `tracing` has none of that."""


def create_app(settings: Settings, sandboxes: Sandboxes, objects: Objects) -> FastAPI:
    """Closes the sandboxes when it is shut down. Raises SettingsError when no authentication was chosen."""
    app = FastAPI(
        title="CodeSession", lifespan=_lifespan, docs_url=None, redoc_url=None, telemetry=_NO_TELEMETRY
    )
    stored = Files(objects)
    quotas = Quotas(settings, stored)
    executor = Executor(settings, sandboxes, stored, quotas)
    app.state.services = Services(
        settings=settings,
        authenticate=authenticator(settings),
        sandboxes=sandboxes,
        objects=objects,
        files=stored,
        executor=executor,
        programs=Programs(settings, sandboxes, stored, quotas, executor),
        uploader=Uploader(settings, stored, quotas),
        slots=Slots(settings.concurrent_runs, settings.principal_runs),
    )
    # Code, files and sessions are had without credentials there, by whatever page the person looks at.
    guards = [Depends(same_site)] if guard.personal(settings) else []
    for module in (execute, programmatic, upload, files, sessions):
        app.include_router(module.router, dependencies=[*guards, Depends(as_expected)])
    app.include_router(health.router, dependencies=[Depends(as_expected)])
    if settings.mcp:
        app.state.mcp = Front(app.state.services)
        app.include_router(mcp.router)
    if playground.wanted(settings):
        app.include_router(playground.router)
    for kind in (
        ApiError,
        errors.SandboxError,
        errors.SandboxesBusy,
        errors.SandboxesUnavailable,
        errors.ObjectMissing,
        errors.ObjectsUnavailable,
        HTTPException,
        RequestValidationError,
    ):
        app.add_exception_handler(kind, _refuse)
    app.add_middleware(Edge, path_keys="path-key" in (settings.auth or ()))
    cors.allow(app, settings)
    openapi.describe(app, settings)
    return app


def leave(app: FastAPI) -> None:
    """End what would not end by itself, before the rest is waited for."""
    if front := _front(app):
        front.leave()


def _front(app: FastAPI) -> Front | None:
    front: Front | None = getattr(app.state, "mcp", None)
    return front


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    sweeping = asyncio.create_task(Sweeper(services.settings, services.objects).run())
    front = _front(app)
    try:
        async with front.running() if front else contextlib.nullcontext():
            yield
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await services.executor.aclose()
        await services.sandboxes.aclose()


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    refused = _as_refusal(error)
    metrics.ERRORS.labels(refused.code).inc()
    return JSONResponse(refused.body(), refused.status, refused.headers())


def _as_refusal(error: Exception) -> ApiError:
    match error:
        case HTTPException(status_code=404):
            return not_found("route")
        case HTTPException(status_code=status, detail=detail):
            return ApiError(status, "refused", str(detail))
        case RequestValidationError():
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            return bad_request(f"{where} is not valid.")
        case _:
            return refusal(error)
