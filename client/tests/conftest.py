from __future__ import annotations

from collections.abc import Iterator

import pytest

from asking import Ask
from e2e.targets import Target
from e2e.targets.embedded import embedded


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return Ask(request.param)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The embedded default, which asks for keys."""
    with embedded(tmp_path_factory.mktemp("embedded"), ("alice", "bob"), local_sandboxes="20") as target:
        yield target


@pytest.fixture
def environment(server: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The server, named by the variables that clients read."""
    assert server.key is not None
    monkeypatch.setenv("CODESESSION_URL", f"{server.url}/v1/")
    monkeypatch.setenv("CODESESSION_API_KEY", server.key)
    return server
