"""What every route works with: made once, in `app`, and found again from a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from codesession_api import tracing
from codesession_api.auth import PATH_KEY, Authenticator
from codesession_api.errors import not_found
from codesession_api.execution import Executor
from codesession_api.files import Files
from codesession_api.ports import Objects, Principal, Sandboxes
from codesession_api.programmatic.programs import Programs
from codesession_api.scope import Scope
from codesession_api.settings import Settings
from codesession_api.slots import Slots
from codesession_api.uploads import Uploader
from codesession_crds.names import is_wire_id


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    authenticate: Authenticator
    sandboxes: Sandboxes
    objects: Objects
    files: Files
    executor: Executor
    programs: Programs
    uploader: Uploader
    slots: Slots


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _principal(request: Request) -> Principal:
    services: Services = request.app.state.services
    with tracing.span("auth"):
        return services.authenticate(request.headers, request.scope.get(PATH_KEY))


async def _session_id(session_id: Annotated[str, Path()]) -> str:
    if not is_wire_id(session_id):
        raise not_found("session")
    return session_id


async def _file_id(file_id: Annotated[str, Path()]) -> str:
    if not is_wire_id(file_id):
        raise not_found("file")
    return file_id


async def _scope(
    kind: str | None = None,
    owner: Annotated[str | None, Query(alias="id")] = None,
    entity_id: str | None = None,
    version: str | None = None,
) -> Scope:
    return Scope(kind, owner or entity_id, version)


With = Annotated[Services, Depends(_services)]
By = Annotated[Principal, Depends(_principal)]
SessionId = Annotated[str, Depends(_session_id)]
FileId = Annotated[str, Depends(_file_id)]
Named = Annotated[Scope, Depends(_scope)]
