"""What a call to the API server can end in, besides its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Any failure to get something done by the API server."""


class ApiUnreachableError(KubeError):
    """No answer: refused, cut or timed out. Whether the call was carried out is unknown."""

    def __init__(self, method: str, path: str, cause: BaseException) -> None:
        super().__init__(f"{method} {path}: no answer ({type(cause).__name__})")


class ApiStatusError(KubeError):
    """An answer other than 2xx. `status` is HTTP's, `reason` is Kubernetes' word for it (`NotFound`, …),
    `retry_after` the seconds to wait, if the server asks for that."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @classmethod
    def from_answer(cls, status: int, headers: Mapping[str, str], body: bytes) -> ApiStatusError:
        """From an HTTP answer: a `Status` object, or whatever a proxy in between wrote instead."""
        error = cls.from_status(status, _parsed(body))
        error.retry_after = _seconds(headers.get("Retry-After")) or error.retry_after
        return error

    @classmethod
    def from_status(cls, status: int, answer: dict[str, Any]) -> ApiStatusError:
        """From a `Status` object."""
        return cls(
            status,
            str(answer.get("reason") or "Unknown"),
            str(answer.get("message") or f"HTTP {status}"),
            _seconds(_details(answer).get("retryAfterSeconds")),
        )

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """The object is not (or no longer) in the state that the call assumed."""
        return self.status == 409


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _details(answer: dict[str, Any]) -> dict[str, Any]:
    details = answer.get("details")
    return details if isinstance(details, dict) else {}


def _seconds(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
