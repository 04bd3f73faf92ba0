"""What an answer is worth: right so far, a failure that is told as documented, or wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class WrongError(Exception):
    """An answer that must never be given, and why."""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a call that was not served."""

    how: str
    """A word of the documentation: an error's code, or how it is said in `stderr`."""


_TO_COME_AGAIN = {
    429: {"rate_limited"},
    503: {"sandboxes_unavailable", "storage_unavailable", "sandbox_failed"},
}
_SENTENCES = {
    "The sandbox was lost while the code ran": "lost",
    "The run failed:": "failed",
    # An answer whose head was sent already, to keep its connection alive.
    "The file storage does not answer.": "storage_unavailable",
    "The sandbox could not serve the request.": "sandbox_failed",
    "no sandbox within": "rate_limited",
    "the session did not start again within": "rate_limited",
    "the quota of sandboxes is used up": "rate_limited",
    "Too many runs wait for this session.": "rate_limited",
    "a claim was ": "sandboxes_unavailable",
    "a session could not be ": "sandboxes_unavailable",
    "the session cannot be read": "sandboxes_unavailable",
    "the session could not be started again": "sandboxes_unavailable",
    "the new session ": "sandboxes_unavailable",
    "there is no CodeEnvironment": "sandboxes_unavailable",
    "There is no such program that waits.": "not_found",
}
_NOT_STORED = ("could not be stored", "Files were made and not stored")


def refusal(status: int, headers: Mapping[str, str], body: Json) -> Told | None:
    """None when the call was served. WrongError for a failure that is not as documented."""
    if status == 200:
        return None
    code = str(body.get("error"))
    if code not in _TO_COME_AGAIN.get(status, ()):
        raise WrongError(f"status {status}: {body}")
    if not headers.get("retry-after", "").isdecimal():
        raise WrongError(f"status {status} without Retry-After")
    return Told(code)


def failure(body: Json) -> Told | None:
    """Why a run has no result, as its `stderr` says; None when it has one."""
    if body.get("exit_code") is not None:
        return None
    stderr = str(body.get("stderr"))
    return next((Told(how) for words, how in _SENTENCES.items() if words in stderr), None)


def has_stored(body: Json) -> bool:
    """Whether all that the run made is in the store, as far as the answer says."""
    return not any(words in str(body.get("stderr")) for words in _NOT_STORED)
