"""Folders of users: what somebody uploaded is there in each new session of theirs.

For users of older interpreters, which had such folders. A folder is a session by its key alone: it holds
marks of the uploads, under an id that no client can name. Whose it is, a client says, but for a proved
principal.
"""

from __future__ import annotations

from collections.abc import Mapping

from codesession_api import keys
from codesession_api.ports import Principal


def of_upload(by: Principal, fields: Mapping[str, str], user_id: str | None, *, shared: bool) -> str | None:
    """The folder that keeps an upload with these form fields and the header `User-Id`; None when it is no
    user's: of an agent or a skill."""
    if by.proved:
        return None if shared else _of_principal(by)
    kind, entity = fields.get("kind") or "user", fields.get("entity_id")
    user = (fields.get("kind") and fields.get("id")) or user_id
    return _of_name(entity or (user if kind == "user" else None))


def of_run(by: Principal, entity_id: str | None, user_id: str | None) -> str | None:
    """The folder whose files a run gets."""
    return _of_principal(by) if by.proved else _of_name(entity_id or user_id)


def _of_principal(by: Principal) -> str:
    return keys.folder_id(f"principal\0{by.principal}")


def _of_name(name: str | None) -> str | None:
    return keys.folder_id(f"name\0{name}") if name else None
