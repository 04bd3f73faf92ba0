from __future__ import annotations

import socket

import aiohttp

from codesession_operator.health import serving


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_answers_follow_the_checks() -> None:
    state = {"live": True, "ready": False}
    port = free_port()
    async with (
        serving(
            "127.0.0.1",
            port,
            live=lambda: state["live"],
            ready=lambda: state["ready"],
            metrics=lambda: b"queue 3\n",
        ),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):

        async def ask(path: str) -> tuple[int, str]:
            async with http.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/livez") == (200, "ok\n")
        assert await ask("/readyz") == (503, "not ok\n")
        state.update(live=False, ready=True)
        assert await ask("/livez") == (503, "not ok\n")
        assert await ask("/readyz") == (200, "ok\n")
        assert await ask("/metrics") == (200, "queue 3\n")
