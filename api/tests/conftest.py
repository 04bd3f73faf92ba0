from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from codesession_api.objects.local import LocalObjects
from codesession_api.objects.s3 import S3Objects
from codesession_api.ports import Objects
from codesession_api.settings import load


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


@pytest.fixture(scope="session")
def minio_binary() -> str:
    """Of `CODESESSION_TEST_MINIO` or the PATH, or else built by the cluster's own means."""
    found = os.environ.get("CODESESSION_TEST_MINIO") or shutil.which("minio")
    if found:
        return found
    from e2e.cluster.cache import binary

    return str(binary("minio"))


@contextlib.contextmanager
def running_minio(program: str, directory: Path, port: int) -> Iterator[Minio]:
    keys = {"MINIO_ROOT_USER": "tests", "MINIO_ROOT_PASSWORD": secrets.token_hex(16)}
    environment = {"PATH": os.defpath, "HOME": str(directory), "MINIO_BROWSER": "off", **keys}
    command = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(directory)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_until_ready(server, f"http://127.0.0.1:{port}/minio/health/ready")
            yield Minio(f"127.0.0.1:{port}", *keys.values())
        finally:
            server.kill()


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
def minio(minio_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(minio_binary, tmp_path_factory.mktemp("minio"), free_port()) as server:
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
