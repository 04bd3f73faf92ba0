"""Which web pages may speak to this server."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from codesession_api.guard import admits
from codesession_api.settings import load

PERSONAL = {"auth": "none", "host": "127.0.0.1"}
SHARED = {"auth": "none", "host": "0.0.0.0"}
PAGES = {"auth": "none", "host": "127.0.0.1", "cors_origins": "https://chat.example"}


@pytest.mark.parametrize(
    ("settings", "host", "origin", "admitted"),
    [
        (PERSONAL, "127.0.0.1:8000", None, True),
        (PERSONAL, "localhost:8000", None, True),
        (PERSONAL, "[::1]:8000", None, True),
        (PERSONAL, "localhost:8000", "http://localhost:8000", True),
        (PERSONAL, "localhost:8000", "http://localhost:9000", False),
        (PERSONAL, "localhost:8000", "null", False),
        (PERSONAL, "127.0.0.1:8000", "https://evil.example", False),
        (PERSONAL, "evil.example:8000", "http://evil.example:8000", False),
        (PERSONAL, "evil.example:8000", None, False),
        (PERSONAL, "localhost.evil.example", None, False),
        (PERSONAL, "[::1", None, False),
        (PERSONAL, "", None, False),
        (SHARED, "codesession-api.codesession-system", None, True),
        (SHARED, "code.example", "https://code.example", True),
        (SHARED, "code.example", "https://evil.example", False),
        (PAGES, "localhost:8000", "https://chat.example", True),
        (PAGES, "localhost:8000", "https://other.example", False),
    ],
)
def test_who_is_admitted(settings: dict[str, str], host: str, origin: str | None, admitted: bool) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    assert admits(load(backend="local", **settings), Headers(headers)) is admitted
