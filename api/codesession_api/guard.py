"""Which web pages may speak to this server: to all of it where one person is asked for no credentials, and
otherwise to MCP and the list of sessions. The MCP SDK's own check knows fixed hosts alone, and those of an
ingress are not known here; so it is off, and this one stands before it.

A page of another site shows itself by its `Origin`. A page whose name was made to lead here (DNS rebinding)
has the same `Origin` as `Host`: where no credentials are asked for on a loopback address, only that address's
own names are taken. Anywhere else such a page has no credentials to show.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from codesession_api.settings import Settings


def admits(settings: Settings, headers: Headers) -> bool:
    host = headers.get("host", "")
    if personal(settings) and not is_loopback(_name(host)):
        return False
    origin = headers.get("origin")
    if origin is None or {origin, "*"} & {*settings.cors_origins}:
        return True
    return urlsplit(origin).netloc.lower() == host.lower()


def personal(settings: Settings) -> bool:
    """Whether it is one person's own: nobody is asked for credentials, and no other machine gets to it."""
    return "none" in (settings.auth or ("none",)) and is_loopback(settings.host)


def tells_sessions(settings: Settings) -> bool:
    """Whether users can be told apart, or there is but one. Otherwise ids of sessions are told to nobody: to
    know one is to own it."""
    return "none" not in (settings.auth or ("none",)) or personal(settings)


def is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """`::1` of `[::1]:8000`; empty where it is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
