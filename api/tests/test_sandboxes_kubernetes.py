"""Sandboxes of a real cluster, kept by the real operator, used with no more rights than the API's role gives.

The API's connections go through a proxy on loopback that can cut all of them, as a rotation of API servers
does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import yaml

from codesession_api.errors import SandboxesBusy, SandboxesUnavailable, SandboxFileMissing, SandboxLost
from codesession_api.ports import FileEntry, Outcome, Principal, RunResult, RunSpec, Sandbox
from codesession_api.sandboxes.kubernetes import KubernetesSandboxes, open_kubernetes
from codesession_api.settings import load
from codesession_crds.client import KubeClient
from codesession_crds.errors import ApiStatusError
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS, PODS
from e2e.targets import definitions

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ALICE = Principal("a" * 32, "1" * 32)
BOB = Principal("a" * 32, "2" * 32)
IMAGE = os.environ.get("CODESESSION_TEST_IMAGE", "localhost/codesession-sandbox:dev")
WARM = 3

RULES = [
    {
        "apiGroups": ["codesession.dev"],
        "resources": ["codesessions"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": ["codesession.dev"], "resources": ["codeenvironments"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
]
"""All that the API may do; the chart's role is the same."""


@dataclass
class Proxy:
    """TCP on loopback to the API server."""

    host: str
    port: int
    address: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        self.refusing = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()[:2]
        return server

    def cut(self) -> None:
        """Reset every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        upstream, upstream_writer = await asyncio.open_connection(self.host, self.port)
        ends = {writer, upstream_writer}
        self._writers |= ends
        await asyncio.wait(
            [
                asyncio.ensure_future(_copy(reader, upstream_writer)),
                asyncio.ensure_future(_copy(upstream, writer)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        self._writers -= ends
        for end in ends:
            end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@dataclass
class Namespace:
    """A namespace with an environment, an operator, and an account for the API."""

    name: str
    client: KubeClient
    """Of the administrator."""
    proxy: Proxy

    def path(self, kind: str, name: str | None = None) -> str:
        return {"cs": CODE_SESSIONS, "cenv": CODE_ENVIRONMENTS, "pod": PODS}[kind].path(self.name, name)

    async def environment(self, name: str, **spec: Any) -> None:
        manifest = {
            "apiVersion": "codesession.dev/v1alpha1",
            "kind": "CodeEnvironment",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "image": IMAGE,
                "workspace": {"type": "EmptyDir"},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                "warmPool": {"replicas": 0},
                **spec,
            },
        }
        await self.client.apply(manifest, field_manager="test")

    @asynccontextmanager
    async def replica(self, **settings: Any) -> AsyncIterator[KubernetesSandboxes]:
        """An API replica's sandboxes."""
        given = {"s3_endpoint": "unused", "s3_access_key": "unused", "s3_secret_key": "unused", **settings}
        sandboxes = await open_kubernetes(load(namespace=self.name, **given))
        assert isinstance(sandboxes, KubernetesSandboxes)
        try:
            yield sandboxes
        finally:
            await sandboxes.aclose()

    async def sessions(self) -> list[str]:
        items, _ = await self.client.list(self.path("cs"))
        return [item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def namespace(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Namespace]:
    definitions.install()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(await KubeClient.connect())
        server = urlsplit(client.connection.server)
        assert server.hostname
        namespace = Namespace(
            f"sandboxes-{secrets.token_hex(4)}", client, Proxy(server.hostname, server.port or 443)
        )
        listening = await namespace.proxy.start()
        stack.callback(listening.close)
        stack.callback(namespace.proxy.cut)
        path = f"/api/v1/namespaces/{namespace.name}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        await client.request(
            "POST", "/api/v1/namespaces", body={"metadata": {"name": namespace.name, "labels": labels}}
        )
        stack.push_async_callback(client.request, "DELETE", path)
        operator = await _start_operator(namespace.name, tmp_path_factory.mktemp("operator") / "log")
        stack.push_async_callback(_stop, operator)
        kubeconfig = tmp_path_factory.mktemp("api") / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(await _kubeconfig(namespace, path)))
        await namespace.environment("default", warmPool={"replicas": WARM})
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("KUBECONFIG", str(kubeconfig))
        yield namespace


async def _start_operator(namespace: str, log: Path) -> asyncio.subprocess.Process:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "CODESESSION_OPERATOR_NAMESPACE": namespace,
        "CODESESSION_OPERATOR_HOST": "127.0.0.1",
        "CODESESSION_OPERATOR_PORT": str(port),
    }
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "codesession_operator", env=environment, stdout=output, stderr=output
        )


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    await process.wait()


