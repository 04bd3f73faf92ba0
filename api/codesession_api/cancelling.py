"""Ending a run by its name, wherever it was begun: the sandboxes that have one hint are asked for it."""

from __future__ import annotations

import logging

from codesession_api.errors import SandboxError
from codesession_api.ports import Principal, Sandboxes

log = logging.getLogger(__name__)

_SOUGHT = 64
"""Sandboxes that one request asks."""


async def cancel(sandboxes: Sandboxes, by: Principal, hint: str, name: str) -> bool:
    """Whether one of the sandboxes that `by` claimed with `hint` had a run of this name."""
    seen = list[str]()
    while len(seen) < _SOUGHT:
        sandbox = await sandboxes.hinted(hint, by, but=seen)
        if sandbox is None:
            return False
        seen.append(sandbox.session_id)
        try:
            if await sandbox.cancel(name):
                return True
        except SandboxError as error:
            log.warning("a sandbox was not asked to cancel: %s", type(error).__name__)
    return False
