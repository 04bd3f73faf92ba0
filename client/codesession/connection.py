"""What both clients say to httpx, and what its failures are called here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from codesession import errors
from codesession.calls import Call, Server
from codesession.errors import BadAnswerError, BusyError, UnreachableError

TIMEOUT = httpx.Timeout(150.0, connect=10.0)
"""Seconds without a byte: a first run may wait for a sandbox; later a server shows that it is there."""


def options(server: Server) -> dict[str, Any]:
    """Redirects are not followed: the key would go along."""
    return {"headers": server.headers, "timeout": TIMEOUT, "follow_redirects": False}


def request(server: Server, call: Call[Any]) -> dict[str, Any]:
    """All but the content, which is each client's own."""
    return {"method": call.method, "url": server.url + call.path, "headers": call.headers}


def refused(response: httpx.Response, body: bytes) -> BusyError:
    """Where waiting may help; all other refusals are raised."""
    refusal = errors.refusal(response.status_code, response.headers, body)
    if isinstance(refusal, BusyError):
        return refusal
    raise refusal


def length(response: httpx.Response) -> int | None:
    """Bytes of the body as it will be given; None where that is not known."""
    declared = response.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() and "content-encoding" not in response.headers else None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """A failure of the network is an UnreachableError. The URL may have a key in it, and is not shown."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise UnreachableError(f"The server's URL cannot be used: {error}") from None
    except httpx.DecodingError:
        raise BadAnswerError("The answer's compression makes no sense.") from None
    except httpx.ConnectError as error:
        raise UnreachableError(f"The server cannot be reached: {error}") from error
    except httpx.TimeoutException as error:
        raise UnreachableError("The server does not answer in time.") from error
    except httpx.HTTPError as error:
        raise UnreachableError(f"The connection broke: {error or type(error).__name__}") from error