async def _kubeconfig(namespace: Namespace, path: str) -> dict[str, Any]:
    """Of a service account with the API's rights, through the proxy."""
    client, name = namespace.client, "codesession-api"
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}"
    await client.request("POST", f"{path}/serviceaccounts", body={"metadata": {"name": name}})
    await client.request("POST", f"{roles}/roles", body={"metadata": {"name": name}, "rules": RULES})
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
    }
    await client.request("POST", f"{roles}/rolebindings", body=binding)
    token = await client.request(
        "POST",
        f"{path}/serviceaccounts/{name}/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    host, port = namespace.proxy.address
    proxied = {**_cluster(), "server": f"https://{host}:{port}", "tls-server-name": namespace.proxy.host}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "api",
        "clusters": [{"name": "api", "cluster": proxied}],
        "users": [{"name": "api", "user": {"token": token["status"]["token"]}}],
        "contexts": [{"name": "api", "context": {"cluster": "api", "user": "api"}}],
    }


def _cluster() -> dict[str, Any]:
    """How the administrator's kubeconfig trusts the cluster."""
    configuration = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster: dict[str, Any] = configuration["clusters"][0]["cluster"]
    return cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes(namespace: Namespace) -> AsyncIterator[KubernetesSandboxes]:
    async with namespace.replica() as sandboxes:
        yield sandboxes


@pytest.fixture
def uncut(namespace: Namespace) -> Iterator[Proxy]:
    yield namespace.proxy
    namespace.proxy.refusing = False


async def until(condition: Callable[[], Any], seconds: float = 180) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def warm(sandboxes: KubernetesSandboxes, count: int = WARM, *, dialled: bool = True) -> None:
    """Wait until so many sessions are ready to be claimed, with a stream to each."""
    await until(lambda: sum(_warm(sandboxes, dialled)) >= count)


def _warm(sandboxes: KubernetesSandboxes, dialled: bool) -> Iterator[bool]:
    for view in sandboxes._sessions.items():
        yield view.warm and (not dialled or view.name in sandboxes._keeper.near())


async def run(sandbox: Sandbox, code: str, language: str = "bash", **more: Any) -> RunResult:
    return await sandbox.run(RunSpec(new_id(), language, code, **more))


@asynccontextmanager
async def started(sandbox: Sandbox, code: str) -> AsyncIterator[asyncio.Task[RunResult]]:
    """A run that has begun: bash code that goes on when the file `go` is there."""
    script = f"touch begun; {code}"
    running = asyncio.create_task(run(sandbox, script))
    while not running.done():
        try:
            _ = [chunk async for chunk in sandbox.get("begun", tag="")]
            break
        except SandboxFileMissing:
            await asyncio.sleep(0.05)
    try:
        yield running
    finally:
        running.cancel()


async def empty() -> AsyncIterator[bytes]:
    yield b""


async def test_a_warm_claim_needs_one_call_and_no_dial(sandboxes: KubernetesSandboxes) -> None:
    await warm(sandboxes)
    await sandboxes.check()
    assert sandboxes.isolation == "gvisor"
    before = sandboxes._client.attempts.copy()
    sandbox = await sandboxes.claim(ALICE)
    result = await run(sandbox, "print(40 + 2)", "py")
    assert (result.outcome, result.stdout) == (Outcome.EXIT, b"42\n")
    asked = sandboxes._client.attempts - before
    assert asked["PATCH", "codesessions"] == 1
    assert not any(method == "POST" for method, _ in asked)
    assert sandboxes._dialer.holds(_pod(sandboxes, sandbox))


def _pod(sandboxes: KubernetesSandboxes, sandbox: Sandbox) -> Any:
    return sandbox._line.pod  # type: ignore[attr-defined]


