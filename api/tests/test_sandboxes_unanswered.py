"""The API server does what it is asked for, and its answer is lost on the way: what is left behind ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from codesession_api.errors import SandboxesUnavailable
from codesession_api.ports import Principal, Sandboxes
from codesession_api.sandboxes.kubernetes import open_kubernetes
from codesession_api.settings import load
from codesession_crds.names import new_id

ALICE = Principal("a" * 32, "1" * 32)
IDLE = 600
ENVIRONMENT = {
    "apiVersion": "codesession.dev/v1alpha1",
    "kind": "CodeEnvironment",
    "metadata": {"name": "default", "uid": "e", "resourceVersion": "1"},
    "spec": {"image": "i", "session": {"idleSeconds": IDLE}},
}


class DeafCluster:
    """Lists and watches are answered; what changes a session is done, and its connection cut."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}

    def warm(self) -> None:
        name = new_id()
        self.sessions[name] = {
            "metadata": {"name": name, "uid": "u", "resourceVersion": "1"},
            "spec": {"environmentRef": {"name": "default"}, "maxLifetimeSeconds": 86400},
            "status": {"phase": "Ready", "podName": name, "podUID": "p"},
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            await asyncio.Event().wait()
        match request.method, request.path.split("/")[-1]:
            case "GET", "codeenvironments":
                return self._listed([ENVIRONMENT])
            case "GET", "codesessions":
                return self._listed(list(self.sessions.values()))
            case "POST", "codesessions":
                made = await request.json()
                self.sessions[made["metadata"]["name"]] = made
            case "PATCH", name if name in self.sessions:
                self.sessions[name]["spec"] |= (await request.json())["spec"]
            case "DELETE", name if name in self.sessions:
                del self.sessions[name]
                return web.json_response({})
            case _:
                return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _listed(self, items: list[dict[str, Any]]) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})


@pytest.fixture
def cluster() -> DeafCluster:
    return DeafCluster()


@asynccontextmanager
async def opened(cluster: DeafCluster, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Sandboxes]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", cluster.serve)
    async with TestServer(app) as server:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": str(server.make_url(""))}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        unused = dict.fromkeys(("s3_endpoint", "s3_access_key", "s3_secret_key"), "unused")
        sandboxes = await open_kubernetes(load(**unused))
        try:
            yield sandboxes
        finally:
            await sandboxes.aclose()


async def test_a_session_that_was_made_unheard_is_deleted(
    cluster: DeafCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(cluster, tmp_path, monkeypatch) as sandboxes:
        with pytest.raises(SandboxesUnavailable, match="could not be created"):
            await sandboxes.claim(ALICE)
    assert cluster.sessions == {}


async def test_a_session_that_was_claimed_unheard_ends_when_it_would_unused(
    cluster: DeafCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.warm()
    async with opened(cluster, tmp_path, monkeypatch) as sandboxes:
        with pytest.raises(SandboxesUnavailable, match="was not answered"):
            await sandboxes.claim(ALICE)
    (session,) = cluster.sessions.values()
    assert session["spec"]["claim"]["principal"] == ALICE.principal
    end = datetime.fromisoformat(session["spec"]["shutdownTime"])
    assert end <= datetime.now(UTC) + timedelta(seconds=IDLE)
