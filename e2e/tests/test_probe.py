"""`codesession probe` as anyone runs it: what holds in the embedded default, and what is seen without it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.targets import Target
from e2e.targets.embedded import embedded
from e2e.targets.probes import by, probed

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def outside() -> Iterator[int]:
    """The port of a server on every address of this machine."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))
        return str(route.getsockname()[0])


def test_every_wall_of_the_embedded_default_stands(embedded_server: Target, outside: int) -> None:
    status, results, lines = probed(embedded_server, "--reach", f"tcp:{own_address()}:{outside}")
    assert by(results, "broken") == set(), lines
    assert by(results, "cannot be told") == set(), lines
    assert status == 0


def test_without_a_sandbox_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: int) -> None:
    """The programs see what there is to be seen: they are no probes that cannot fail."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bash").symlink_to("/bin/bash")
    with embedded(tmp_path, unsafe_no_sandbox="true") as target:
        status, results, lines = probed(target, "--reach", f"tcp:{own_address()}:{outside}")
    assert status == 1
    wanted = {"K-1", "K-3", "P-3", "P-6", "N-9", "S-1", "S-2", "S-3", "S-4", "S-6"}
    assert wanted <= by(results, "broken"), lines
