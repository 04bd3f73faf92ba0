"""Ten thousand hostile requests of one tenant, who even knows another's ids: none is answered with a 5xx,
none with a byte of the other's, and nothing of the other's is gone afterwards.

Requests are made below HTTP parsing, so that paths, headers and bodies can be what no client library sends.
Only the sandboxes are replaced, at their port: they run nothing, and claim to have changed
whatever files they are told to.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from codesession_api.app import create_app
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import (
    FileEntry,
    Heard,
    Live,
    Outcome,
    Principal,
    RunResult,
    RunSpec,
    Sandbox,
    TaggedPath,
)
from codesession_api.settings import load
from codesession_crds.names import new_id
from fakes import WithoutTools, told
from hostile import MULTIPART, Attacker, Request, execution, form

REQUESTS = 10_000
RENEWAL = 250
"""Requests after which the attacker, who deletes what it has, gets something to lose again."""
SECRET = b"the-victims-own-bytes"
SECRET_NAME = "the-victims-own-name.csv"
SECRETS = (SECRET, SECRET_NAME.encode(), b"the-victims-own-agent")
KEYS = {"attacker": "key-of-the-attacker", "victim": "key-of-the-victim"}


@dataclass
class EchoSandbox(WithoutTools):
    """Its runs print their code, and each line of it is the name of a file that they changed."""

    session_id: str
    owner: Principal
    files: dict[str, bytes] = field(default_factory=dict)

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        changed = [FileEntry(line, 3) for line in spec.code.split("\n")[:5]]
        deleted = list(spec.args)[:5]
        stdout = spec.code.encode("utf-8", "replace")
        return await told(RunResult(Outcome.EXIT, 0, stdout=stdout, changed=changed, deleted=deleted), heard)

    async def missing(self, files: Sequence[TaggedPath]) -> set[str]:
        return {file.path for file in files}

    async def put(
        self, path: str, chunks: AsyncIterator[bytes], *, tag: str, read_only: bool = False
    ) -> None:
        self.files[path] = b"".join([chunk async for chunk in chunks])

    async def get(self, path: str, *, tag: str) -> AsyncIterator[bytes]:
        yield self.files.get(path, b"new")


@dataclass
class EchoSandboxes:
    live: dict[str, EchoSandbox] = field(default_factory=dict)
    isolation: str = "none"

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        found = self.live.get(session_id)
        return found if found is not None and found.owner == principal else None

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        return None

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        made = EchoSandbox(new_id(), principal)
        self.live[made.session_id] = made
        return made

    def sessions(self, principal: Principal) -> list[Live]:
        now = datetime.now(UTC)
        return [Live(name, now, now) for name, found in self.live.items() if found.owner == principal]

    async def delete(self, session_id: str, principal: Principal) -> bool:
        if await self.find(session_id, principal) is None:
            return False
        del self.live[session_id]
        return True

    async def check(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class App:
    """The application with the victim's session and files in it."""

    def __init__(self, directory: Path) -> None:
        lines = [f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in KEYS.items()]
        (directory / "keys").write_text("\n".join(lines))
        self._loop = asyncio.new_event_loop()
        given = {"backend": "local", "auth": "api-key", "api_keys_file": directory / "keys"}
        objects = LocalObjects(directory / "objects")
        self._app = create_app(load(**given), EchoSandboxes(), objects)
        self.upload, self.file = self._uploaded("victim", "the-victims-own-agent", SECRET_NAME, SECRET)
        made = self.ask("victim", execution(SECRET_NAME)).json()
        self.session, self.output = made["session_id"], made["files"][0]["id"]
        self.renew()

    def renew(self) -> None:
        """Give the attacker something of its own."""
        self._own_upload, self._own_file = self._uploaded("attacker", "agent", "own.csv", b"own bytes")
        self._own_session = self.ask("attacker", execution("own.csv")).json()["session_id"]

    @property
    def ids(self) -> list[str]:
        """Of everything there is, the victim's first."""
        victims = [self.upload, self.file, self.session, self.output]
        return [*victims, self._own_upload, self._own_file, self._own_session]

    def unharmed(self) -> bool:
        """Whether what is the victim's is still there for the victim."""
        uploaded = self.ask("victim", Request("GET", f"/v1/download/{self.upload}/{self.file}".encode()))
        made = self.ask("victim", Request("GET", f"/v1/files/{self.session}".encode()))
        again = self.ask("victim", execution("x", session_id=self.session)).json()
        return (
            uploaded.body == SECRET
            and self.output in made.body.decode()
            and again["session_id"] == self.session
        )

    def ask(self, tenant: str, request: Request) -> Answer:
        return self._loop.run_until_complete(self._ask(tenant, request))

    def close(self) -> None:
        self._loop.close()

    def _uploaded(self, tenant: str, agent: str, name: str, content: bytes) -> tuple[str, str]:
        fields = form([("entity_id", None, agent.encode()), ("file", name, content)])
        request = Request("POST", b"/v1/upload", headers=(MULTIPART,), chunks=(fields,))
        answer = self.ask(tenant, request).json()
        return answer["session_id"], answer["files"][0]["fileId"]

    async def _ask(self, tenant: str, request: Request) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(request.path.decode("latin-1")),
            "raw_path": request.path,
            "query_string": request.query,
            "root_path": "",
            "headers": [(b"x-api-key", KEYS[tenant].encode()), *request.headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        arriving = [
            {"type": "http.request", "body": chunk, "more_body": more}
            for chunk, more in zip(
                request.chunks or (b"",), [True] * (len(request.chunks) - 1) + [False], strict=True
            )
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if arriving:
                return arriving.pop(0)
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return Answer(
            sent[0]["status"],
            {name.lower(): value for name, value in sent[0]["headers"]},
            b"".join(message.get("body", b"") for message in sent),
        )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("hostile"))
    yield app
    app.close()


@pytest.mark.timeout(600)
def test_no_request_breaks_the_server_or_reaches_another_tenant(app: App) -> None:
    assert app.unharmed()
    statuses: Counter[int] = Counter()
    for number in range(REQUESTS):
        if number % RENEWAL == 0:
            app.renew()
        request = Attacker(number, app.ids).request()
        answer = app.ask("attacker", request)
        statuses[answer.status] += 1
        assert answer.status < 500, (number, request)
        said = answer.body + b"".join(answer.headers.values())
        leaked = [secret for secret in SECRETS if secret in said and secret not in sent(request)]
        assert not leaked, (number, request, answer)
        if answer.status >= 400 and request.method != "HEAD":
            assert answer.json()["error"], (number, request, answer)
    assert app.unharmed()
    # It must have come to where harm could be done.
    assert statuses[200] > REQUESTS / 20
    assert {400, 404, 405, 415, 422} <= statuses.keys()


def sent(request: Request) -> bytes:
    return b"".join((request.path, request.query, *request.chunks))
