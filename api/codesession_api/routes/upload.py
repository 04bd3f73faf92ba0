from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from codesession_api.errors import TooLarge
from codesession_api.multipart import limited, parts
from codesession_api.ports import Principal
from codesession_api.services import By, Services, With
from codesession_api.uploads import Upload

router = APIRouter()


@router.post("/upload")
async def upload(request: Request, services: With, principal: By) -> dict[str, Any]:
    """Store the file of a form; it is streamed, and never held here as a whole."""
    done = await _receive(request, services, principal, batch=False)
    files = [{"fileId": file.file_id, "filename": file.filename} for file in done.files]
    return {"message": "success", **_ids(done), "files": files}


@router.post("/upload/batch")
async def upload_batch(request: Request, services: With, principal: By) -> dict[str, Any]:
    """Store every file of a form in one session, and say of each whether it was."""
    done = await _receive(request, services, principal, batch=True)
    failed = sum(file.error is not None for file in done.files)
    message = "success" if not failed else "error" if failed == len(done.files) else "partial_success"
    files = [
        {"status": "error", "fileId": "", "filename": file.filename, "error": file.error}
        if file.error
        else {"status": "success", "fileId": file.file_id, "filename": file.filename}
        for file in done.files
    ]
    succeeded = len(done.files) - failed
    return {"message": message, **_ids(done), "files": files, "succeeded": succeeded, "failed": failed}


async def _receive(request: Request, services: Services, principal: Principal, *, batch: bool) -> Upload:
    limit = services.settings.upload_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise TooLarge("upload", limit)
    form = parts(request.headers.get("content-type", ""), limited(request.stream(), limit, "upload"))
    user_id = request.headers.get("user-id")
    return await services.uploader.receive(principal, form, batch=batch, user_id=user_id)


def _ids(done: Upload) -> dict[str, str]:
    return {"session_id": done.session, "storage_session_id": done.session}
