"""Files from a form into the store: all of one request in one new session, which never gets a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from codesession_api import keys, names
from codesession_api.errors import TooLarge, bad_request
from codesession_api.files import READ_ONLY, Files, ascii_value
from codesession_api.keys import FileKey
from codesession_api.multipart import Part, limited
from codesession_api.settings import Settings

_FIELD_BYTES = 4096
_NOTED = {"kind": "kind", "id": "owner", "entity_id": "owner", "version": "version"}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """`filename` is as the client sent it: it looks for its own. `error` is why it is not stored."""

    file_id: str
    filename: str
    error: str | None = None


@dataclass(slots=True)
class Upload:
    session: str = field(default_factory=keys.new_upload_id)
    files: list[Uploaded] = field(default_factory=list)


class Uploader:
    def __init__(self, settings: Settings, files: Files) -> None:
        self._settings = settings
        self._files = files

    async def receive(self, tenant: str, parts: AsyncIterator[Part], *, batch: bool) -> Upload:
        """Store every file of the form. Of a batch, a file that is refused leaves the others alone; otherwise
        it fails the request. Fields after a file are taken and no longer change it."""
        upload = Upload()
        metadata: dict[str, str] = {}
        async for part in parts:
            if part.filename is None:
                await _note(part, metadata)
                continue
            if len(upload.files) >= self._settings.upload_files:
                raise bad_request(f"At most {self._settings.upload_files} files can be uploaded at once.")
            upload.files.append(await self._store(tenant, upload.session, part, metadata, batch))
        if not upload.files:
            raise bad_request("The form holds no file.")
        return upload

    async def _store(
        self, tenant: str, session: str, part: Part, metadata: dict[str, str], batch: bool
    ) -> Uploaded:
        original = part.filename or ""
        key = FileKey(tenant, session, keys.new_file_id(), names.clean(original))
        if key.name != original:
            metadata = {**metadata, "original-name": ascii_value(original)}
        try:
            await self._files.add(key, self._limited(part), metadata)
        except TooLarge as refused:
            if not batch or refused.what != "file":
                raise
            return Uploaded(key.file_id, original, refused.message)
        return Uploaded(key.file_id, original)

    def _limited(self, part: Part) -> AsyncIterator[bytes]:
        return limited(part.chunks(), self._settings.upload_file_bytes, "file")


async def _note(part: Part, metadata: dict[str, str]) -> None:
    value = await part.text(_FIELD_BYTES)
    if part.name == "read_only":
        metadata[READ_ONLY] = "true" if value.strip().lower() in ("true", "1") else "false"
    elif value and part.name in _NOTED:
        metadata[_NOTED[part.name]] = ascii_value(value)
