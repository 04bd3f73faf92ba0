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
from collections.abc import AsyncIterator, Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesession_api.app import create_app
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import FileEntry, Outcome, Principal, RunResult, RunSpec, Sandbox, TaggedPath
from codesession_api.settings import load
from codesession_crds.names import new_id

T = TypeVar("T")

REQUESTS = 10_000
SECRET = b"the-victims-own-bytes"
SECRET_NAME = "the-victims-own-name.csv"
SECRETS = (SECRET, SECRET_NAME.encode(), b"the-victims-own-agent")
KEYS = {"attacker": "key-of-the-attacker", "victim": "key-of-the-victim"}
BOUNDARY = "x-boundary"

# --- what the app stands on


@dataclass
class EchoSandbox:
    """Its runs print their code, and each line of it is the name of a file that they changed."""

    session_id: str
    owner: Principal
    files: dict[str, bytes] = field(default_factory=dict)

    async def run(self, spec: RunSpec) -> RunResult:
        changed = [FileEntry(line, 3) for line in spec.code.split("\n")[:5]]
        deleted = list(spec.args)[:5]
        stdout = spec.code.encode("utf-8", "replace")
        return RunResult(Outcome.EXIT, 0, stdout=stdout, changed=changed, deleted=deleted)

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

    async def find(self, session_id: str, principal: Principal) -> Sandbox | None:
        found = self.live.get(session_id)
        return found if found is not None and found.owner == principal else None

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        return None

    async def claim(self, principal: Principal, hint: str | None = None) -> Sandbox:
        made = EchoSandbox(new_id(), principal)
        self.live[made.session_id] = made
        return made

    async def delete(self, session_id: str, principal: Principal) -> bool:
        if await self.find(session_id, principal) is None:
            return False
        del self.live[session_id]
        return True

    async def check(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Request:
    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[bytes, ...] = ()


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
        self.own_upload, self.own_file = self._uploaded("attacker", "agent", "own.csv", b"own bytes")
        made = self.ask("victim", execution(SECRET_NAME)).json()
        self.session, self.output = made["session_id"], made["files"][0]["id"]
        self.own_session = self.ask("attacker", execution("own.csv")).json()["session_id"]

    @property
    def ids(self) -> list[str]:
        """Of everything there is, the victim's first."""
        victims = [self.upload, self.file, self.session, self.output]
        return [*victims, self.own_upload, self.own_file, self.own_session]

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


def execution(code: str, **fields: Any) -> Request:
    body = json.dumps({"lang": "py", "code": code} | fields).encode()
    return Request("POST", b"/v1/exec", headers=((b"content-type", b"application/json"),), chunks=(body,))


MULTIPART = (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())


def form(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    body = b""
    for name, filename, value in parts:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("utf-8", "surrogatepass")
        body += head + value + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


# --- what is sent


def requests(ids: Sequence[str]) -> st.SearchStrategy[Request]:
    texts = st.one_of(
        st.sampled_from([*ids, *(f"{a}/{b}" for a in ids[:4] for b in ids[:4])]),
        st.sampled_from(NASTY),
        st.text(max_size=30),
    )
    segments = st.one_of(
        st.sampled_from(ids).map(str.encode),
        st.sampled_from(ids).map(str.encode),
        texts.map(quoted),
        st.binary(max_size=25).map(outside_of_queries),
    )
    return st.sampled_from(ROUTES).flatmap(lambda route: request_to(*route, segments, texts))


def request_to(
    method: str, route: str, segments: st.SearchStrategy[bytes], texts: st.SearchStrategy[str]
) -> st.SearchStrategy[Request]:
    words = st.tuples(*(segments if part == "*" else st.just(part.encode()) for part in route.split("/")))
    return st.builds(
        lambda prefix, words, tail, method, pairs, extra, body: Request(
            method, prefix + b"/".join(words) + tail, query(pairs), (*body[0], *extra), body[1]
        ),
        mostly(b"/v1/", b"/", b"//v1//", b"/v1/../v1/", b"/k/secret/v1/"),
        words,
        mostly(b"", b"/", b"//", b"%00", b"/.."),
        mostly(method, "GET", "HEAD", "OPTIONS", "PUT", "X"),
        st.lists(st.tuples(st.sampled_from(QUERY), texts | st.sampled_from(DETAILS)), max_size=3),
        st.lists(st.tuples(st.sampled_from(HEADERS), texts.map(header_value)), max_size=2),
        bodies(texts, multipart="upload" in route) if method == "POST" else st.just(((), ())),
    )


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """The usual nine times of ten: most of what is odd should come to where it matters."""
    return st.integers(0, 9).flatmap(lambda at: st.sampled_from(others) if at == 7 else st.just(usual))


ROUTES = [
    ("POST", "exec"),
    ("POST", "exec"),
    ("POST", "run/exec"),
    ("POST", "upload"),
    ("POST", "upload/batch"),
    ("GET", "files/*"),
    ("GET", "files/*/*"),
    ("GET", "download/*/*"),
    ("GET", "download/*/*"),
    ("GET", "sessions/*"),
    ("GET", "sessions/*/objects/*"),
    ("GET", "file/*/*/content"),
    ("DELETE", "sessions/*/objects/*"),
    ("DELETE", "files/*/*"),
    ("DELETE", "sessions/*"),
    ("GET", "*"),
    ("GET", "openapi.json"),
]
DETAILS = ["simple", "summary", "full", "normalized"]
NASTY = [
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "é" * 200,
    "x" * 5000,
    "~",
    "@",
    "-",
    "a\r\nX-Evil: 1",
    '"; filename="other',
    "%2e%2e%2f",
    "\\..\\..",
    "CON",
    "\u202egnp.exe",
    "bytes=0-",
    "bytes=-1",
    "bytes=5-2",
    "9" * 400,
    "-1",
    "\ud800",
    "",
]
QUERY = ["kind", "id", "version", "detail", "entity_id", "session_id", "x"]
HEADERS = [
    b"content-type",
    b"content-length",
    b"range",
    b"if-range",
    b"if-none-match",
    b"x-api-key",
    b"authorization",
    b"x-request-id",
    b"x-codeapi-expected-profile",
    b"origin",
    b"accept-encoding",
    b"user-id",
    b"transfer-encoding",
    b"access-control-request-method",
    b"expect",
]
FIELDS = [
    "lang",
    "code",
    "args",
    "files",
    "session_id",
    "timeout",
    "user_id",
    "entity_id",
    "runtime_session_hint",
]
REFERENCE = ["id", "name", "session_id", "storage_session_id", "kind", "resource_id", "version", "path"]
FORM = ["file", "kind", "id", "version", "entity_id", "read_only", "x"]


def bodies(
    texts: st.SearchStrategy[str], *, multipart: bool
) -> st.SearchStrategy[tuple[tuple[tuple[bytes, bytes], ...], tuple[bytes, ...]]]:
    """The headers that go with a body, and its chunks."""
    right = executions(texts).map(lambda body: (((b"content-type", b"application/json"),), (body,)))
    other = forms(texts).map(lambda body: ((MULTIPART,), (body,)))
    torn = forms(texts).flatmap(cut).map(lambda chunks: ((MULTIPART,), chunks))
    noise = st.binary(max_size=60).map(lambda body: ((), (body,)))
    if multipart:
        return st.one_of(other, other, torn, right, noise)
    return st.one_of(right, right, right, other, noise)


def executions(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    odd = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        texts,
        st.lists(texts, max_size=3),
        st.dictionaries(texts, st.integers(), max_size=2),
    )
    references = st.lists(st.dictionaries(st.sampled_from(REFERENCE), texts, max_size=6), max_size=4)
    sane = st.fixed_dictionaries(
        {"lang": st.sampled_from(["py", "bash"]), "code": texts},
        optional={
            "files": references,
            "session_id": texts,
            "args": st.lists(texts, max_size=3),
            "user_id": texts,
        },
    )
    odd_fields = st.dictionaries(st.sampled_from(FIELDS), odd, max_size=3)
    documents = st.builds(lambda base, more: base | more, sane, odd_fields)
    return st.one_of(sane, sane, sane, documents, odd).map(lambda value: json.dumps(value).encode()) | (
        st.sampled_from(BROKEN)
    )


BROKEN = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"lang":"py","code":"' + b"\xff\xfe" + b'"}',
    b'{"lang":"py","code":"x","code":"y","timeout":1e999}',
    b'{"lang":"py","code":"\\ud800","args":["\\udfff"]}',
    b'{"lang":"py","code":"x","timeout":NaN}',
    b'{"lang":"py","code":"x","files":[null,1,[]]}',
    b"\xef\xbb\xbf{}",
]


