from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from codesession_api import downloads, names, wire
from codesession_api.content import Content
from codesession_api.errors import ObjectMissing, TooLarge, not_found
from codesession_api.files import Files, StoredFile
from codesession_api.ports import Principal
from codesession_api.scope import Scope
from codesession_api.services import By, FileId, Named, SessionId, With
from codesession_crds.names import is_wire_id

router = APIRouter()


@router.get("/files/{session_id}")
async def list_files(
    services: With,
    principal: By,
    session_id: SessionId,
    scope: Named,
    detail: Literal["simple", "summary", "full", "normalized"] = "simple",
) -> list[Any]:
    """The files of a session, the oldest first; of an unknown one, none."""
    files = await services.files.listing(principal, session_id, scope)
    if detail == "simple":
        return [wire.object_name(file) for file in files]
    return [wire.normalized(file) if detail == "normalized" else wire.listed(file) for file in files]


@router.get("/download/{session_id}/{file_id:path}", include_in_schema=False)
@router.head("/download/{session_id}/{file_id:path}", include_in_schema=False)
@router.get("/download/{session_id}/{file_id}")
@router.head("/download/{session_id}/{file_id}")
async def download(
    request: Request, services: With, principal: By, session_id: SessionId, file_id: str, scope: Named
) -> Response:
    """The bytes of a file, by its id or else by its name (the newest of that name in the session)."""
    file = await _named(services.files, principal, session_id, file_id, scope)

    def read(offset: int, length: int | None) -> AsyncIterator[bytes]:
        return services.files.read(file, offset=offset, length=length)

    return downloads.answer(request, file, read)


@router.get("/file/{session_id}/{file_id}/content")
async def content(
    services: With, principal: By, session_id: SessionId, file_id: FileId, scope: Named
) -> Response:
    """The bytes of a file of bounded size in base64, within JSON."""
    file = await services.files.find(principal, session_id, file_id, scope)
    limit = services.settings.content_bytes
    if file.info.size > limit:
        raise TooLarge("file", limit)
    answer = Content(file)
    headers = {"content-length": str(answer.size), "cache-control": "private"}
    return StreamingResponse(answer.stream(services.files.read(file)), 200, headers, "application/json")


@router.get("/sessions/{session_id}/objects/{file_id}")
async def describe(
    services: With, principal: By, session_id: SessionId, file_id: FileId, scope: Named
) -> dict[str, Any]:
    """What is known of a file."""
    found = await services.files.find(principal, session_id, file_id)
    return wire.described(await services.files.locate(principal, found.key, scope))


@router.delete("/files/{session_id}/{file_id}")
@router.delete("/sessions/{session_id}/objects/{file_id}")
async def delete(
    services: With, principal: By, session_id: SessionId, file_id: FileId, scope: Named
) -> dict[str, str]:
    if not await services.files.delete(principal, session_id, file_id, scope):
        raise not_found("file")
    return {"message": "success"}


@router.delete("/sessions/{session_id}")
async def delete_session(services: With, principal: By, session_id: SessionId) -> dict[str, str]:
    """End a session: its sandbox if it has one, and its files."""
    ended = await services.sandboxes.delete(session_id, principal)
    if not await services.files.delete_session(principal, session_id) and not ended:
        raise not_found("session")
    return {"message": "success"}


async def _named(files: Files, by: Principal, session: str, id_or_name: str, scope: Scope) -> StoredFile:
    try:
        if not is_wire_id(id_or_name):
            raise ObjectMissing
        return await files.find(by, session, id_or_name, scope)
    except ObjectMissing:
        return await files.find_named(by, session, names.clean(id_or_name), scope)
