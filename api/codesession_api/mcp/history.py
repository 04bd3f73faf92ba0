"""What was run by tools, for a model that comes back to it.

Each execution is a file in a folder that no client can name (`keys.folder_id`), so that it is its
principal's, counts as its own and ends with the retention of files.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel

from codesession_api import keys
from codesession_api.concurrency import bounded
from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.files import Files, StoredFile
from codesession_api.keys import FileKey
from codesession_api.ports import Principal
from codesession_api.wire import ExecAnswer

log = logging.getLogger(__name__)

KEPT = 50
"""Executions of a principal."""
_CODE, _TEXT, _FILES = 4000, 1000, 20
_LOOKS = 8


class Execution(BaseModel):
    """Texts are cut at their end, but output at its beginning."""

    at: datetime
    session_id: str | None
    language: str
    code: str
    stdout: str
    stderr: str
    exit_code: int | None
    status: str | None
    milliseconds: int | None
    files: list[str]

    @classmethod
    def of(cls, code: str, answer: ExecAnswer) -> Execution:
        return cls(
            at=datetime.now(UTC),
            session_id=answer.session_id,
            language=answer.language,
            code=code[:_CODE],
            stdout=answer.stdout[-_TEXT:],
            stderr=answer.stderr[-_TEXT:],
            exit_code=answer.exit_code,
            status=answer.status,
            milliseconds=answer.wall_time,
            files=[file.name for file in answer.files if not file.inherited][:_FILES],
        )


class History:
    def __init__(self, files: Files) -> None:
        self._files = files

    async def add(self, by: Principal, execution: Execution) -> None:
        """And forget the oldest beyond `KEPT`. A failure costs the run nothing."""
        folder = _folder(by)
        key = FileKey.of(by, folder, keys.new_file_id(), "execution.json")
        try:
            await self._files.add(key, _whole(execution.model_dump_json().encode("utf-8", "replace")))
            for old in (await self._listed(by))[:-KEPT]:
                await self._files.delete(by, folder, old.key.file_id)
        except ObjectsUnavailable:
            log.warning("an execution is not in the history: the store did not answer")

    async def latest(self, by: Principal, count: int) -> list[Execution]:
        """The newest first."""
        listed = (await self._listed(by))[-count:]
        found = await bounded(_LOOKS, (partial(self._read, file) for file in reversed(listed)))
        return [execution for execution in found if execution]

    async def _listed(self, by: Principal) -> list[StoredFile]:
        """The oldest first. Another principal of the tenant could not read what is in it anyway."""
        return [file async for file in self._files.stored(by, _folder(by))]

    async def _read(self, file: StoredFile) -> Execution | None:
        try:
            data = b"".join([chunk async for chunk in self._files.read(file)])
        except ObjectMissing:  # forgotten meanwhile
            return None
        return Execution.model_validate_json(data)


def _folder(by: Principal) -> str:
    return keys.folder_id(f"history\0{by.principal}")


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
