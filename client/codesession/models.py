"""What a server answers, as typed values. It is checked, since what it names becomes paths of requests."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from codesession.errors import BadAnswerError

_CONFIG = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, use_attribute_docstrings=True)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class File(BaseModel):
    """A file that the server stores."""

    model_config = _CONFIG

    session_id: Id = Field(validation_alias=AliasChoices("storage_session_id", "session_id"))
    """The session that stores it."""
    id: Id
    name: str
    """Its path below /mnt/data. Code may have chosen it: it is not safe as a path of this machine."""
    size: int | None = None
    """Bytes."""
    content_type: str | None = Field(None, validation_alias=AliasChoices("contentType", "content_type"))
    modified: datetime | None = Field(None, validation_alias=AliasChoices("lastModified", "modified"))
    inherited: bool = False
    """Whether it is an input that the run left as it was."""

    @property
    def reference(self) -> str:
        """`SESSION/FILE`, as the command line takes it."""
        return f"{self.session_id}/{self.id}"


class Result(BaseModel):
    """What a run did."""

    model_config = _CONFIG

    session_id: Id | None = None
    """To be named in the next call, for its files and variables."""
    stdout: Text = ""
    stderr: Text = ""
    """With a sentence of the server at its end, where the run ended other than well."""
    files: tuple[File, ...] = ()
    """What it made or changed, and its inputs (`inherited`)."""
    deleted_files: tuple[str, ...] = ()
    exit_code: int | None = None
    """None where it did not end by itself, or did not run."""
    signal: str | None = None
    """Such as `SIGSEGV`."""
    status: str | None = None
    """TO time limit, OL output limit, OM memory, SG signal, RE exit code or not run; None: all went well."""
    language: str = ""
    wall_time: int | None = None
    """Milliseconds."""
    cpu_time: int | None = None
    """Milliseconds."""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.status is None


class Session(BaseModel):
    """A session that is alive."""

    model_config = _CONFIG

    session_id: Id
    since: datetime
    ends: datetime
    """Unless it is used before."""


class Sessions(BaseModel):
    """The answer to a question for all of them."""

    model_config = _CONFIG

    sessions: tuple[Session, ...]


class UploadedFile(BaseModel):
    model_config = _CONFIG

    id: Id = Field(validation_alias="fileId")


class Uploaded(BaseModel):
    """The answer to an upload of one file."""

    model_config = _CONFIG

    session_id: Id = Field(validation_alias=AliasChoices("storage_session_id", "session_id"))
    files: tuple[UploadedFile, ...] = Field(min_length=1, max_length=1)


Value = TypeVar("Value")

RESULT = TypeAdapter(Result)
UPLOADED = TypeAdapter(Uploaded)
SESSIONS = TypeAdapter(Sessions)
FILES = TypeAdapter(tuple[File, ...])


def parsed(kind: TypeAdapter[Value], body: bytes) -> Value:
    """Raises BadAnswerError, which says where it is wrong."""
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BadAnswerError(f"The answer is none of CodeSession: {where} {fault['msg']}") from None
