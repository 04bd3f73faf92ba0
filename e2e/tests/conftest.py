from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.embedded import embedded

# A machine with two cores that runs a cluster: one sandbox may take its time to start.
PATIENCE = 150


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """It asks for keys as a cluster does, so that the same holds of both."""
    directory = tmp_path_factory.mktemp("embedded")
    with embedded(directory, ("alice", "bob"), local_idle_seconds="60") as target:
        yield target


@pytest.fixture(scope="session")
def chart_release() -> Iterator[Target]:
    with release.installed() as target:
        yield target


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("embedded_server", id="embedded", marks=pytest.mark.sandbox),
        pytest.param("chart_release", id="cluster", marks=[pytest.mark.cluster, pytest.mark.timeout(600)]),
    ],
)
def target(request: pytest.FixtureRequest) -> Target:
    """The server under test. All that is promised of one is promised of the other."""
    server: Target = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def http(target: Target) -> Iterator[httpx.Client]:
    """Plain requests, for what the real clients do not send."""
    with connected(target) as plain:
        yield plain


def connected(target: Target) -> httpx.Client:
    return httpx.Client(base_url=target.url, headers=target.headers, timeout=PATIENCE, trust_env=False)


@pytest.fixture(autouse=True)
def _leave_no_sessions(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a cluster a claimed session takes its place until it is idle for half an hour."""
    # Requirements share sandboxes, and end them themselves.
    ours = "server" not in request.fixturenames
    on_cluster = ours and ("chart_release" in request.fixturenames or "cluster" in request.node.keywords)
    before = _claimed() if on_cluster else set()
    yield
    if on_cluster and (made := _claimed() - before):
        kubectl.out("delete", "codesessions", "-n", release.SANDBOXES, "--wait=false", *made)


def _claimed() -> set[str]:
    sessions = kubectl.items("codesessions", release.SANDBOXES)
    return {item["metadata"]["name"] for item in sessions if "claim" in item["spec"]}
