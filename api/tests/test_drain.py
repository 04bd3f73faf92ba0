from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx


def test_told_to_stop_it_finishes_what_is_under_way_and_takes_no_more(
    run_server: Callable[..., Any], tmp_path: Path, unused_port: int
) -> None:
    with run_server(tmp_path, metrics_port=unused_port) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.exec, "import time; time.sleep(8); print('ended')")
        until(lambda: "runs_in_flight 1.0" in get(unused_port, "/metrics"), "a run")
        server.process.terminate()
        until(lambda: get(httpx.URL(server.url).port, "/readyz") == "", "readiness off")
        assert not answer.done()
        assert answer.result()["stdout"] == "ended\n"


def test_calls_over_mcp_are_finished_too_and_its_streams_end(
    run_server: Callable[..., Any], tmp_path: Path, unused_port: int
) -> None:
    with (
        run_server(tmp_path, metrics_port=unused_port) as server,
        ThreadPoolExecutor(1) as pool,
        httpx.stream("GET", f"{server.url}/sse", trust_env=False, timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "event: endpoint"
        answer = pool.submit(slept, server.url)
        until(lambda: "runs_in_flight 1.0" in get(unused_port, "/metrics"), "a run")
        server.process.terminate()
        assert not [line for line in lines if line.startswith("event")]
        assert not answer.done()
        assert "ended" in answer.result()


def slept(url: str) -> str:
    call = {
        "name": "execute_python_code",
        "arguments": {"code": "import time; time.sleep(8); print('ended')"},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"Accept": "application/json, text/event-stream"}
    return httpx.post(f"{url}/mcp", json=message, headers=headers, timeout=60, trust_env=False).text


def get(port: int | None, path: str) -> str:
    """Nothing where nobody listens, or nobody any more."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).text
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return ""


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.02)
