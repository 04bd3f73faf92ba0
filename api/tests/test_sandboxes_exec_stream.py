"""The exec stream and the dialer against a server on loopback that answers as an API server does, or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from codesession_api.errors import SandboxLost
from codesession_api.sandboxes.connection import ConnectionLost
from codesession_api.sandboxes.dialer import Dialer, PodRef, check_pod
from codesession_api.sandboxes.exec_stream import PROTOCOLS, RELAY, ExecStream, open_exec
from codesession_api.sandboxes.transport import CHUNK, TransportError
from codesession_crds.client import KubeClient
from codesession_crds.connection import Connection as ClusterConnection
from codesession_runner.frames import Kind, message

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]
HELLO = message(Kind.HELLO, 0, {"protocol": 1, "boot": "b", "languages": ["py"]}).encode()
POD = {
    "metadata": {"name": "pod", "uid": "uid-1"},
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "sandbox", "ready": True, "state": {"running": {}}}],
    },
}
REF = PodRef("pod", "uid-1")


class Cluster:
    """One pod and its exec, with all that was asked."""

    def __init__(self) -> None:
        self.pod: dict[str, Any] | None = POD
        self.handler: Handler = hold
        self.protocols: tuple[str, ...] = PROTOCOLS
        self.refusal = 0
        self.queries: list[list[tuple[str, str]]] = []
        self.gets = 0
        self.offered: list[str] = []
        self.dialling = 0
        self.most_dialling = 0

    async def get(self, request: web.Request) -> web.Response:
        self.gets += 1
        if self.pod is None:
            return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)
        return web.json_response(self.pod)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        self.queries.append([(name, value) for name, value in request.query.items()])
        self.offered = [name.strip() for name in request.headers["Sec-WebSocket-Protocol"].split(",")]
        self.dialling += 1
        self.most_dialling = max(self.dialling, self.most_dialling)
        await asyncio.sleep(0.01)
        self.dialling -= 1
        if self.refusal:
            return web.json_response({"kind": "Status", "code": self.refusal}, status=self.refusal)
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        await self.handler(socket)
        return socket


async def hold(socket: web.WebSocketResponse) -> None:
    """A relay with a runner that greets and is well."""
    await socket.send_bytes(b"\x01" + HELLO)
    async for _ in socket:
        pass


@asynccontextmanager
async def serving(cluster: Cluster) -> AsyncIterator[KubeClient]:
    application = web.Application()
    application.router.add_get("/api/v1/namespaces/ns/pods/{name}", cluster.get)
    application.router.add_get("/api/v1/namespaces/ns/pods/{name}/exec", cluster.exec)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    client = KubeClient(ClusterConnection(f"http://127.0.0.1:{port}", Anonymous(), False), timeout=5)
    try:
        yield client
    finally:
        await client.aclose()
        await runner.cleanup()


class Anonymous:
    """The part of a client configuration that is asked for."""

    proxy = None
    tls_server_name = None

    async def get_api_key_with_prefix(self, name: str) -> None:
        return None


@asynccontextmanager
async def streaming(handler: Handler, cluster: Cluster | None = None) -> AsyncIterator[ExecStream]:
    cluster = cluster or Cluster()
    cluster.handler = handler
    async with serving(cluster) as client:
        stream = await open_exec(client, "ns", "pod")
        try:
            yield stream
        finally:
            await stream.aclose()


# --- the stream


async def test_the_relay_is_asked_for_with_both_protocols() -> None:
    cluster = Cluster()
    async with streaming(hold, cluster) as stream:
        assert await stream.read() == HELLO
    assert cluster.offered == ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    query = cluster.queries[0]
    assert [value for name, value in query if name == "command"] == list(RELAY)
    assert dict(query) == {
        "container": "sandbox",
        "stdin": "true",
        "stdout": "true",
        "stderr": "true",
        "command": RELAY[-1],
    }


@pytest.mark.parametrize("protocols", [("v4.channel.k8s.io",), PROTOCOLS])
async def test_bytes_go_both_ways_in_bounded_messages(protocols: tuple[str, ...]) -> None:
    sizes: list[int] = []

    async def echo(socket: web.WebSocketResponse) -> None:
        async for received in socket:
            if received.type is WSMsgType.BINARY and received.data[0] == 0:
                sizes.append(len(received.data))
                await socket.send_bytes(b"\x01" + received.data[1:])

    cluster = Cluster()
    cluster.protocols = protocols
    data = bytes(range(256)) * 2000
    async with streaming(echo, cluster) as stream:
        writing = asyncio.create_task(stream.write(data))
        received = b""
        while len(received) < len(data):
            received += await stream.read()
        await writing
    assert received == data
    assert max(sizes) == CHUNK
    assert len(sizes) == 4


async def test_stdin_is_closed_in_the_new_protocol_and_the_socket_in_both() -> None:
    ends: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def watch(socket: web.WebSocketResponse) -> None:
        async for received in socket:
            ends.put_nowait(received.data)
        ends.put_nowait(None)

    async with streaming(watch):
        pass
    assert [await ends.get(), await ends.get()] == [b"\xff\x00", None]
    old = Cluster()
    old.protocols = ("v4.channel.k8s.io",)
    async with streaming(watch, old):
        pass
    assert await ends.get() is None


def status(**body: object) -> bytes:
    return b"\x03" + json.dumps({"kind": "Status", **body}).encode()


@pytest.mark.parametrize(
    ("messages", "cause"),
    [
        ([], "the exec stream was closed"),
        (
            [b"\x02no runner at /run/x\n", status(status="Failure", message="exit code 2")],
            "no runner at /run/x",
        ),
        ([status(status="Failure", message="command terminated with exit code 1")], "exit code 1"),
        ([status(status="Success")], "the relay ended: Success"),
        ([b"\x03{"], "without a status"),
        ([b"\x03[]"], "without a status"),
        ([b"\x02words\x1b[31m alone"], "closed (1000): words"),
        ([b"\xff\x01", b"", b"\x07what"], "the exec stream was closed"),
    ],
)
async def test_the_end_of_a_stream_is_an_error_with_its_cause(messages: list[bytes], cause: str) -> None:
    async def end(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\x01last bytes")
        for sent in messages:
            await socket.send_bytes(sent)

    async with streaming(end) as stream:
        assert await stream.read() == b"last bytes"
        with pytest.raises(TransportError) as caught:
            await stream.read()
    assert cause in str(caught.value)
    assert str(caught.value).isprintable()


async def test_a_relay_that_floods_stderr_is_bounded_here() -> None:
    async def flood(socket: web.WebSocketResponse) -> None:
        for _ in range(200):
            await socket.send_bytes(b"\x02" + b"x" * 30_000)
            await socket.send_bytes(b"\x03" + b"x" * 30_000)

    async with streaming(flood) as stream:
        with pytest.raises(TransportError) as caught:
            await stream.read()
        assert len(stream._stderr) <= 2048
        assert len(stream._status) <= 65536
    assert len(str(caught.value)) < 300


async def test_a_connection_that_breaks_is_an_error() -> None:
    async def drop(socket: web.WebSocketResponse) -> None:
        assert socket._req
        assert socket._req.transport
        socket._req.transport.abort()

    async with streaming(drop) as stream:
        with pytest.raises(TransportError, match="the exec stream"):
            await stream.read()
        with pytest.raises(TransportError, match="writing failed"):
            await stream.write(b"x")


async def test_a_server_without_a_known_protocol_is_refused() -> None:
    cluster = Cluster()
    cluster.protocols = ()
    async with serving(cluster) as client:
        with pytest.raises(TransportError, match="no exec protocol"):
            await open_exec(client, "ns", "pod")


async def test_pings_of_the_server_are_answered() -> None:
    answered = asyncio.Event()

    async def ping(socket: web.WebSocketResponse) -> None:
        await socket.ping(b"are you there")
        received = await socket.receive()
        if received.type is WSMsgType.PONG and received.data == b"are you there":
            answered.set()

    cluster = Cluster()

    async def without_autoping(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=PROTOCOLS, autoping=False)
        await socket.prepare(request)
        await ping(socket)
        return socket

    cluster.exec = without_autoping  # type: ignore[method-assign]
    async with serving(cluster) as client:
        stream = await open_exec(client, "ns", "pod")
        with pytest.raises(TransportError):
            await stream.read()
    assert answered.is_set()


# --- the dialer


@asynccontextmanager
async def dialling(cluster: Cluster, **options: Any) -> AsyncIterator[Dialer]:
    async with serving(cluster) as client:
        dialer = Dialer(client, "ns", **options)
        try:
            yield dialer
        finally:
            await dialer.aclose()


async def test_one_stream_serves_all_who_ask() -> None:
    cluster = Cluster()
    async with dialling(cluster) as dialer:
        connections = await asyncio.gather(*(dialer.connect(REF) for _ in range(5)))
        assert len(set(map(id, connections))) == 1
        assert await dialer.connect(REF) is connections[0]
        assert dialer.holds(REF)
        assert (cluster.gets, len(cluster.queries)) == (1, 1)


async def test_the_first_to_ask_may_go_away() -> None:
    async with dialling(Cluster()) as dialer:
        first = asyncio.create_task(dialer.connect(REF))
        second = asyncio.create_task(dialer.connect(REF))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).lost is None


async def test_a_lost_stream_is_dialled_again_and_the_pod_compared() -> None:
    cluster = Cluster()
    async with dialling(cluster) as dialer:
        connection = await dialer.connect(REF)
        await connection.aclose()
        assert not dialer.holds(REF)
        assert await dialer.connect(REF) is not connection
        assert cluster.gets == 2
        cluster.pod = {**POD, "metadata": {"name": "pod", "uid": "uid-2"}}
        await (await dialer.connect(REF)).aclose()
        with pytest.raises(SandboxLost, match="was replaced"):
            await dialer.connect(REF)


async def test_a_pod_that_is_gone_is_lost() -> None:
    cluster = Cluster()
    cluster.pod = None
    async with dialling(cluster) as dialer:
        with pytest.raises(SandboxLost, match="is gone"):
            await dialer.connect(REF)


@pytest.mark.parametrize("refusal", [400, 403, 500, 503])
async def test_an_exec_that_is_refused_may_work_later(refusal: int) -> None:
    cluster = Cluster()
    cluster.refusal = refusal
    async with dialling(cluster) as dialer:
        with pytest.raises(ConnectionLost, match=str(refusal)):
            await dialer.connect(REF)
        cluster.refusal = 0
        assert (await dialer.connect(REF)).lost is None


async def test_dials_at_one_time_are_bounded() -> None:
    cluster = Cluster()
    async with dialling(cluster, at_once=2) as dialer:
        await asyncio.gather(*(dialer.connect(PodRef(f"pod-{number}", "uid-1")) for number in range(6)))
        assert cluster.most_dialling == 2


async def test_streams_that_nobody_uses_are_closed_but_those_kept_for_a_claim() -> None:
    async with dialling(Cluster(), idle=-1.0) as dialer:
        warm = PodRef("warm", "uid-1")
        used, kept = await dialer.connect(REF), await dialer.connect(warm)
        await dialer.close_idle(keep=[warm])
        assert used.lost is not None
        assert kept.lost is None
        assert dialer.holds(warm)
        assert not dialer.holds(REF)


CONTAINER = POD["status"]["containerStatuses"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (POD, None),
        ({**POD, "metadata": {"uid": "uid-2"}}, SandboxLost),
        ({**POD, "metadata": {"uid": "uid-1", "deletionTimestamp": "x"}}, SandboxLost),
        ({**POD, "status": {"phase": "Failed", "reason": "Evicted"}}, SandboxLost),
        ({**POD, "status": {"phase": "Succeeded"}}, SandboxLost),
        ({**POD, "status": {"phase": "Pending"}}, ConnectionLost),
        (
            {**POD, "status": {"containerStatuses": [{**CONTAINER, "state": {"waiting": {}}}]}},
            ConnectionLost,
        ),
        ({"metadata": {"uid": "uid-1"}}, ConnectionLost),
    ],
)
def test_which_pods_can_serve(pod: dict[str, Any], expected: type[Exception] | None) -> None:
    if expected is None:
        check_pod(pod, "uid-1")
    else:
        with pytest.raises(expected):
            check_pod(pod, "uid-1")
