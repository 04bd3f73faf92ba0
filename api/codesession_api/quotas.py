"""How much may be stored: by one session, and by one principal.

Bytes are counted while they are stored, whatever a client or a sandbox says of their size. What a principal
has is the sum of a listing of its tenant, kept for a while and increased by what this replica stores: several
together may overshoot by what they store within that time.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from codesession_api.concurrency import closing
from codesession_api.errors import QuotaExceeded
from codesession_api.files import Files
from codesession_api.ports import Principal
from codesession_api.settings import Settings

_KEPT_SECONDS = 30.0


@dataclass(slots=True)
class Meter:
    """What is used of one limit; `over` is said when the rest does not suffice."""

    limit: int
    over: str
    used: int = 0

    def check(self, more: int) -> None:
        """Raises QuotaExceeded. To give something back is always possible."""
        if more > 0 and self.used + more > self.limit:
            raise QuotaExceeded(self.over)


class Allowance:
    """What one request may store, in any number of files at one time."""

    def __init__(self, files: Meter, *sizes: Meter) -> None:
        self._files = files
        self._sizes = sizes

    async def metered(self, chunks: AsyncIterator[bytes], size: int = 0) -> AsyncIterator[bytes]:
        """A file's bytes, until there is no room for more: then QuotaExceeded. `size` is how many there are
        said to be, and decides before any is read. What is not read to its end counts for nothing."""
        held = seen = 0
        size = max(0, size)
        _take(1, self._files)
        try:
            _take(size, *self._sizes)
            held = size
            async with closing(chunks):
                async for chunk in chunks:
                    seen += len(chunk)
                    _take(max(0, seen - held), *self._sizes)
                    held = max(held, seen)
                    yield chunk
        except BaseException:
            seen = 0
            _take(-1, self._files)
            raise
        finally:
            _take(seen - held, *self._sizes)


class Quotas:
    """`clock` is monotonic, in seconds."""

    def __init__(self, settings: Settings, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._files = files
        self._clock = clock
        self._tenants: dict[str, _Tenant] = defaultdict(_Tenant)

    async def of_new_session(self, by: Principal) -> Allowance:
        return await self._allowance(by, 0, 0)

    async def of_session(self, by: Principal, session: str) -> Allowance:
        sizes = [file.info.size async for file in self._files.stored(by, session)]
        return await self._allowance(by, len(sizes), sum(sizes))

    async def _allowance(self, by: Principal, files: int, size: int) -> Allowance:
        limits = self._settings
        few = f"This session has as many files as it may store: {limits.session_files}."
        full = f"This session may not store more than {limits.session_bytes} bytes."
        meters = [Meter(limits.session_files, few, files), Meter(limits.session_bytes, full, size)]
        if limits.principal_bytes:
            meters.append(await self._of_principal(by))
        return Allowance(*meters)

    async def _of_principal(self, by: Principal) -> Meter:
        """One for all requests of the principal, until it is counted again."""
        tenant = self._tenants[by.tenant]
        async with tenant.counting:
            if tenant.until < self._clock():
                tenant.meters = {
                    owner: self._principal_meter(used)
                    for owner, used in (await self._files.stored_by_owner(by.tenant)).items()
                }
                tenant.until = self._clock() + _KEPT_SECONDS
        return tenant.meters.setdefault(by.principal, self._principal_meter(0))

    def _principal_meter(self, used: int) -> Meter:
        limit = self._settings.principal_bytes
        return Meter(limit, f"All files of one user may not be more than {limit} bytes.", used)


class _Tenant:
    """What its principals have, as of the last count."""

    def __init__(self) -> None:
        self.counting = asyncio.Lock()
        self.until = float("-inf")
        self.meters: dict[str, Meter] = {}


def _take(amount: int, *meters: Meter) -> None:
    """From all of them or from none."""
    for meter in meters:
        meter.check(amount)
    for meter in meters:
        meter.used += amount
