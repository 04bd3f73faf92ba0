"""The client against a real HTTP server that plays one API server scene each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from codesession_crds.client import KubeClient
from codesession_crds.connection import NoClusterError
from codesession_crds.errors import ApiStatusError, ApiUnreachableError
from codesession_crds.paths import CODE_SESSIONS, NETWORK_POLICIES, PODS
from codesession_crds.watch import WatchEvent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SESSIONS = CODE_SESSIONS.path("ns")


@asynccontextmanager
async def cluster(
    handler: Handler, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": str(server.make_url(""))}}],
            "users": [{"name": "u", "user": {"token": "s3cret"}}],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        async with await KubeClient.connect() as client:
            yield client


def status(code: int, reason: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"because {reason}"}
    return web.json_response(
        body, status=code, headers={key.replace("_", "-"): v for key, v in headers.items()}
    )


def session(name: str, version: str) -> dict[str, object]:
    return {"metadata": {"name": name, "resourceVersion": version}}


async def test_paths_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.json_response({"echo": await request.json()})

    async with cluster(handler, tmp_path, monkeypatch) as client:
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "ns"},
        }
        assert await client.apply(policy, field_manager="me") == {"echo": policy}
        path = PODS.path("ns", "p")
        await client.merge_patch(path, {"spec": {"a": 1}}, resource_version="7")
        await client.delete(path, uid="u", resource_version="8")
    applied, patched, deleted = seen
    assert applied.path == NETWORK_POLICIES.path("ns", "deny")
    assert dict(applied.query) == {"fieldManager": "me", "force": "true"}
    assert applied.headers["Authorization"] == "Bearer s3cret"
    assert applied.content_type == "application/apply-patch+yaml"
    assert patched.content_type == "application/merge-patch+json"
    assert client.attempts == {("PATCH", "networkpolicies"): 1, ("PATCH", "pods"): 1, ("DELETE", "pods"): 1}
    assert [request.method for request in seen] == ["PATCH", "PATCH", "DELETE"]
    assert deleted.path == "/api/v1/namespaces/ns/pods/p"


async def test_preconditions_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(await request.json())

    async with cluster(handler, tmp_path, monkeypatch) as client:
        patch = await client.merge_patch(SESSIONS + "/a", {"spec": {}}, resource_version="7")
        assert patch == {"spec": {}, "metadata": {"resourceVersion": "7"}}
        options = await client.delete(SESSIONS + "/a", uid="u")
        assert options["preconditions"] == {"uid": "u"}
        assert options["propagationPolicy"] == "Background"


@pytest.mark.parametrize(
    ("method", "idempotent", "refusals", "calls"),
    [
        ("GET", None, [503, 500], 3),
        ("GET", None, [404], 1),
        ("GET", None, [503] * 9, 5),
        ("DELETE", None, [504], 2),
        ("POST", None, [503], 1),
        ("POST", None, [429], 2),
        ("PATCH", None, [500], 1),
        ("PATCH", True, [500], 2),
        ("PATCH", True, [409], 1),
    ],
)
async def test_what_is_repeated(
    method: str,
    idempotent: bool | None,
    refusals: list[int],
    calls: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = list(refusals)

    async def handler(_: web.Request) -> web.StreamResponse:
        return status(left.pop(0), "Refused") if left else web.json_response({})

    async with cluster(handler, tmp_path, monkeypatch) as client:
        if calls > len(refusals):
            assert await client.request(method, SESSIONS, idempotent=idempotent) == {}
        else:
            with pytest.raises(ApiStatusError) as caught:
                await client.request(method, SESSIONS, idempotent=idempotent)
            assert (caught.value.status, caught.value.reason) == (refusals[0], "Refused")
        assert client.attempts.total() == calls


async def test_the_server_says_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []

    async def handler(_: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return status(429, "TooManyRequests", Retry_After="1") if len(times) == 1 else web.json_response({})

    async with cluster(handler, tmp_path, monkeypatch) as client:
        await client.request("POST", SESSIONS)
    assert times[1] - times[0] >= 1


async def test_a_cut_connection_is_not_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with cluster(handler, tmp_path, monkeypatch) as client:
        with pytest.raises(ApiUnreachableError, match=r"POST .*codesessions: no answer"):
            await client.request("POST", SESSIONS, body={"code": "secret"})
        assert client.attempts.total() == 1


async def test_a_proxys_error_page_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text="<html>no</html>")

    async with cluster(handler, tmp_path, monkeypatch) as client:
        with pytest.raises(ApiStatusError, match="403 Unknown: HTTP 403"):
            await client.get(SESSIONS)


async def test_lists_come_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.query["labelSelector"] == "a=b"
        last = request.query.get("continue") == "next"
        metadata = {"resourceVersion": "9"} | ({} if last else {"continue": "next"})
        return web.json_response({"metadata": metadata, "items": [session("b" if last else "a", "1")]})

    async with cluster(handler, tmp_path, monkeypatch) as client:
        items, version = await client.list(SESSIONS, query={"labelSelector": "a=b"})
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert version == "9"


class Stage:
    """Plays one watch after the other: each is the events to send, then how to end."""

    def __init__(self, *scenes: tuple[list[tuple[str, object]], str]) -> None:
        self.scenes = list(scenes)
        self.lists = 0
        self.since: list[str] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.lists += 1
            listed = {"metadata": {"resourceVersion": f"{self.lists}00"}, "items": [session("a", "1")]}
            return web.json_response(listed)
        self.since.append(request.query["resourceVersion"])
        events, end = self.scenes.pop(0)
        if end == "500":
            return status(500, "Internal")
        response = web.StreamResponse()
        await response.prepare(request)
        for kind, obj in events:
            line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
            await response.write(line[:7])
            await response.write(line[7:])
        if end == "cut":
            assert request.transport is not None
            request.transport.abort()
        elif end == "silence":
            await asyncio.sleep(60)
        return response


async def told(client: KubeClient, count: int, inactivity: float = 30.0) -> list[WatchEvent]:
    stream = client.watch(SESSIONS, inactivity=inactivity)
    return [await anext(stream) for _ in range(count)]


@pytest.mark.parametrize("end", ["close", "cut", "silence"])
async def test_a_watch_goes_on_where_it_was_cut(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[tuple[str, object]] = [("MODIFIED", session("a", "150")), ("BOOKMARK", session("", "170"))]
    stage = Stage((first, end), ([], "500"), ([("DELETED", session("a", "180"))], "close"))
    async with cluster(stage.serve, tmp_path, monkeypatch) as client:
        heard = await told(client, 3, inactivity=0.3 if end == "silence" else 30)
    assert [event.type for event in heard] == ["LISTED", "MODIFIED", "DELETED"]
    assert (stage.lists, stage.since) == (1, ["100", "170", "170"])


async def test_a_gap_that_cannot_be_filled_means_a_new_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    stage = Stage(([gone], "close"), ([("ADDED", session("b", "201"))], "close"))
    async with cluster(stage.serve, tmp_path, monkeypatch) as client:
        heard = await told(client, 3)
    assert [event.type for event in heard] == ["LISTED", "LISTED", "ADDED"]
    assert [item["metadata"]["name"] for item in heard[1].items] == ["a"]
    assert stage.since == ["100", "200"]


async def test_lines_may_be_longer_than_any_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = session("a", "150") | {"spec": "x" * 2_000_000}
    stage = Stage(([("MODIFIED", big)], "close"))
    async with cluster(stage.serve, tmp_path, monkeypatch) as client:
        heard = await told(client, 2)
    assert heard[1].object == big


async def test_what_waiting_does_not_cure_ends_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return status(403, "Forbidden")

    async with cluster(handler, tmp_path, monkeypatch) as client:
        with pytest.raises(ApiStatusError, match="403 Forbidden"):
            await told(client, 1)


async def test_a_websocket_carries_protocols_and_repeated_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if "refuse" in request.query:
            return status(403, "Forbidden")
        assert request.query.getall("command") == ["cat", "-"]
        assert request.headers["Authorization"] == "Bearer s3cret"
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        message = await socket.receive()
        await socket.send_bytes(message.data)
        await socket.close()
        return socket

    path = PODS.path("ns", "p", "exec")
    async with cluster(handler, tmp_path, monkeypatch) as client:
        query = [("command", "cat"), ("command", "-")]
        async with await client.websocket(path, query, ["v5.channel.k8s.io", "v4.channel.k8s.io"]) as socket:
            assert socket.protocol == "v5.channel.k8s.io"
            await socket.send_bytes(b"\x00hello")
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.BINARY, b"\x00hello")
        with pytest.raises(ApiStatusError, match="403"):
            await client.websocket(path, [("refuse", "")], [])
        assert client.attempts == {("CONNECT", "pods/exec"): 2}


async def test_without_a_cluster_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoClusterError, match="does not exist"):
        await KubeClient.connect()
