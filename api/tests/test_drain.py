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
