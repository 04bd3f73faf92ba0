"""The JSON of both dialects of LibreChat's clients: `session_id` of old, `storage_session_id` since 3.1.77.

Unknown fields are ignored, since clients leak internal ones (old ones their key: no body is ever logged).
A reference that makes no sense is left to be skipped, because refusing the request would fail the whole run.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, computed_field, field_validator

from codesession_api import media, names
from codesession_api.errors import bad_request, invalid_field
from codesession_api.files import StoredFile
from codesession_api.ports import Live
from codesession_api.scope import Scope
from codesession_crds.names import is_wire_id

_REQUEST = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True, use_attribute_docstrings=True)
_ANSWER = ConfigDict(use_attribute_docstrings=True)


class FileRef(BaseModel):
    """A file that a run needs: `id` in the session that stores it, to be at `name` below /mnt/data."""

    model_config = _REQUEST

    id: str | None = None
    name: str | None = None
    storage_session_id: str | None = None
    session_id: str | None = None
    kind: str | None = None
    resource_id: str | None = None
    version: int | str | None = None

    @property
    def session(self) -> str | None:
        return self.storage_session_id or self.session_id

    @property
    def scope(self) -> Scope:
        """What it says of whose the file is."""
        return Scope(self.kind, self.resource_id, None if self.version is None else str(self.version))

    @property
    def legacy(self) -> bool:
        """Whether it is of a client that replaces its list of files by each answer's."""
        return not self.storage_session_id


