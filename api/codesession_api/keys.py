"""Keys of the object store: the only place that knows them.

    <tenant>/<session>/<file id>~<owner>/<name>           a file uploaded to the session, or made in it
    <tenant>/<session>/<file id>+<owner>/<name>           the same, and all of the tenant may read it
    <tenant>/<session>/<file id>~<owner>@<origin>/<name>  a file of the session `origin` that was put into it
    <tenant>/<session>/<file id>~<owner>-/<name>          the name was deleted in this session

`owner` is the principal that stored the entry. The latter two hold no bytes. A listing of a session is
thereby its whole history, in order, since file ids begin with their time: the last entry of a name is what a
session that is gone is restored to. A user's folder (`folders`) is a session too, with an id that is no
other's, and so is the history of what a principal ran (`mcp.history`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import time
from dataclasses import dataclass

from codesession_api.ports import Principal
from codesession_crds.names import ID_LENGTH, new_id

_DIGITS = string.digits + string.ascii_lowercase
_TIME_DIGITS = 8
_KEY = re.compile(
    r"(?P<tenant>[^/]+)/(?P<session>[\w-]{21}|~[0-9a-f]{20})/(?P<file_id>[\w-]{21})(?P<access>[~+])(?P<owner>[0-9a-f]{32})"
    r"(?:@(?P<origin>[\w-]{21})|(?P<gone>-))?/(?P<name>.+)",
    re.ASCII | re.DOTALL,
)
_last_moment = 0

SWEEP = "sweep"
"""Says by its `modified` when the last sweep began."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """One key. `origin` is the session that holds the bytes where it is another one than `session`; `shared`
    is whether others than `owner` may read it."""

    tenant: str
    session: str
    file_id: str
    name: str
    owner: str
    shared: bool = False
    origin: str | None = None
    gone: bool = False

    @classmethod
    def of(
        cls, by: Principal, session: str, file_id: str, name: str, *,
        shared: bool = False, origin: str | None = None, gone: bool = False,
    ) -> FileKey:  # fmt: skip
        """What `by` stores; of a file that is only asked for, the likeliest key."""
        return cls(by.tenant, session, file_id, name, by.principal, shared, origin, gone)

    def __str__(self) -> str:
        access = "+" if self.shared else "~"
        mark = "-" if self.gone else f"@{self.origin}" if self.origin else ""
        return f"{self.tenant}/{self.session}/{self.file_id}{access}{self.owner}{mark}/{self.name}"

    @property
    def bears_bytes(self) -> bool:
        return self.origin is None and not self.gone

    @property
    def home(self) -> FileKey:
        """The key that holds the bytes, or would if the same principal had stored them for itself."""
        if self.bears_bytes:
            return self
        return FileKey(self.tenant, self.origin or self.session, self.file_id, self.name, self.owner)

    @property
    def tag(self) -> str:
        """What the sandbox remembers about a file that holds these bytes."""
        return f"{self.origin or self.session}/{self.file_id}"

    def of_principal(self, by: Principal) -> bool:
        """Whether `by` stored it, and so may delete it."""
        return self.tenant == by.tenant and self.owner == by.principal

    def readable_by(self, by: Principal) -> bool:
        return self.tenant == by.tenant and (self.shared or self.owner == by.principal)


def parse(key: str) -> FileKey | None:
    """None for a key that is none of ours."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    return FileKey(
        tenant=match["tenant"],
        session=match["session"],
        file_id=match["file_id"],
        name=match["name"],
        owner=match["owner"],
        shared=match["access"] == "+",
        origin=match["origin"],
        gone=match["gone"] is not None,
    )


def tenant_prefix(tenant: str) -> str:
    return f"{tenant}/"


def session_prefix(tenant: str, session: str) -> str:
    return f"{tenant}/{session}/"


def file_prefix(tenant: str, session: str, file_id: str) -> str:
    """Finds the file whatever its name and owner, and whether its bytes are in this session or in another."""
    return f"{tenant}/{session}/{file_id}"


def new_upload_id() -> str:
    """A fresh id of a session that only stores. It begins in upper case, as no CodeSession can be named:
    nobody looks for a sandbox of it."""
    return "U" + new_id()[1:]


def is_upload_id(session: str) -> bool:
    return session.startswith("U")


def folder_id(owner: str) -> str:
    """The id of a folder, which is no id that a client could send."""
    return "~" + hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[: ID_LENGTH - 1]


def new_file_id() -> str:
    """A fresh id of the shape of all ids: `f`, the time, and 62 bits by chance, beside the 108 of the
    session's id that it takes to read the file. Each is above those made before in this process."""
    global _last_moment
    moment = _last_moment = max(time.time_ns() // 1_000_000, _last_moment + 1)
    digits = ""
    for _ in range(_TIME_DIGITS):
        moment, digit = divmod(moment, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    chance = ID_LENGTH - 1 - _TIME_DIGITS
    return "f" + digits + "".join(secrets.choice(_DIGITS) for _ in range(chance))
