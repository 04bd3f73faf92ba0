"""Runs requirements, each within its time, and says how they ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from e2e.conformance.expect import NotOfferedError, UnmetError
from e2e.conformance.registry import Requirement
from e2e.conformance.server import Server

Result = Literal["pass", "fail", "not offered"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is one line, empty for a pass."""

    requirement: Requirement
    result: Result
    why: str
    seconds: float


def verdicts(server: Server, chosen: Iterable[Requirement]) -> Iterator[Verdict]:
    for requirement in chosen:
        yield judged(requirement, server)


def judged(requirement: Requirement, server: Server) -> Verdict:
    """Whatever happens is a verdict."""
    begun = time.monotonic()
    result, why = _outcome(lambda: hold(requirement, server))
    return Verdict(requirement, result, why, round(time.monotonic() - begun, 2))


def hold(requirement: Requirement, server: Server) -> None:
    """Raises what the check raises, or UnmetError when its time is over. Ends the sessions that it made."""
    done: Future[None] = Future()
    threading.Thread(target=_fulfil, args=(done, requirement, server), daemon=True).start()
    try:
        done.result(timeout=requirement.seconds)
    except TimeoutError:
        if done.done():
            raise
        server.abandon()
        raise UnmetError(f"not done within {requirement.seconds:g} s") from None
    finally:
        server.tidy()


def _fulfil(done: Future[None], requirement: Requirement, server: Server) -> None:
    try:
        requirement.check(server)
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def _outcome(check: Callable[[], None]) -> tuple[Result, str]:
    try:
        check()
    except UnmetError as unmet:
        return "fail", str(unmet)
    except NotOfferedError as absent:
        return "not offered", str(absent)
    except Exception as error:
        return "fail", " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return "pass", ""
