from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from codesession_api.app import create_app
from codesession_api.errors import SandboxFileMissing
from codesession_api.objects.local import LocalObjects
from codesession_api.objects.s3 import S3Objects
from codesession_api.ports import (
    FileEntry,
    Heard,
    Live,
    ObjectInfo,
    Objects,
    Outcome,
    Principal,
    RunResult,
    RunSpec,
    Sandbox,
    TaggedPath,
)
from codesession_api.settings import load
from codesession_crds.names import new_id
from documented import AsyncDocumentedClient, DocumentedClient
from e2e.cluster.cache import binary
from fakes import WithoutTools, told


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def unused_port() -> int:
    return free_port()


@dataclass(frozen=True)
class Minio:
    endpoint: str
    access_key: str
    secret_key: str

    def settings(self, bucket: str) -> dict[str, object]:
        return {
            "s3_endpoint": self.endpoint,
            "s3_access_key": self.access_key,
            "s3_secret_key": self.secret_key,
            "s3_bucket": bucket,
            "s3_secure": False,
        }


def pytest_collection_finish(session: pytest.Session) -> None:
    """A MinIO that must be built first takes minutes, which no test's timeout should count."""
    needing = {"minio", "run_minio", "objects", "server"}
    if any(needing & set(item.fixturenames) for item in session.items if isinstance(item, pytest.Function)):
        binary("minio")


