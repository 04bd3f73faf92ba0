"""The installation under test, through its public API; nothing that it says is trusted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROGRAMS = Path(__file__).with_name("programs")
SECONDS = 150
"""For one request: a first one may wait for a sandbox to be started."""
_ANSWER_BYTES = 32 * 1024 * 1024
_FACTS_CHARACTERS = 256 * 1024


class NoFactsError(Exception):
    """Why something could not be looked at. One line."""


class Facts(BaseModel):
    """A document of a program, with nothing in it but what is expected."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Stored(BaseModel):
    """A file of an answer."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=64)
    name: str = Field(max_length=4096)


class Answer(BaseModel):
    """What a run came to; of another server than CodeSession some of it is missing."""

    model_config = ConfigDict(extra="ignore")

    session_id: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    stdout: str = ""
    stderr: str = ""
    status: str | None = Field(None, max_length=16)
    files: list[Stored] = Field([], max_length=10_000)


Found = TypeVar("Found", bound=Facts)
Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a document, of which nothing is known yet."""

    status: int
    body: bytes

    def read(self, model: type[Document]) -> Document:
        """Raises NoFactsError."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise NoFactsError(f"the API's answer is none: {_fault(error)}") from None


def program(name: str) -> str:
    return (PROGRAMS / f"{name}.py").read_text()


def facts(model: type[Found], answer: Answer) -> Found:
    """Of what a program printed. Raises NoFactsError."""
    if not answer.stdout.strip():
        said = answer.stderr.strip()[-300:]
        raise NoFactsError(f"the program told nothing ({answer.status or 'no status'}): {said}")
    if len(answer.stdout) > _FACTS_CHARACTERS:
        raise NoFactsError(f"the program told {len(answer.stdout)} characters, which is too much")
    try:
        return model.model_validate_json(answer.stdout)
    except ValidationError as error:
        raise NoFactsError(f"what the program told makes no sense: {_fault(error)}") from None


class Lab:
    """`keys` are those of one or two tenants, or empty where none is asked for; `addresses` are such as the
    installation's owner says that a sandbox must not reach."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        keys: Sequence[str] = (),
        addresses: Sequence[tuple[str, str, int]] = (),
    ) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._keys = keys
        self.addresses = addresses
        self._made: set[tuple[str, int]] = set()
        self._shared = ""

    @property
    def has_two_tenants(self) -> bool:
        return len(self._keys) > 1

    async def looked(self, model: type[Found], name: str, *arguments: str, session: str = "") -> Found:
        """What a program sees in the sandbox that these looks share, or in that of a session."""
        where = session or await self.session()
        return facts(model, await self.run(program(name), *arguments, session=where))

    async def session(self) -> str:
        """The shared sandbox's."""
        self._shared = self._shared or await self.fresh()
        return self._shared

    async def fresh(self, tenant: int = 0) -> str:
        """A session with a sandbox of its own."""
        answer = await self.run("print(1)", tenant=tenant)
        if not answer.session_id:
            raise NoFactsError("the API names no session")
        return answer.session_id

    async def run(
        self,
        code: str,
        *arguments: str,
        session: str = "",
        tenant: int = 0,
        files: Sequence[dict[str, str]] = (),
        milliseconds: int = 60_000,
    ) -> Answer:
        request = {
            "lang": "py",
            "code": code,
            "args": [*arguments],
            "timeout": milliseconds,
            "files": [*files],
        }
        more = {"session_id": session} if session else {}
        reply = await self.request("POST", "/exec", tenant=tenant, body=request | more)
        if reply.status != 200:
            raise NoFactsError(f"/exec answers {reply.status}: {reply.body[:200].decode(errors='replace')}")
        answer = reply.read(Answer)
        if answer.session_id:
            self._made.add((answer.session_id, tenant))
        return answer

    async def request(self, method: str, path: str, *, tenant: int = 0, body: object = None) -> Reply:
        """Raises NoFactsError when there is no answer, or one that has no end."""
        key = {"X-API-Key": self._keys[tenant]} if self._keys else {}
        asked = self._http.request(
            method,
            self._base + path,
            data=None if body is None else json.dumps(body),
            headers=key | {"Content-Type": "application/json"},
            allow_redirects=False,
        )
        try:
            async with asked as response:
                content = await _bounded(response.content)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoFactsError(f"{method} {path}: {type(error).__name__} {error}") from None
        return Reply(response.status, content)

    async def tidy(self) -> None:
        """End the sessions that came to be since the last time, but for the shared one: a small installation
        has not many places."""
        await self._end(self._made - {(self._shared, 0)})

    async def aclose(self) -> None:
        await self._end(self._made)

    async def _end(self, sessions: set[tuple[str, int]]) -> None:
        """Best effort, since not every server can."""
        for session, tenant in sorted(sessions):
            with contextlib.suppress(NoFactsError):
                await self.request("DELETE", f"/sessions/{session}", tenant=tenant)
        self._made = self._made - sessions


@contextlib.asynccontextmanager
async def opened(
    base: str, keys: Sequence[str] = (), addresses: Sequence[tuple[str, str, int]] = ()
) -> AsyncIterator[Lab]:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        lab = Lab(http, base, keys, addresses)
        try:
            yield lab
        finally:
            await lab.aclose()


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    read = bytearray()
    async for chunk in stream.iter_chunked(65536):
        read += chunk
        if len(read) > _ANSWER_BYTES:
            raise NoFactsError(f"the answer is longer than {_ANSWER_BYTES} bytes")
    return bytes(read)


def _fault(error: ValidationError) -> str:
    """Where, and what is wrong; nothing of the document."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip()
