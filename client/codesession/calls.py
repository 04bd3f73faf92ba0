"""What is asked and how an answer is read, for both clients: everything but the I/O."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from codesession import events
from codesession.errors import CodeSessionError
from codesession.form import Form
from codesession.models import FILES, RESULT, SESSIONS, UPLOADED, File, Result, Session, parsed

URL_VARIABLE, KEY_VARIABLE = "CODESESSION_URL", "CODESESSION_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000/v1"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and the key that it asks for if any; from the environment where they are not given."""

    url: str
    key: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str | None, key: str | None) -> Server:
        return cls(
            (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/"),
            key or os.environ.get(KEY_VARIABLE) or None,
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"user-agent": f"codesession/{_version()}"} | ({"x-api-key": self.key} if self.key else {})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request with a body, a form or neither, and what its answer's body means. `repeatable` is one that
    may be done twice. `read` raises BadAnswerError."""

    method: str
    path: str
    read: Callable[[bytes], T]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    form: Form | None = None
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """A program. `seconds` is what it may take; the server has a limit of its own."""

    code: str
    lang: str = "py"
    session: str | None = None
    args: tuple[str, ...] = ()
    seconds: float | None = None


def execute(run: Run, files: Sequence[File], *, streamed: bool = False) -> Call[Result]:
    """Raises ValueError of a session that is no id."""
    asked: dict[str, Any] = {"lang": run.lang, "code": run.code}
    if run.session is not None:
        asked["session_id"] = _checked(run.session)
    if files:
        asked["files"] = [reference(file) for file in files]
    if run.args:
        asked["args"] = run.args
    if run.seconds is not None:
        asked["timeout"] = round(run.seconds * 1000)
    headers = {"content-type": "application/json"} | ({"accept": events.MIME} if streamed else {})
    return Call("POST", "/exec", _of(RESULT), headers, json.dumps(asked).encode(), repeatable=False)


def session_of(result: Result) -> str:
    """Raises CodeSessionError where none was made, in the server's words."""
    if result.session_id is None:
        raise CodeSessionError(result.stderr.strip() or "The server made no session.")
    return result.session_id


def reference(file: File) -> dict[str, str]:
    """By which a run is given a file."""
    return {"id": file.id, "storage_session_id": file.session_id, "name": file.name}


def upload(form: Form) -> Call[File]:
    def read(body: bytes) -> File:
        stored = parsed(UPLOADED, body)
        return File(session_id=stored.session_id, id=stored.files[0].id, name=form.name, size=form.size)

    return Call("POST", "/upload", read, form.headers, form=form)


def sessions() -> Call[tuple[Session, ...]]:
    return Call("GET", "/sessions", lambda body: parsed(SESSIONS, body).sessions)


def files(session: str) -> Call[tuple[File, ...]]:
    return Call("GET", f"/files/{_checked(session)}?detail=normalized", _of(FILES))


def download(file: File) -> Call[bytes]:
    return Call("GET", f"/download/{file.session_id}/{file.id}", bytes)


def delete(what: str | File) -> Call[None]:
    """A session with all that it has, by its id; or one file."""
    path = f"/files/{what.session_id}/{what.id}" if isinstance(what, File) else f"/sessions/{_checked(what)}"
    return Call("DELETE", path, lambda _: None)


def _of(kind: TypeAdapter[T]) -> Callable[[bytes], T]:
    return partial(parsed, kind)


def _checked(session: str) -> str:
    """It becomes a part of a path. Raises ValueError."""
    if not _ID.fullmatch(session):
        raise ValueError(f"{session!r} is no id of a session")
    return session


def _version() -> str:
    try:
        return version("codesession")
    except PackageNotFoundError:
        return "unknown"
