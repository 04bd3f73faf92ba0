"""`codesession probe` as anyone runs it: what holds in the embedded default, and what is seen without it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.targets import Target
from e2e.targets.embedded import embedded
from e2e.targets.probes import by, probed

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

KNOWN = {
    # No filter stands between the code and the host's kernel.
    "bubblewrap": {"K-3", "K-4"},
    # It does not count what RLIMIT_DATA bounds.
    "gvisor": {"L-1"},
}
"""What does not hold in the embedded default, by what it found on this host (docs/probe.md)."""


@pytest.fixture(scope="module")
def outside() -> Iterator[int]:
    """The port of a server on every address of this machine."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))
        return str(route.getsockname()[0])


def test_the_embedded_default_holds_but_for_what_is_known(embedded_server: Target, outside: int) -> None:
    isolation = httpx.get(f"{embedded_server.url}/health", trust_env=False).json()["isolation"]
    status, results, lines = probed(embedded_server, "--reach", f"tcp:{own_address()}:{outside}")
    assert by(results, "broken") == KNOWN[isolation], lines
    assert by(results, "cannot be told") == set(), lines
    assert status == 1


def test_without_a_sandbox_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: int) -> None:
    """The programs see what there is to be seen: they are no probes that cannot fail."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bash").symlink_to("/bin/bash")
    with embedded(tmp_path, unsafe_no_sandbox="true") as target:
        status, results, lines = probed(target, "--reach", f"tcp:{own_address()}:{outside}")
    assert status == 1
    wanted = {"K-1", "K-3", "P-3", "P-6", "N-9", "S-1", "S-2", "S-3", "S-4", "S-6"}
    assert wanted <= by(results, "broken"), lines
