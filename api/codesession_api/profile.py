"""What a client may rely on between two runs: with `stateful` it sends hints of the session that it wants
again, and tells its model that the machine stays. A client that expects the other one must not run here."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from codesession_api.errors import ApiError
from codesession_api.services import With

PROFILE = "X-CodeAPI-Execution-Profile"
_EXPECTED = "X-CodeAPI-Expected-Profile"

Expected = Annotated[str, Header(alias=_EXPECTED, description="409 where the server has another one.")]


async def as_expected(services: With, expected: Expected = "") -> None:
    """A dependency of every route. LibreChat knows the word `execution_profile_mismatch` for a permanent
    fault, and does not try again."""
    if expected.strip() not in ("", services.settings.profile):
        raise ApiError(409, "execution_profile_mismatch", f"This server is {services.settings.profile!r}.")
