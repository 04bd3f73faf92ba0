"""The server under test as requirements see it: its base URL, a sandbox that they share, files in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx

from e2e.clients.install import LEGACY
from e2e.conformance import expect
from e2e.conformance.form import Form
from e2e.conformance.guest import Guest

Json = dict[str, Any]

PATIENCE = 150
"""Seconds. A small machine that runs a cluster may take its time to start a sandbox."""
OWNER = "64b7f0000000000000000001"


class Server:
    """What requirements ask of it. `tidy` ends the sessions that came to be since the last time, but for the
    shared one: a sandbox of its own costs a row seconds, and most rows need none."""

    def __init__(self, base: str, api_key: str | None = None, bearer: str | None = None) -> None:
        self.base = base.rstrip("/")
        self.api_key = api_key
        self.bearer = bearer
        self.http = self._connected()
        self._sessions: set[str] = set()
        self._kept: set[str] = set()
        self._shared: Json | None = None
        self._guest: Guest | None = None

    @property
    def credentials(self) -> dict[str, str]:
        key = {"X-API-Key": self.api_key} if self.api_key else {}
        return key | ({"Authorization": f"Bearer {self.bearer}"} if self.bearer else {})

    @property
    def root(self) -> str:
        """The base URL without its `/v1`."""
        return self.base.removesuffix("/v1")

    def send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """`path` is below the base URL, or a whole URL."""
        url = path if path.startswith("http") else self.base + path
        answer = self.http.request(method, url, **given)
        self._notice(answer)
        return answer

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.send("GET", path, params=query or None)

    def fresh(self, code: str, lang: str = "bash", **fields: Any) -> Json:
        """The answer of a run without any file; of it, servers with sessions make a sandbox."""
        return self._ran({"lang": lang, "code": code} | fields)

    def run(self, code: str, lang: str = "bash", files: Sequence[Json] = (), **fields: Any) -> Json:
        """The answer of a run with these files, in the shared sandbox."""
        return self._ran({"lang": lang, "code": code, "files": [self.shared, *files]} | fields)

    @property
    def shared(self) -> Json:
        """The reference to a file that a first run made: runs which are given it go where that one went."""
        if self._shared is None:
            made = self.fresh("echo shared > shared.txt")
            self._shared = output(made, "shared.txt")
            self._kept.add(made["session_id"])
        return self._shared

    def made(self, name: str, content: str) -> Json:
        """The reference to a file made in the shared sandbox."""
        command = 'mkdir -p "$(dirname "$1")"; printf %s "$2" > "$1"'
        return output(self.run(command, args=[name, content]), name)

    def upload(self, name: str, content: bytes, **scope: str) -> Json:
        """The reference to a file that a user attached, as LibreChat from 0.8.6 on has it."""
        form = Form(list((scope or {"kind": "user", "id": OWNER}).items()), [(name, content)])
        answer = expect.status(self.post_form("/upload", form), 200).json()
        return reference(answer["storage_session_id"], answer["files"][0]["fileId"], name)

    def post_form(self, path: str, form: Form, headers: dict[str, str] | None = None) -> httpx.Response:
        """Chunked, as the clients' streams are."""
        sent = form.headers | (headers or {})
        return self.send("POST", path, content=form.chunks(), headers=sent)

    def guest(self, version: str) -> Guest:
        """The real client of this version. One lives at a time: another takes the last one's place."""
        if version in LEGACY and self.bearer and not self.api_key:
            raise expect.NotOfferedError(f"{version} can only show a key, and none was given")
        if self._guest is None or self._guest.client.version != version:
            self._dismiss()
            self._guest = Guest(version, self.base, self.api_key, self.bearer)
        return self._guest

    def noticed(self, sessions: Iterable[str]) -> None:
        """Sessions made without its help, to be ended by `tidy`."""
        self._sessions.update(sessions)

    def tidy(self) -> None:
        """Best effort: not every server can end a session."""
        self._end(self._made() - self._kept - (self._guest.kept if self._guest else set()))

    def abandon(self) -> None:
        """After a requirement that hangs: what it still uses is left to it."""
        if self._guest:
            self._guest.client.close()
        self._guest = self._shared = None
        self.http = self._connected()

    def close(self) -> None:
        self._dismiss()
        self._end(self._made())
        self.http.close()

    def _ran(self, request: Json) -> Json:
        answer: Json = expect.status(self.send("POST", "/exec", json=request), 200).json()
        return answer

    def _notice(self, answer: httpx.Response) -> None:
        """The session that an answer tells of, so that it can be ended."""
        if answer.request.method != "POST" or answer.status_code != 200:
            return
        with contextlib.suppress(ValueError, AttributeError):
            self._sessions |= {answer.json().get("session_id")} - {None}

    def _dismiss(self) -> None:
        if self._guest:
            self._end(self._made() - self._kept)
            self._guest.client.close()
        self._guest = None

    def _made(self) -> set[str]:
        return self._sessions | (self._guest.client.sessions if self._guest else set())

    def _end(self, sessions: Iterable[str]) -> None:
        for session in sorted(sessions):
            with contextlib.suppress(httpx.HTTPError):
                self.http.delete(f"{self.base}/sessions/{session}")
            self._sessions.discard(session)
            if self._guest:
                self._guest.client.sessions.discard(session)

    def _connected(self) -> httpx.Client:
        return httpx.Client(headers=self.credentials, timeout=PATIENCE, trust_env=False)


@contextlib.contextmanager
def connected(base: str, api_key: str | None = None, bearer: str | None = None) -> Iterator[Server]:
    server = Server(base, api_key, bearer)
    try:
        yield server
    finally:
        server.close()


def reference(session: str, file_id: str, name: str) -> Json:
    """A file of a run's `files[]`, as clients from 3.1.77 on send it."""
    owner = {"resource_id": OWNER, "kind": "user"}
    return {"id": file_id, "storage_session_id": session, "name": name} | owner


def legacy(file: Json) -> Json:
    """The same as clients of before send it."""
    return {"id": file["id"], "session_id": file["storage_session_id"], "name": file["name"]}


def output(answer: Json, name: str) -> Json:
    """The reference to a file that a run made."""
    made = {file["name"]: file for file in answer["files"] if not file.get("inherited")}
    expect.within(name, made, "the run's list of files")
    return reference(made[name]["storage_session_id"], made[name]["id"], name)
