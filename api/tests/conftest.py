from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from codesession_api.objects.local import LocalObjects
from codesession_api.objects.s3 import S3Objects
from codesession_api.ports import Objects
from codesession_api.settings import load
from e2e.cluster.cache import binary


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
            with httpx.Client(base_url=url, timeout=60) as client:
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
