"""A runner behind `pods/exec`: the relay's standard streams over one WebSocket.

Every message begins with a byte that says which stream it is of (v5.channel.k8s.io, or v4 of older servers,
which cannot end stdin: there the relay ends with the socket). However the stream ends, that is an error with
the best cause there is: the relay's own words, its exit, or the socket's end; a close alone says nothing of
what was asked (kubernetes#73056).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp

from codesession_api.sandboxes.refusals import one_line
from codesession_api.sandboxes.transport import CHUNK, TransportError
from codesession_crds.client import KubeClient
from codesession_crds.paths import PODS

CONTAINER = "sandbox"
RELAY = ("/usr/bin/python3", "-I", "-S", "/opt/codesession/codesession_runner/relay.py")
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")

_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_TAIL = 2048
_MAX_STATUS = 64 * 1024
_CLOSE_SECONDS = 2.0


class ExecStream:
    """A `Transport`; made by `open_exec`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._stderr = b""
        self._status = b""

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise TransportError(self._cause(message))
            stream, data = message.data[:1], message.data[1:]
            if stream == bytes([_STDOUT]) and data:
                return bytes(data)
            if stream == bytes([_STDERR]):
                self._stderr = (self._stderr + data)[-_TAIL:]
            elif stream == bytes([_ERROR]):
                self._status = (self._status + data)[:_MAX_STATUS]

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                await self._socket.send_bytes(bytes([_STDIN]) + view[: CHUNK - 1])
                view = view[CHUNK - 1 :]
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(f"writing failed: {type(error).__name__}") from error

    async def aclose(self) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._socket.protocol == PROTOCOLS[0] and not self._socket.closed:
                    await self._socket.send_bytes(bytes([_CLOSE, _STDIN]))
                await self._socket.close()

    def _cause(self, message: aiohttp.WSMessage) -> str:
        said = one_line(self._stderr.decode("utf-8", "replace").strip())
        if self._status:
            return f"the relay ended: {said or _reason(self._status)}"
        if message.type is aiohttp.WSMsgType.ERROR:
            return f"the exec stream broke: {type(message.data).__name__}"
        code = self._socket.close_code
        return f"the exec stream was closed{f' ({code})' if code else ''}{said and ': ' + said}"


async def open_exec(client: KubeClient, namespace: str, pod: str) -> ExecStream:
    """Start the relay in a sandbox's pod. Raises KubeError, or TransportError without a common protocol."""
    flags = [(name, "true") for name in ("stdin", "stdout", "stderr")]
    query = [("container", CONTAINER), *flags, *(("command", word) for word in RELAY)]
    socket = await client.websocket(PODS.path(namespace, pod, "exec"), query, PROTOCOLS)
    if socket.protocol not in PROTOCOLS:
        await socket.close()
        raise TransportError("the API server speaks no exec protocol that is known here")
    return ExecStream(socket)


def _reason(status: bytes) -> str:
    """What the `Status` of the error channel says."""
    try:
        value: Any = json.loads(status)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return "without a status"
    return one_line(str(value.get("message") or value.get("status") or "without a status"))