def forms(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    part = st.tuples(
        st.sampled_from(FORM), st.one_of(st.none(), texts), st.binary(max_size=40) | texts.map(quoted)
    )
    return st.lists(part, max_size=4).map(form)


def cut(body: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    """The body in pieces, and often not all of it."""
    ends = st.lists(st.integers(0, len(body)), max_size=3).map(sorted)
    return ends.map(
        lambda at: tuple(body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True))
    ) | ends.map(lambda at: (body[: at[-1] if at else len(body)],))


def quoted(text: str) -> bytes:
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()


def outside_of_queries(raw: bytes) -> bytes:
    """As a path can hold it."""
    return raw.replace(b"?", b"").replace(b"#", b"")


def query(pairs: Sequence[tuple[str, str]]) -> bytes:
    return b"&".join(name.encode() + b"=" + quoted(value) for name, value in pairs)


def header_value(text: str) -> bytes:
    """As bytes that an HTTP parser lets through."""
    raw = text.encode("utf-8", "surrogatepass")
    return bytes(byte for byte in raw if byte >= 32 and byte != 127)


# --- the test


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("hostile"))
    yield app
    app.close()


@pytest.mark.timeout(600)
def test_no_request_breaks_the_server_or_reaches_another_tenant(app: App) -> None:
    assert app.unharmed()

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(app.ids))
    def attack(request: Request) -> None:
        answer = app.ask("attacker", request)
        assert answer.status < 500
        said = answer.body + b"".join(answer.headers.values())
        assert not [secret for secret in SECRETS if secret in said and secret not in sent(request)]
        if answer.status >= 400 and request.method != "HEAD":
            assert answer.json()["error"]

    attack()
    assert app.unharmed()


def sent(request: Request) -> bytes:
    return b"".join((request.path, request.query, *request.chunks))
