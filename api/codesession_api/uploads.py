"""Files from a form into the store: all of one request in one new session, which never gets a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from codesession_api import folders, keys, names
from codesession_api.concurrency import closing
from codesession_api.errors import ApiError, TooLarge, bad_request
from codesession_api.files import READ_ONLY, Files
from codesession_api.keys import FileKey
from codesession_api.multipart import Part, limited
from codesession_api.ports import Principal
from codesession_api.quotas import Allowance, Quotas
from codesession_api.scope import KIND, OWNER, SHARED_KINDS, VERSION, ascii_value
from codesession_api.settings import Settings

_FIELD_BYTES = 4096
_NOTED = {"kind": KIND, "id": OWNER, "entity_id": OWNER, "version": VERSION}
_FIELDS = {*_NOTED, "read_only"}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """`filename` is as the client sent it: it looks for its own. `error` is why it is not stored."""

    file_id: str
    filename: str
    error: str | None = None


@dataclass(slots=True)
class Upload:
    """One request. `fields` are those that came before the file at hand; later ones do not change it."""

    by: Principal
    allowance: Allowance
    user_id: str | None = None
    session: str = field(default_factory=keys.new_upload_id)
    fields: dict[str, str] = field(default_factory=dict)
    files: list[Uploaded] = field(default_factory=list)
    kept: list[FileKey] = field(default_factory=list)
    """To be noted in folders."""

    @property
    def shared(self) -> bool:
        """Whether it is of an agent or a skill; `entity_id` names an agent, in clients that have no kinds."""
        kind = self.fields.get("kind")
        return kind in SHARED_KINDS if kind else bool(self.fields.get("entity_id"))

    def key(self, filename: str) -> FileKey:
        name = names.clean(filename)
        return FileKey.of(self.by, self.session, keys.new_file_id(), name, shared=self.shared)

    def metadata(self, filename: str) -> dict[str, str]:
        """What is noted with the file of that name."""
        said = {name: value for name, value in self.fields.items() if value}
        noted = {_NOTED[name]: ascii_value(value) for name, value in said.items() if name in _NOTED}
        if "read_only" in self.fields:
            read_only = self.fields["read_only"].strip().lower() in ("true", "1")
            noted[READ_ONLY] = "true" if read_only else "false"
        if names.clean(filename) != filename:
            noted["original-name"] = ascii_value(filename)
        return noted


class Uploader:
    def __init__(self, settings: Settings, files: Files, quotas: Quotas) -> None:
        self._settings = settings
        self._files = files
        self._quotas = quotas

    async def receive(
        self, by: Principal, parts: AsyncIterator[Part], *, batch: bool, user_id: str | None = None
    ) -> Upload:
        """Store every file of the form. Of a batch, a file that is too large leaves the others alone; any
        other refusal is the whole request's, of which then nothing stays."""
        upload = Upload(by, await self._quotas.of_new_session(by), user_id)
        try:
            await self._receive(upload, parts, batch)
        except ApiError:
            if upload.files:
                await self._files.delete_session(by, upload.session)
            raise
        for key in upload.kept:
            await self._files.mark(key)
        return upload

    async def take(self, by: Principal, filename: str, data: bytes) -> FileKey:
        """Store one file that is here as a whole."""
        upload = Upload(by, await self._quotas.of_new_session(by))
        key = upload.key(filename)
        await self._keep(upload, key, filename, _whole(data))
        for mark in upload.kept:
            await self._files.mark(mark)
        return key

    async def _receive(self, upload: Upload, parts: AsyncIterator[Part], batch: bool) -> None:
        async for part in parts:
            if part.filename is None:
                value = await part.text(_FIELD_BYTES)
                if part.name in _FIELDS:
                    upload.fields[part.name] = value
                continue
            if len(upload.files) >= self._settings.upload_files:
                raise bad_request(f"At most {self._settings.upload_files} files can be uploaded at once.")
            upload.files.append(await self._store(upload, part, batch))
        if not upload.files:
            raise bad_request("The form holds no file.")

    async def _store(self, upload: Upload, part: Part, batch: bool) -> Uploaded:
        original = part.filename or ""
        key = upload.key(original)
        try:
            await self._keep(upload, key, original, part.chunks())
        except TooLarge as refused:
            if not batch or refused.what != "file":
                raise
            return Uploaded(key.file_id, original, refused.message)
        return Uploaded(key.file_id, original)

    async def _keep(self, upload: Upload, key: FileKey, original: str, data: AsyncIterator[bytes]) -> None:
        within = limited(data, self._settings.upload_file_bytes, "file")
        async with closing(upload.allowance.metered(within)) as chunks:
            await self._files.add(key, chunks, upload.metadata(original))
        folder = folders.of_upload(upload.by, upload.fields, upload.user_id, shared=upload.shared)
        if self._settings.user_files and folder:
            mark = FileKey.of(upload.by, folder, key.file_id, key.name, origin=upload.session)
            upload.kept.append(mark)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
