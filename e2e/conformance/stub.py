"""A server that keeps its connections, as those did on which LibreChat before 0.8.4 hung up: it proves that
the requirement about it can fail."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Stub:
    base: str
    requests: list[str]
    """Method and path of each request so far."""


class _Server(ThreadingHTTPServer):
    def __init__(self, run_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _KeepsAlive)
        self.run_seconds = run_seconds
        self.requests: list[str] = []


class _KeepsAlive(BaseHTTPRequestHandler):
    """Lists nothing, at once, and runs everything for a while without a sign of life."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer([])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.run_seconds)
        with contextlib.suppress(ConnectionError):
            self._answer({"session_id": "E" * 21, "stdout": "ok\n", "stderr": "", "files": []})

    def do_DELETE(self) -> None:
        self._answer({})

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""

    def _answer(self, content: Any) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "keep-alive")
        self.send_header("Keep-Alive", "timeout=5")
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def keeping_alive(run_seconds: float = 8) -> Iterator[Stub]:
    with _Server(run_seconds) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Stub(f"http://127.0.0.1:{server.server_port}/v1", server.requests)
        finally:
            server.shutdown()