async def test_a_session_is_its_owners_alone(namespace: Namespace, sandboxes: KubernetesSandboxes) -> None:
    sandbox = await sandboxes.claim(ALICE)
    await sandbox.put("in.txt", _bytes(b"input"), tag="s/f")
    result = await run(sandbox, "cp in.txt out.txt; cat in.txt")
    assert (result.stdout, result.changed) == (b"input", [FileEntry("out.txt", 5)])
    async with namespace.replica() as other:
        found = await other.find(sandbox.session_id, ALICE)
        assert found is not None
        assert b"".join([chunk async for chunk in found.get("out.txt", tag="s/g")]) == b"input"
        assert await other.find(sandbox.session_id, BOB) is None
        assert await other.find(new_id(), ALICE) is None
        assert await other.find("../../pods/x", ALICE) is None
        assert not await other.delete(sandbox.session_id, BOB)
        assert await other.delete(sandbox.session_id, ALICE)
    await until(lambda: sandboxes._sessions.get(sandbox.session_id) is None)
    assert await sandboxes.find(sandbox.session_id, ALICE) is None


async def test_a_hint_leads_to_the_same_session_on_every_replica(
    namespace: Namespace, sandboxes: KubernetesSandboxes
) -> None:
    hint = secrets.token_hex(16)
    first, second = [await sandboxes.claim(ALICE, hint) for _ in range(2)]
    labels = (await namespace.client.get(namespace.path("cs", first.session_id)))["metadata"]["labels"]
    assert labels["codesession.dev/hint"] == hint
    oldest = await sandboxes.hinted(hint, ALICE)
    assert oldest is not None
    async with namespace.replica() as other:
        found = await other.hinted(hint, ALICE)
        assert found is not None
        assert found.session_id == oldest.session_id
        assert await other.hinted(hint, BOB) is None
        assert await other.hinted(secrets.token_hex(16), ALICE) is None
        assert (await run(found, "touch here")).outcome is Outcome.EXIT
        await other.delete(found.session_id, ALICE)
        left = await other.hinted(hint, ALICE, {found.session_id})
        assert left is not None
        assert {found.session_id, left.session_id} == {first.session_id, second.session_id}
        await other.delete(left.session_id, ALICE)


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_an_unclaimed_session_is_nobodys(sandboxes: KubernetesSandboxes) -> None:
    await warm(sandboxes, 1)
    name = next(view.name for view in sandboxes._sessions.items() if view.warm)
    assert await sandboxes.find(name, ALICE) is None
    assert not await sandboxes.delete(name, ALICE)


async def test_claims_of_two_replicas_never_meet(
    namespace: Namespace, sandboxes: KubernetesSandboxes
) -> None:
    async with namespace.replica() as other:
        await warm(sandboxes)
        await warm(other, dialled=False)
        claims = [replica.claim(who) for who in (ALICE, BOB) for replica in (sandboxes, other)]
        claimed = await asyncio.gather(*claims)
        assert len({sandbox.session_id for sandbox in claimed}) == len(claimed)
        for sandbox, who in zip(claimed, (ALICE, ALICE, BOB, BOB), strict=True):
            assert await sandboxes.find(sandbox.session_id, who) is not None
        results = await asyncio.gather(*(run(sandbox, "ls; touch mine") for sandbox in claimed))
        assert [result.stdout for result in results] == [b""] * len(claimed)
        for sandbox, who in zip(claimed, (ALICE, ALICE, BOB, BOB), strict=True):
            await sandboxes.delete(sandbox.session_id, who)


WAITING = "for i in 1 2 3; do echo $i; while [ ! -e go ]; do sleep 0.02; done; done; echo x >> ran; cat ran"


@pytest.mark.parametrize("cuts", [1, 3])
async def test_a_stream_that_is_cut_during_a_run_is_taken_up_again(
    sandboxes: KubernetesSandboxes, uncut: Proxy, cuts: int
) -> None:
    sandbox = await sandboxes.claim(ALICE)
    pod = _pod(sandboxes, sandbox)
    async with started(sandbox, WAITING) as running:
        for _ in range(cuts):
            uncut.cut()
            await until(lambda: not sandboxes._dialer.holds(pod))
            await until(lambda: sandboxes._dialer.holds(pod))
        await sandbox.put("go", empty(), tag="t")
        result = await running
    assert result.outcome is Outcome.EXIT
    assert result.stdout == b"1\n2\n3\nx\n"
    assert await sandboxes.delete(sandbox.session_id, ALICE)


async def test_a_run_that_ends_while_the_api_server_is_away_has_its_result(
    sandboxes: KubernetesSandboxes, uncut: Proxy
) -> None:
    sandbox = await sandboxes.claim(ALICE)
    async with started(sandbox, "sleep 1; echo done") as running:
        uncut.refusing = True
        uncut.cut()
        await asyncio.sleep(2)
        uncut.refusing = False
        assert (await running).stdout == b"done\n"
    await sandboxes.delete(sandbox.session_id, ALICE)


