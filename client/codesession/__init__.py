"""A client of CodeSession: `Client`, and `AsyncClient` for asyncio.

Layers, each of which imports only those before it: `errors`, `models`; what is neither sync nor async (`sse`,
`events`, `names`, `form`, `patience`, `calls`); the two clients, which do nothing but I/O; `cli`.
"""

from codesession.asynchronous import AsyncClient, AsyncStream
from codesession.errors import (
    BadAnswerError,
    BusyError,
    CodeSessionError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    ServerFailedError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
)
from codesession.events import End, Event, Files, Stderr, Stdout
from codesession.form import Progress
from codesession.models import File, Result, Session
from codesession.patience import Patience
from codesession.synchronous import Client, Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "BadAnswerError",
    "BusyError",
    "Client",
    "CodeSessionError",
    "End",
    "Event",
    "File",
    "Files",
    "InvalidRequestError",
    "NotFoundError",
    "Patience",
    "Progress",
    "RefusedError",
    "Result",
    "ServerFailedError",
    "Session",
    "Stderr",
    "Stdout",
    "Stream",
    "TooLargeError",
    "UnauthorizedError",
    "UnreachableError",
]
