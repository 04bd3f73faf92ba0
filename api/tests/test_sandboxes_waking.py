"""A suspended session that is asked for by its name runs again, with its files, and is nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from codesession_api.errors import SandboxesBusy
from codesession_api.ports import Principal
from codesession_api.sandboxes.kubernetes import KubernetesSandboxes, open_kubernetes
from codesession_api.settings import load
from codesession_crds.model import rfc3339
from codesession_crds.names import new_id

Object = dict[str, Any]

ALICE = Principal("a" * 32, "1" * 32)
BOB = Principal("a" * 32, "2" * 32)
ENVIRONMENT = {
    "apiVersion": "codesession.dev/v1alpha1",
    "kind": "CodeEnvironment",
    "metadata": {"name": "default", "uid": "e", "resourceVersion": "1"},
    "spec": {"image": "i"},
}


def reason(phase: str, why: str, **status: Any) -> Object:
    return {"phase": phase, "conditions": [{"type": "Ready", "status": "False", "reason": why}], **status}


VOLUME = {"pvcName": "volume"}
SUSPENDED = reason("Suspended", "Suspended", **VOLUME)
STARTING = reason("Pending", "PodPending", podName="pod", podUID="new", **VOLUME)
READY = reason("Ready", "Ready", podName="pod", podUID="new", **VOLUME)


class Cluster:
    """One session of Alice's, and the watch that tells of it. The test does the operator's part."""

    def __init__(self) -> None:
        self.name = new_id()
        now = datetime.now(UTC)
        claim = {"tenant": ALICE.tenant, "principal": ALICE.principal, "claimedAt": rfc3339(now)}
        self.spec: Object = {
            "environmentRef": {"name": "default"},
            "maxLifetimeSeconds": 86400,
            "claim": claim,
            "shutdownTime": rfc3339(now + timedelta(hours=1)),
            "operatingMode": "Suspended",
        }
        self.status: Object = SUSPENDED
        self.patches: list[Object] = []
        self.patched = asyncio.Event()
        self._version = 1
        self._told: asyncio.Queue[Object] = asyncio.Queue()

    def becomes(self, status: Object) -> None:
        self.status = status
        self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._told.put_nowait(self._object())

    def _object(self) -> Object:
        metadata = {"name": self.name, "uid": "u", "resourceVersion": str(self._version)}
        return {"metadata": metadata, "spec": self.spec, "status": self.status}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.split("/")[-1]
        if "watch" in request.query:
            return await self._watch(request, kind)
        match request.method, kind:
            case "GET", "codeenvironments":
                return self._listed([ENVIRONMENT])
            case "GET", "codesessions":
                return self._listed([self._object()])
            case "PATCH", self.name:
                patch = (await request.json())["spec"]
                self.patches.append(patch)
                self.spec = self.spec | patch
                self.patched.set()
                self._tell()
                return web.json_response(self._object())
        raise AssertionError(request.path)

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            told = await (self._told.get() if kind == "codesessions" else asyncio.Event().wait())
            await response.write(json.dumps({"type": "MODIFIED", "object": told}).encode() + b"\n")

    def _listed(self, items: list[Object]) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

    @asynccontextmanager
    async def replica(self, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesSandboxes]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
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
            sandboxes = await open_kubernetes(load(claim_timeout_seconds=5, **unused))
            assert isinstance(sandboxes, KubernetesSandboxes)
            try:
                yield sandboxes
            finally:
                await sandboxes.aclose()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def sandboxes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesSandboxes]:
    async with cluster.replica(tmp_path, monkeypatch) as sandboxes:
        yield sandboxes


async def test_it_is_started_once_and_all_who_ask_get_it(
    cluster: Cluster, sandboxes: KubernetesSandboxes
) -> None:
    """Those too who come when it is under way, and to whom nothing says any more that it was suspended."""
    first = asyncio.create_task(sandboxes.find(cluster.name, ALICE, wake=True))
    await cluster.patched.wait()
    cluster.becomes(STARTING)
    while sandboxes._sessions.get(cluster.name).phase != "Pending":  # type: ignore[union-attr]
        await sandboxes._sessions.changed()
    second = asyncio.create_task(sandboxes.find(cluster.name, ALICE, wake=True))
    await asyncio.sleep(0)
    assert await sandboxes.find(cluster.name, ALICE) is None
    cluster.becomes(READY)
    found = await asyncio.gather(first, second)
    assert [one and one.session_id for one in found] == [cluster.name] * 2
    assert cluster.patches == [{"operatingMode": "Running"}]


async def test_it_sleeps_on_for_all_others(cluster: Cluster, sandboxes: KubernetesSandboxes) -> None:
    assert await sandboxes.find(cluster.name, BOB, wake=True) is None
    # Files of it may be asked for, by a call that names another session.
    assert await sandboxes.find(cluster.name, ALICE) is None
    assert cluster.patches == []


async def test_whoever_waits_for_too_long_is_told_to_come_again(
    cluster: Cluster, sandboxes: KubernetesSandboxes
) -> None:
    with pytest.raises(SandboxesBusy, match="did not start again"):
        await sandboxes.find(cluster.name, ALICE, wake=True)
    again = asyncio.create_task(sandboxes.find(cluster.name, ALICE, wake=True))
    cluster.becomes(READY)
    assert await again is not None


async def test_one_whose_pod_is_lost_again_is_not_waited_for(
    cluster: Cluster, sandboxes: KubernetesSandboxes
) -> None:
    waiting = asyncio.create_task(sandboxes.find(cluster.name, ALICE, wake=True))
    await cluster.patched.wait()
    cluster.becomes(reason("Pending", "PodLost"))
    assert await waiting is None


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("Suspended", reason("Suspended", "Suspended")),
        ("Running", reason("Ready", "Ready", podName="pod", podUID="new", restartCount=1)),
    ],
)
async def test_one_whose_files_were_in_its_pod_alone_is_as_good_as_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, status: Object
) -> None:
    """The store has them, for a new session."""
    cluster = Cluster()
    cluster.spec["operatingMode"], cluster.status = mode, status
    async with cluster.replica(tmp_path, monkeypatch) as sandboxes:
        assert await sandboxes.find(cluster.name, ALICE, wake=True) is None
    assert cluster.patches == []


async def test_its_owner_may_end_it(cluster: Cluster, sandboxes: KubernetesSandboxes) -> None:
    asked: list[str] = []

    async def delete(path: str, **_: Any) -> Object:
        asked.append(path.rpartition("/")[2])
        return {}

    sandboxes._client.delete = delete  # type: ignore[method-assign]
    assert await sandboxes.delete(cluster.name, ALICE)
    assert asked == [cluster.name]