async def test_a_pod_that_is_deleted_during_a_run_is_lost(
    namespace: Namespace, sandboxes: KubernetesSandboxes
) -> None:
    sandbox = await sandboxes.claim(ALICE)
    async with started(sandbox, "sleep 600") as running:
        await namespace.client.delete(namespace.path("pod", sandbox.session_id))
        with pytest.raises(SandboxLost, match="pod"):
            await running
    found = await sandboxes.find(sandbox.session_id, ALICE)
    assert found is None or _pod(sandboxes, found) != _pod(sandboxes, sandbox)
    await sandboxes.delete(sandbox.session_id, ALICE)


async def test_what_is_used_lives_on_within_its_lifetime(
    namespace: Namespace, sandboxes: KubernetesSandboxes
) -> None:
    sandbox = await sandboxes.claim(ALICE)
    path = namespace.path("cs", sandbox.session_id)
    soon = (datetime.now(UTC) + timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await namespace.client.merge_patch(path, {"spec": {"shutdownTime": soon}})
    await until(lambda: _shutdown(sandboxes, sandbox) < datetime.now(UTC) + timedelta(seconds=61))
    assert await sandboxes.find(sandbox.session_id, ALICE) is not None
    spec = (await namespace.client.get(path))["spec"]
    moved = datetime.fromisoformat(spec["shutdownTime"])
    assert timedelta(seconds=1790) < moved - datetime.now(UTC) <= timedelta(seconds=1800)
    before = sandboxes._client.attempts["PATCH", "codesessions"]
    assert await sandboxes.find(sandbox.session_id, ALICE) is not None
    assert sandboxes._client.attempts["PATCH", "codesessions"] == before
    await sandboxes.delete(sandbox.session_id, ALICE)


def _shutdown(sandboxes: KubernetesSandboxes, sandbox: Sandbox) -> datetime:
    view = sandboxes._sessions.get(sandbox.session_id)
    assert view is not None
    assert view.shutdown_time is not None
    return view.shutdown_time


async def test_without_a_warm_one_a_session_is_made(namespace: Namespace) -> None:
    await namespace.environment("cold")
    async with namespace.replica(environment="cold") as sandboxes:
        sandbox = await sandboxes.claim(ALICE)
        assert (await run(sandbox, "echo $((6 * 7))")).stdout == b"42\n"
        assert await sandboxes.delete(sandbox.session_id, ALICE)


async def test_a_session_that_does_not_start_is_given_up_and_removed(namespace: Namespace) -> None:
    await namespace.environment("nowhere", nodeSelector={"no-such-label": "x"})
    before = set(await namespace.sessions())
    async with namespace.replica(environment="nowhere", claim_timeout_seconds=2) as sandboxes:
        with pytest.raises(SandboxesBusy):
            await sandboxes.claim(ALICE)
        waiting = asyncio.create_task(sandboxes.claim(ALICE))
        await until(lambda: any(view.environment == "nowhere" for view in sandboxes._sessions.items()))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert {name for name in await namespace.sessions() if name not in before} == set()


async def test_an_environment_that_is_missing_is_said(namespace: Namespace) -> None:
    async with namespace.replica(environment="missing") as sandboxes:
        with pytest.raises(SandboxesUnavailable, match="cannot be read"):
            await sandboxes.check()
        with pytest.raises(SandboxesUnavailable, match="missing"):
            await sandboxes.claim(ALICE)


async def test_an_api_server_that_does_not_answer_is_said(namespace: Namespace, uncut: Proxy) -> None:
    async with namespace.replica() as sandboxes:
        uncut.refusing = True
        uncut.cut()
        with pytest.raises(SandboxesUnavailable):
            await sandboxes.check()
        uncut.refusing = False
        await sandboxes.check()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/namespaces/{}/pods"),
        ("GET", "/api/v1/namespaces/{}/pods"),
        ("GET", "/api/v1/namespaces/{}/secrets"),
        ("DELETE", "/apis/codesession.dev/v1alpha1/namespaces/{}/codesessions"),
        ("GET", "/api/v1/nodes"),
    ],
)
async def test_the_role_gives_no_more_than_is_needed(namespace: Namespace, method: str, path: str) -> None:
    async with await KubeClient.connect() as client:
        with pytest.raises(ApiStatusError) as caught:
            await client.request(method, path.format(namespace.name), body={} if method == "POST" else None)
    assert caught.value.status == 403
