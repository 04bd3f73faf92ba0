"""Hints of a session: a client's own name for the place that it wants again, such as `v2:user:<id>`.

A hint can be guessed. So it is only a name among the sessions of one principal, and nothing at all where
nobody is asked who he is.
"""

from __future__ import annotations

import hashlib

from codesession_api.ports import Principal
from codesession_api.settings import Settings


def hashed(settings: Settings, principal: Principal, hint: str | None) -> str | None:
    """What stands for the hint, fit for a label; None where there is none, or it counts for nothing."""
    if not hint or "none" in (settings.auth or ("none",)):
        return None
    whole = f"{principal.tenant}\0{principal.principal}\0{hint}"
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:32]
