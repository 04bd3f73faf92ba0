"""Which isolation works here: found by running a line of code in it, not by looking at versions."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable

from codesession_api.errors import SandboxError, SandboxesUnavailable
from codesession_api.ports import Outcome, RunSpec
from codesession_api.sandboxes.child import StartError
from codesession_api.sandboxes.connection import Connection
from codesession_api.sandboxes.isolation import Isolation
from codesession_api.sandboxes.launch import BINARIES, Launcher, LocalSandbox
from codesession_api.sandboxes.session import Limits, Session
from codesession_crds.names import new_id

_SECONDS = 30.0
_LIMITS = Limits(run_seconds=_SECONDS, output_bytes=4096, file_bytes=4096, files=10)

logger = logging.getLogger(__name__)


async def choose(launcher: Callable[[Isolation], Launcher], *, unsafe: bool) -> Isolation:
    """gVisor, else bubblewrap, else nothing if `unsafe`. Raises SandboxesUnavailable with the reasons."""
    reasons = []
    for kind, binary in BINARIES.items():
        reason = await fault(launcher(kind)) if shutil.which(binary) else "not on the PATH"
        if reason is None:
            return kind
        logger.info("%s is not used: %s", binary, reason)
        reasons.append(f"{binary}: {reason}")
    if unsafe:
        logger.warning("code runs WITHOUT ISOLATION, as this user: %s", "; ".join(reasons))
        return Isolation.NONE
    raise SandboxesUnavailable(f"no way to isolate code on this host ({'; '.join(reasons)})")


async def fault(launcher: Launcher) -> str | None:
    """Why a sandbox of this kind does not run code; None when it does."""
    try:
        sandbox = await launcher.launch(new_id())
    except StartError as error:
        return str(error)
    try:
        session = Session(sandbox.session_id, _Line(sandbox), _LIMITS)
        spec = RunSpec(new_id(), "py", "print(6 * 7)", timeout=_SECONDS)
        async with asyncio.timeout(_SECONDS):
            result = await session.run(spec)
    except (SandboxError, TimeoutError) as error:
        return str(error) or f"no result within {_SECONDS:g} s"
    finally:
        await sandbox.aclose()
    works = result.outcome is Outcome.EXIT and result.stdout == b"42\n"
    return None if works else f"a trial run ended with {result.outcome}"


class _Line:
    def __init__(self, sandbox: LocalSandbox) -> None:
        self._connection = sandbox.child.connection

    async def connect(self) -> Connection:
        return self._connection
