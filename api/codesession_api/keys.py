"""Keys of the object store: the only place that knows them.

    <tenant>/<session>/<file id>/<name>             a file that was uploaded to the session or made in it
    <tenant>/<session>/<file id>@<origin>/<name>    a file of the session `origin` that was put into this one
    <tenant>/<session>/<file id>-/<name>            the name was deleted in this session

The latter two hold no bytes. A listing of a session is thereby its whole history, in order, since file ids
begin with their time: the last entry of a name is what a session that is gone is restored to.
"""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass

from codesession_crds.names import ID_LENGTH, is_wire_id, new_id

_DIGITS = string.digits + string.ascii_lowercase
_TIME_DIGITS = 8
_GONE = "-"


@dataclass(frozen=True, slots=True)
class FileKey:
    """One key. `origin` is the session that holds the bytes where it is another one than `session`."""

    tenant: str
    session: str
    file_id: str
    name: str
    origin: str | None = None
    gone: bool = False

    def __str__(self) -> str:
        mark = _GONE if self.gone else f"@{self.origin}" if self.origin else ""
        return f"{self.tenant}/{self.session}/{self.file_id}{mark}/{self.name}"

    @property
    def home(self) -> FileKey:
        """The key that holds the bytes."""
        return FileKey(self.tenant, self.origin or self.session, self.file_id, self.name)

    @property
    def tag(self) -> str:
        """What the sandbox remembers about a file that holds these bytes."""
        return f"{self.origin or self.session}/{self.file_id}"


def parse(key: str) -> FileKey | None:
    """None for a key that is none of ours."""
    tenant, _, rest = key.partition("/")
    session, _, rest = rest.partition("/")
    entry, _, name = rest.partition("/")
    file_id, mark = entry[:ID_LENGTH], entry[ID_LENGTH:]
    if not (tenant and name and is_wire_id(session) and is_wire_id(file_id)):
        return None
    if mark.startswith("@") and is_wire_id(mark[1:]):
        return FileKey(tenant, session, file_id, name, origin=mark[1:])
    if mark in ("", _GONE):
        return FileKey(tenant, session, file_id, name, gone=mark == _GONE)
    return None


def session_prefix(tenant: str, session: str) -> str:
    return f"{tenant}/{session}/"


def file_prefix(tenant: str, session: str, file_id: str) -> str:
    """Finds the file whatever its name, and whether its bytes are in this session or in another."""
    return f"{tenant}/{session}/{file_id}"


def new_upload_id() -> str:
    """A fresh id of a session that only stores. It begins in upper case, as no CodeSession can be named:
    nobody looks for a sandbox of it."""
    return "U" + new_id()[1:]


def new_file_id() -> str:
    """A fresh id of the shape of all ids: `f`, the time, and 62 bits by chance, beside the 108 of the
    session's id that it takes to read the file."""
    moment, digits = time.time_ns() // 1_000_000, ""
    for _ in range(_TIME_DIGITS):
        moment, digit = divmod(moment, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    chance = ID_LENGTH - 1 - _TIME_DIGITS
    return "f" + digits + "".join(secrets.choice(_DIGITS) for _ in range(chance))
