"""What a requirement says when it is not met: one line, with what came in place of what was wanted."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NoReturn

import httpx

_SHOWN = 160
_ABSENT = (404, 405, 501)


class UnmetError(Exception):
    """The server does something else than the contract says."""


class NotOfferedError(Exception):
    """The server has no such endpoint or field, and no client of LibreChat's breaks without it."""


def that(condition: object, otherwise: str) -> None:
    """`otherwise` says what was found."""
    if not condition:
        fail(otherwise)


def same(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        fail(f"{what} is {shown(found)}, not {shown(wanted)}")


def within(part: Any, whole: Container[Any], what: str) -> None:
    if part not in whole:
        fail(f"{what} is {shown(whole)}, without {shown(part)}")


def status(answer: httpx.Response, *wanted: int) -> httpx.Response:
    """The answer; its status must be one of these."""
    if answer.status_code not in wanted:
        request = answer.request
        fail(f"{request.method} {request.url.path} answers {answer.status_code}: {shown(answer.text)}")
    return answer


def offered(answer: httpx.Response) -> httpx.Response:
    """The answer of an endpoint that a server may be without. Raises NotOfferedError."""
    if answer.status_code in _ABSENT:
        request = answer.request
        raise NotOfferedError(f"{request.method} {request.url.path} answers {answer.status_code}")
    return status(answer, 200)


def refusal(answer: httpx.Response, *wanted: int) -> None:
    """An error of that status, whose body is JSON and says what is wrong."""
    status(answer, *wanted)
    try:
        body = answer.json()
    except ValueError:
        fail(f"status {answer.status_code} comes with a body that is no JSON: {shown(answer.text)}")
    that(isinstance(body, dict) and body.get("error"), f"the body has no `error`: {shown(body)}")


def fail(why: str) -> NoReturn:
    raise UnmetError(" ".join(why.split()))


def shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = repr(text) if isinstance(value, str) else text
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
