"""The unix socket that relays connect to, and the port that says when the sandbox is ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from codesession_runner.connection import Connection
from codesession_runner.processes import is_descendant

MAX_CONNECTIONS = 16
_BACKLOG = 64
_CREDENTIALS = struct.Struct("3i")

Connect = Callable[[Callable[[Connection], None]], Connection]
"""Makes the protocol of a connection; it is given what to call when the connection is lost."""

logger = logging.getLogger(__name__)


class SocketServer:
    """Accepts relays; what a run has started has no business with the runner and is refused."""

    def __init__(self, path: str, connect: Connect) -> None:
        self._connect = connect
        self._connections: set[Connection] = set()
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._listener.bind(path)
        self._listener.listen(_BACKLOG)

    async def serve(self) -> None:
        """Accept for ever."""
        loop = asyncio.get_running_loop()
        while True:
            peer, _ = await loop.sock_accept(self._listener)
            if len(self._connections) >= MAX_CONNECTIONS or is_descendant(_pid(peer)):
                logger.warning("refused a connection")
                peer.close()
            else:
                await loop.connect_accepted_socket(self._connection, peer)

    def close(self) -> None:
        self._listener.close()
        for connection in list(self._connections):
            connection.close()

    def _connection(self) -> Connection:
        connection = self._connect(self._connections.discard)
        self._connections.add(connection)
        return connection


async def announce_ready(port: int) -> asyncio.Server:
    """Accept TCP connections on `port`, which is all that a tcpSocket probe asks for."""
    return await asyncio.start_server(lambda reader, writer: writer.close(), port=port)


def _pid(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid
