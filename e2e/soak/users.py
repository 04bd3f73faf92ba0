"""Users: each does one thing after the other, checks every answer, and goes on whatever it was."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import Any

import httpx

from e2e.soak import answers
from e2e.soak.answers import Json, Told, WrongError
from e2e.soak.ledger import Ledger
from e2e.soak.report import Record

COUNT = """
n = globals().get("n", 0) + 1
with open("counter.txt", "a") as file:
    file.write("{word}\\n")
with open("counter.txt") as file:
    print(n, *file.read().split())
"""
PROGRAM = "first = await double(n={first})\nsecond = await double(n=first)\nprint(first, second)"
DIGEST = "import hashlib; print(hashlib.sha256(open('data.bin', 'rb').read()).hexdigest())"
_WEIGHTS = {"live": 6, "fresh": 2, "files": 2, "program": 2}
_TURNS = 20
_PAUSE_SECONDS = 0.5
_LARGE = 6_000_000
"""More than S3 takes in one part."""


class ToldError(Exception):
    def __init__(self, told: Told) -> None:
        super().__init__(told.how)
        self.told = told


class User:
    """`sessions` are those that it knows of and has not ended, `ended` the others."""

    def __init__(self, http: httpx.AsyncClient, dice: random.Random, record: Record) -> None:
        self._http = http
        self._dice = dice
        self._record = record
        self.sessions: set[str] = set()
        self.ended: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        """Another conversation."""
        self._session: str | None = None
        self._ledger, self._turns, self._variable = Ledger(), 0, 0

    async def work(self, over: asyncio.Event) -> None:
        """Until it is over."""
        while not over.is_set():
            (kind,) = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            await self.act(kind)
            await asyncio.sleep(self._dice.uniform(0, _PAUSE_SECONDS))

    async def act(self, kind: str) -> None:
        """One of `_WEIGHTS`. How it went is recorded."""
        acts = {"live": self._live, "fresh": self._fresh, "files": self._files, "program": self._program}
        try:
            await acts[kind]()
            self._record.right[kind] += 1
        except ToldError as error:
            self._record.told[f"{kind}: {error.told.how}"] += 1
        except WrongError as error:
            self._record.wrong.append(f"{kind}: {error}")
            self._begin()

    async def leave(self) -> None:
        """End all sessions, asking again for as long as is needed."""
        while self.sessions:
            for session in list(self.sessions):
                await self._end(session)
            await asyncio.sleep(1 if self.sessions else 0)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _live(self) -> None:
        """A turn of a conversation: its file has all that was answered, its interpreter counts on or anew."""
        word = self._ledger.issue()
        named = {"session_id": self._session} if self._session else {}
        body = await self._run(COUNT.format(word=word), conversation=True, **named)
        try:
            number, *found = body["stdout"].split()
            count = int(number)
        except ValueError:
            raise WrongError(f"{body}") from None
        self._ledger.answered(word, found, stored=answers.has_stored(body))
        self._turns += 1
        if count != 1 and not self._variable < count <= int(word[1:]):
            raise WrongError(f"the variable was {self._variable} and is {count}")
        self._variable = count
        if self._turns >= _TURNS:
            session = body["session_id"]
            self._begin()
            await self._end(session)

    async def _fresh(self) -> None:
        a, b = (self._dice.randrange(10**6) for _ in range(2))
        body = await self._run(f"print({a} * {b})")
        if body["stdout"] != f"{a * b}\n":
            raise WrongError(f"{a} * {b} is not {body}")
        await self._end(body["session_id"])

    async def _files(self) -> None:
        """Up, down again, into a sandbox, and away."""
        size = _LARGE if self._dice.random() < 0.1 else self._dice.randrange(1, 300_000)
        data = self._dice.randbytes(size)
        uploaded = await self._ask("POST", "/upload", files={"file": ("data.bin", data)})
        session, file = uploaded["session_id"], uploaded["files"][0]["fileId"]
        self.sessions.add(session)
        if (found := await self._bytes(f"/download/{session}/{file}")) != data:
            raise WrongError(f"{len(data)} bytes went up and {len(found)} others came down")
        ref = {"id": file, "name": "data.bin", "storage_session_id": session}
        body = await self._run(DIGEST, files=[ref])
        if body["stdout"].strip() != hashlib.sha256(data).hexdigest():
            raise WrongError(f"the code saw another file: {body}")
        if len(await self._ask("GET", f"/files/{session}")) != 1:
            raise WrongError("one upload is not one file")
        await self._end(session)
        await self._end(body["session_id"])

    async def _program(self) -> None:
        first = self._dice.randrange(10**6)
        request: Json = {
            "code": PROGRAM.format(first=first),
            "tools": [{"name": "double"}],
            "timeout": 60_000,
        }
        inputs = []
        while (body := await self._step(request))["status"] == "tool_call_required":
            (call,) = body["tool_calls"]
            inputs.append(call["input"]["n"])
            result = {"call_id": call["id"], "result": call["input"]["n"] * 2}
            request = {"continuation_token": body["continuation_token"], "tool_results": [result]}
        if body["status"] != "completed":
            raise ToldError(answers.failure(body) or _unexplained(body))
        if (inputs, body["stdout"]) != ([first, first * 2], f"{first * 2} {first * 4}\n"):
            raise WrongError(f"a program of {first} called with {inputs}: {body}")

    async def _step(self, request: Json) -> Json:
        """Of a program that was begun nothing is kept but the token: it may be gone."""
        gone = (404,) if "continuation_token" in request else ()
        body: Json = await self._ask("POST", "/exec/programmatic", gone=gone, json=request)
        return body

    async def _run(self, code: str, *, conversation: bool = False, **fields: Any) -> Json:
        """The conversation goes on in the session that the answer names, whatever else it says."""
        body: Json = await self._ask("POST", "/exec", json={"lang": "py", "code": code, **fields})
        if used := body.get("session_id"):
            self.sessions.add(used)
            self._session = used if conversation else self._session
        if told := answers.failure(body):
            raise ToldError(told)
        if body.get("exit_code") != 0:
            raise WrongError(f"a run ended so: {body}")
        return body

    async def _end(self, session: str) -> None:
        """One that is gone already is as good."""
        try:
            await self._ask("DELETE", f"/sessions/{session}", gone=(404,))
        except ToldError as error:
            if error.told.how != "not_found":
                return
        self.sessions.discard(session)
        self.ended.add(session)

    async def _ask(self, method: str, path: str, gone: tuple[int, ...] = (), **how: Any) -> Any:
        response = await self._response(method, path, **how)
        if response.status_code in gone:
            raise ToldError(Told("not_found"))
        body = response.json()
        refusal = body if isinstance(body, dict) else {}
        if told := answers.refusal(response.status_code, response.headers, refusal):
            raise ToldError(told)
        return body

    async def _bytes(self, path: str) -> bytes:
        response = await self._response("GET", path)
        if response.status_code == 200:
            return response.content
        if told := answers.refusal(response.status_code, response.headers, response.json()):
            raise ToldError(told)
        raise AssertionError("unreachable")

    async def _response(self, method: str, path: str, **how: Any) -> httpx.Response:
        begun = time.monotonic()
        try:
            return await self._http.request(method, path, **how)
        except httpx.ReadTimeout:
            # The network may drop what a replica that was killed would have said, its end too.
            if self._record.replicas_killed and self._record.replicas_killed[-1] > begun:
                raise ToldError(Told("silence")) from None
            raise WrongError(f"silence after {method} {path}, and no replica was killed") from None
        except httpx.TransportError:
            raise ToldError(Told("connection")) from None


def _unexplained(body: Json) -> Told:
    raise WrongError(f"a program ended so: {body}")