@contextlib.contextmanager
def running_minio(directory: Path, port: int) -> Iterator[Minio]:
    server = Minio(f"127.0.0.1:{port}", "tests", "tests-of-the-api")
    keys = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key}
    environment = {"PATH": os.defpath, "HOME": str(directory), "MINIO_BROWSER": "off", **keys}
    command = [str(binary("minio")), "server", "--quiet", "--address", f"127.0.0.1:{port}", str(directory)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_ready(process, f"http://{server.endpoint}/minio/health/ready")
            yield server
        finally:
            process.kill()


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "MinIO ended at once"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError("MinIO did not become ready")


@pytest.fixture(scope="session")
def run_minio() -> Callable[[Path, int], contextlib.AbstractContextManager[Minio]]:
    return running_minio


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio"), free_port()) as server:
        yield server


@pytest.fixture(params=["local", "s3"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Objects]:
    """Every object store, empty."""
    if request.param == "local":
        yield LocalObjects(tmp_path / "objects")
        return
    server: Minio = request.getfixturevalue("minio")
    bucket = f"test-{secrets.token_hex(8)}"
    yield await S3Objects.open(load(backend="local", **server.settings(bucket)))


@dataclass
class Server:
    """A `codesession local` of its own process, asked as its users ask it."""

    url: str
    log: Path
    process: subprocess.Popen[str]
    client: httpx.Client

    def exec(self, code: str, lang: str = "py", **fields: Any) -> dict[str, Any]:
        response = self.client.post("/v1/exec", json={"lang": lang, "code": code, **fields})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def upload(self, name: str, data: bytes = b"a,b\n1,2\n", **fields: str) -> dict[str, str]:
        """A reference to the file in the new dialect."""
        files = {"file": (name, data)}
        response = self.client.post("/v1/upload", data={"kind": "user", "id": "u1", **fields}, files=files)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["message"] == "success"
        return {
            "id": answer["files"][0]["fileId"],
            "storage_session_id": answer["storage_session_id"],
            "name": name,
            "kind": "user",
            "resource_id": "u1",
        }

    def wait_for_log(self, text: str, times: int) -> None:
        deadline = time.monotonic() + 20
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} was not logged"
            time.sleep(0.02)

    def download(self, ref: Mapping[str, Any]) -> bytes:
        response = self.client.get(f"/v1/download/{ref['storage_session_id']}/{ref['id']}?kind=user&id=u1")
        assert response.status_code == 200, response.text
        return response.content


@contextlib.contextmanager
def running_server(directory: Path, **settings: object) -> Iterator[Server]:
    """Stopped with SIGTERM, upon which it must end well."""
    given = {"local_directory": directory / "state", "local_warm": 1, "local_sandboxes": 100, **settings}
    environment = {f"CODESESSION_{name.upper()}": str(value) for name, value in given.items()}
    log = directory / "server.log"
    command = [sys.executable, "-m", "codesession_api", "local", "--port", "0"]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(directory), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert "answers on" in said, said + log.read_text()
            url = said.split(" on ")[1].split("/v1")[0]
            with DocumentedClient(base_url=url, timeout=60) as client:
                yield Server(url, log, process, client)
        finally:
            process.terminate()
            status = process.wait(30)
        assert status == 0


@pytest.fixture(scope="session")
def run_server() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    return running_server


@pytest.fixture(scope="session", params=["local", "s3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded default, once with its own directory for files and once with MinIO."""
    settings = {}
    if request.param == "s3":
        settings = request.getfixturevalue("minio").settings("server")
    with running_server(tmp_path_factory.mktemp("server"), **settings) as running:
        yield running


@dataclass
class Workspace(WithoutTools):
    """The sandbox port as a dictionary of files. The code of a run is lines of `name=text`, which it writes,
    or `-name`, which it deletes; it prints the names that it found."""

    session_id: str
    owner: Principal
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        found = " ".join(sorted(self.files)).encode()
        changed, deleted = [], []
        for line in spec.code.splitlines():
            name, writes, text = line.partition("=")
            if writes:
                self.files[name] = text.encode()
                changed.append(FileEntry(name, len(text.encode())))
            elif self.files.pop(name.removeprefix("-"), None) is not None:
                deleted.append(name.removeprefix("-"))
        return await told(RunResult(Outcome.EXIT, 0, stdout=found, changed=changed, deleted=deleted), heard)

    async def missing(self, files: Sequence[TaggedPath]) -> set[str]:
        return {file.path for file in files if self.tags.get(file.path) != file.tag}

    async def put(
        self, path: str, chunks: AsyncIterator[bytes], *, tag: str, read_only: bool = False
    ) -> None:
        self.files[path] = b"".join([chunk async for chunk in chunks])
        self.tags[path] = tag

    async def get(self, path: str, *, tag: str) -> AsyncIterator[bytes]:
        if path not in self.files:
            raise SandboxFileMissing(path)
        self.tags[path] = tag
        yield self.files[path]


class CountedObjects(LocalObjects):
    """A directory that remembers which prefixes were listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: list[str] = []

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        self.listed.append(prefix)
        return super().list(prefix)


class Workspaces(dict[str, Workspace]):
    """The port that gives them, by session. One is another principal's to nobody else."""

    isolation = "none"

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        found = self.get(session_id)
        return found if found is not None and found.owner == principal else None

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        return None

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        made = Workspace(new_id(), principal)
        self[made.session_id] = made
        return made

    def sessions(self, principal: Principal) -> list[Live]:
        now = datetime.now(UTC)
        return [Live(name, now, now) for name in reversed(self) if self[name].owner == principal]

    async def delete(self, session_id: str, principal: Principal) -> bool:
        if await self.find(session_id, principal) is None:
            return False
        del self[session_id]
        return True

    async def check(self) -> None:
        return

    async def aclose(self) -> None:
        self.clear()


def someone(headers: Headers, path_key: str | None = None) -> Principal:
    """Whoever the key names, `tenant user`; proved unless the user is `anybody`."""
    tenant, _, user = headers["x-api-key"].partition(" ")
    hashed = [hashlib.sha256(name.encode()).hexdigest()[:32] for name in (tenant, headers["x-api-key"])]
    return Principal(hashed[0], hashed[1], proved=user != "anybody")


@dataclass
class User:
    """A client of the application, in this process."""

    client: httpx.AsyncClient

    async def exec(self, code: str = "", **fields: Any) -> dict[str, Any]:
        response = await self.client.post("/exec", json={"lang": "py", "code": code, **fields})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def upload(
        self,
        name: str = "in.csv",
        data: bytes = b"a,b",
        *,
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> dict[str, Any]:
        """A reference to the file, in the new dialect."""
        response = await self.client.post(
            "/upload", data=fields, files={"file": (name, data)}, headers=headers
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        ids = {"id": answer["files"][0]["fileId"], "storage_session_id": answer["session_id"], "name": name}
        named = {
            "kind": fields.get("kind"),
            "resource_id": fields.get("id"),
            "version": fields.get("version"),
        }
        return {**ids, **{name: value for name, value in named.items() if value}}

    async def get(self, path: str, *args: Any) -> httpx.Response:
        return await self.client.get(path.format(*args))

    async def delete(self, path: str, *args: Any) -> httpx.Response:
        return await self.client.delete(path.format(*args))


@dataclass
class Application:
    """The API over a directory of objects and workspaces that are dictionaries: what is between the ports."""

    directory: Path
    sandboxes: Workspaces = field(default_factory=Workspaces)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objects = CountedObjects(self.directory)
        self.start()

    def start(self, **settings: Any) -> None:
        """Again, with other settings and the same files."""
        self.settings.update(settings)
        self.app = create_app(
            load(**{"backend": "local", "auth": "none", **self.settings}), self.sandboxes, self.objects
        )
        services = self.app.state.services
        self.app.state.services = dataclasses.replace(services, authenticate=someone)

    def user(self, name: str = "anybody", tenant: str = "acme") -> User:
        transport = httpx.ASGITransport(self.app)
        headers = {"X-API-Key": f"{tenant} {name}"}
        return User(AsyncDocumentedClient(transport=transport, base_url="http://localhost", headers=headers))

    async def keys(self) -> list[str]:
        return [info.key async for info in self.objects.list("")]

    async def age(self, hours: float, of: str = "") -> None:
        """Make the objects whose key holds `of` as old as that."""
        moment = time.time() - hours * 3600
        for key in await self.keys():
            if of in key:
                os.utime(self.objects._path(key), (moment, moment))


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application(tmp_path / "objects")
