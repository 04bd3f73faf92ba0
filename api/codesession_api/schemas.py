"""The answers that are put together by hand, for the OpenAPI document; `wire` has those of `/exec`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from codesession_api.streaming import TOLD_BEFORE
from codesession_api.wire import AnswerFile, ExecAnswer

_SAID = ConfigDict(use_attribute_docstrings=True)


class Error(BaseModel):
    """A refusal."""

    model_config = _SAID

    error: str
    """One of few words, for programs."""
    message: str
    """A sentence, for people."""
    retry_after_seconds: int | None = None
    """When trying again makes sense; the header Retry-After says the same."""


class OutputEvent(BaseModel):
    """Event `stdout` or `stderr`: more of that text. Together they are the plain answer's."""

    text: str


class FilesEvent(BaseModel):
    """Event `files`: the plain answer's lists, where one has something in it."""

    files: list[AnswerFile]
    deleted_files: list[str]


_TOLD_AT_END: dict[str, Any] = {
    name: (field.annotation, field)
    for name, field in ExecAnswer.model_fields.items()
    if name not in TOLD_BEFORE
}
EndEvent = create_model(
    "EndEvent",
    __config__=_SAID,
    __doc__="Event `end`: the plain answer without its texts. Nothing comes after it.",
    **_TOLD_AT_END,
)
EVENTS: dict[str, type[BaseModel]] = {
    "stdout": OutputEvent,
    "stderr": OutputEvent,
    "files": FilesEvent,
    "end": EndEvent,
    "error": Error,
}
"""Of a run that is told as it happens, by their name."""


class UploadForm(BaseModel):
    """One file, or several to /upload/batch. Names are UTF-8 and may hold directories."""

    model_config = _SAID

    kind: Literal["user", "agent", "skill"] | None = None
    id: str | None = None
    """Whose it is: of the user, the agent or the skill."""
    version: str | None = None
    entity_id: str | None = None
    """The older dialect's `kind` and `id`."""
    read_only: bool | None = None
    """Not to be written by code, and never an output."""
    file: bytes = Field(json_schema_extra={"contentMediaType": "application/octet-stream"})


class UploadedFile(BaseModel):
    fileId: str  # noqa: N815
    filename: str


class Uploaded(BaseModel):
    message: Literal["success"]
    session_id: str
    storage_session_id: str
    files: list[UploadedFile]


class BatchFile(UploadedFile):
    status: Literal["success", "error"]
    error: str | None = None


class BatchUploaded(BaseModel):
    message: Literal["success", "partial_success", "error"]
    session_id: str
    storage_session_id: str
    files: list[BatchFile]
    succeeded: int
    failed: int


class Metadata(BaseModel):
    content_type: str = Field(alias="content-type")
    original_filename: str = Field(alias="original-filename")


class Described(BaseModel):
    """One file by itself."""

    model_config = _SAID

    name: str
    """`<session id>/<file id>` with the extension."""
    originalFilename: str  # noqa: N815
    size: int
    lastModified: str  # noqa: N815
    etag: str
    contentType: str  # noqa: N815
    readOnly: bool  # noqa: N815


class Listed(BaseModel):
    """A file of a listing with `detail=summary` or `full`."""

    model_config = _SAID

    name: str
    """`<session id>/<file id>` with the extension."""
    id: str
    fileId: str  # noqa: N815
    session_id: str
    storage_session_id: str
    size: int
    lastModified: str  # noqa: N815
    etag: str
    contentType: str  # noqa: N815
    metadata: Metadata


class Normalized(BaseModel):
    """A file of a listing with `detail=normalized`."""

    id: str
    name: str
    storage_session_id: str
    size: int
    contentType: str  # noqa: N815
    lastModified: str  # noqa: N815


class Listing(RootModel[list[str] | list[Listed] | list[Normalized]]):
    """By `detail`; `simple` is a list of names `<session id>/<file id>` with their extensions."""


class Content(BaseModel):
    """A file of bounded size with its bytes."""

    model_config = _SAID

    id: str
    name: str
    session_id: str
    storage_session_id: str
    size: int
    content_type: str
    lastModified: str  # noqa: N815
    encoding: Literal["base64"]
    content: str


class Deleted(BaseModel):
    message: Literal["success"]


class LiveSession(BaseModel):
    model_config = _SAID

    session_id: str
    since: str
    ends: str
    """Unless it is used before."""


class Sessions(BaseModel):
    """The newest first."""

    sessions: list[LiveSession]


class Live(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    model_config = _SAID

    status: Literal["ok", "unavailable"]
    sandboxes: str
    """`ok`, or what is wrong."""
    storage: str
    """`ok`, or what is wrong."""
    isolation: str
    seconds_since_last_run: float | None
    version: str