class ExecRequest(BaseModel):
    """A program to run, with its files. Unknown fields are ignored."""

    model_config = _REQUEST

    lang: str
    code: str
    args: list[str] = []
    files: list[FileRef] = []
    session_id: str | None = None
    """Of an earlier answer. While it is alive, its files are there, and in Python the variables of the calls
    that named it so."""
    entity_id: str | None = None
    user_id: str | None = None
    timeout: float | None = Field(None, allow_inf_nan=False)
    """Milliseconds."""
    runtime_session_hint: str | None = None
    """The client's own name of the session that it wants again; counts where clients prove who they are."""

    @field_validator("args", "files", mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("entity_id", "user_id", "runtime_session_hint", mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        """Of some other type it is none, and no reason to refuse the run."""
        return value if isinstance(value, str | int) and not isinstance(value, bool) else None

    @field_validator("session_id")
    @classmethod
    def _invented(cls, value: str | None) -> str | None:
        """A model may make up a session id, which is then none."""
        return value if value is not None and is_wire_id(value) else None


class ToolSpec(BaseModel):
    """A tool that the program may call; what else a client says of it is for its model."""

    model_config = _REQUEST

    name: str = Field(min_length=1, max_length=256)


class ToolResult(BaseModel):
    """What came of a call."""

    model_config = _REQUEST

    call_id: str
    result: Any = None
    is_error: bool = False
    error_message: str | None = None


class ProgrammaticRequest(ExecRequest):
    """A program that may call `tools`; or, with a token, the results for one that waits."""

    lang: str = "py"
    code: str = ""
    tools: list[ToolSpec] = []
    continuation_token: str | None = None
    tool_results: list[ToolResult] = []

    @field_validator("tools", "tool_results", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("lang", mode="before")
    @classmethod
    def _python(cls, value: Any) -> Any:
        return "py" if value is None else value


class CancelRequest(BaseModel):
    """Names the step of a program by the header `X-LibreChat-Code-Request-ID` that it had."""

    model_config = _REQUEST

    request_id: str


class Origin(BaseModel):
    id: str
    storage_session_id: str


class AnswerFile(BaseModel):
    """A file of the answer: a new one, or with `inherited` an input that the run left as it was."""

    id: str
    name: str
    session_id: str
    storage_session_id: str
    size: int | None = None
    modified_from: Origin | None = None
    inherited: Literal[True] | None = None
    kind: str | None = None
    resource_id: str | None = None
    version: int | str | None = None


class ArtifactDelivery(BaseModel):
    """Tells the model that files were made which could not be stored."""

    code: Literal["artifact_delivery_failed"] = "artifact_delivery_failed"
    status: Literal["partial", "failed"]
    attempted: int
    delivered: int
    failed: int


class ExecAnswer(BaseModel):
    """What a run did. Clients show `stdout` and `stderr`; what a user must know is in these."""

    model_config = _ANSWER

    session_id: str | None = None
    stdout: str = ""
    stderr: str = ""
    files: list[AnswerFile] = []
    deleted_files: list[str] = []
    language: str = ""
    exit_code: int | None = None
    code: int | None = None
    signal: str | None = None
    status: str | None = None
    """TO time, OL output, OM memory, SG signal, RE exit code; absent when all went well."""
    wall_time: int | None = None
    """Milliseconds."""
    cpu_time: int | None = None
    """Milliseconds."""
    artifact_delivery: ArtifactDelivery | None = None
    runtime_session_id: str | None = None
    """Where a hint was given: the session that it led to, and whether that was there before."""
    runtime_status: Literal["new", "reused"] | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def output(self) -> str:
        """`stdout` and then `stderr`, for clients that read one text."""
        return self.stdout + self.stderr

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


class ToolCall(BaseModel):
    """A call for the client to make: `name` is the tool's own."""

    model_config = _ANSWER

    id: str
    name: str
    input: Any


class CallsRequired(BaseModel):
    """The program waits for the results of its calls."""

    model_config = _ANSWER

    status: Literal["tool_call_required"] = "tool_call_required"
    continuation_token: str
    tool_calls: list[ToolCall]
    session_id: str
    partial_stdout: str = ""
    """All so far."""

    def encode(self) -> bytes:
        # An input may hold lone surrogates, which UTF-8 has not.
        return json.dumps(self.model_dump()).encode("ascii")


class Completed(ExecAnswer):
    """The program has ended by itself."""

    status: Literal["completed"] = "completed"


class Failed(ExecAnswer):
    """The program was ended, or did not run. `error` is one of the few that clients know."""

    status: Literal["error"] = "error"
    error: str


class ProgrammaticAnswer(RootModel[CallsRequired | Completed | Failed]):
    """What a program with tools came to: its end, or calls. All have status 200."""


class Cancelled(BaseModel):
    """Whether there was something to cancel."""

    status: Literal["cancellation_requested", "already_completed"]


Request = TypeVar("Request", bound=BaseModel)


def parsed(model: type[Request], body: bytes) -> Request:
    """Raises ApiError with what is wrong and where, and nothing of the body: 400 where it is no JSON, 422
    where a field cannot be meant."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise bad_request(fault["msg"]) from None
        where = ".".join(str(part) for part in fault["loc"])
        raise invalid_field(f"{where}: {fault['msg']}" if where else fault["msg"]) from None


def object_name(file: StoredFile) -> str:
    """Readers of all ages find the id in it: by prefix, or between `/` and the first `.`."""
    return f"{file.key.session}/{file.key.file_id}{names.extension(file.key.name)}"


def listed(file: StoredFile) -> dict[str, Any]:
    """A file in a listing, in the fields of every reader that there ever was."""
    return {
        "name": object_name(file),
        "id": file.key.file_id,
        "fileId": file.key.file_id,
        "session_id": file.key.session,
        "storage_session_id": file.key.home.session,
        "size": file.info.size,
        "lastModified": moment(file.info.modified),
        "etag": file.info.etag,
        "contentType": _content_type(file),
        "metadata": {"content-type": _content_type(file), "original-filename": file.key.name},
    }


def normalized(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.key.file_id,
        "name": file.key.name,
        "storage_session_id": file.key.home.session,
        "size": file.info.size,
        "contentType": _content_type(file),
        "lastModified": moment(file.info.modified),
    }


def session(live: Live) -> dict[str, Any]:
    return {"session_id": live.session_id, "since": moment(live.claimed), "ends": moment(live.ends)}


def described(file: StoredFile) -> dict[str, Any]:
    """One object on its own."""
    return {
        "name": object_name(file),
        "originalFilename": file.key.name,
        "size": file.info.size,
        "lastModified": moment(file.info.modified),
        "etag": file.info.etag,
        "contentType": _content_type(file),
        "readOnly": file.read_only,
    }


def content_of(file: StoredFile) -> dict[str, Any]:
    """What is said beside the bytes of a file that is given as JSON."""
    return {
        "id": file.key.file_id,
        "name": file.key.name,
        "session_id": file.key.session,
        "storage_session_id": file.key.home.session,
        "size": file.info.size,
        "content_type": _content_type(file),
        "lastModified": moment(file.info.modified),
    }


def moment(of: datetime) -> str:
    """In UTC."""
    return of.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _content_type(file: StoredFile) -> str:
    return media.content_type(file.key.name)
