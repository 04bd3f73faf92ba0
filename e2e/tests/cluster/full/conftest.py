"""The large image on the cluster: gVisor, no root user, a root that is read-only, and the API in front."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import Target, release
from e2e.targets.full import FULL
from e2e.tests.cluster.full.sandbox import Sandbox


@pytest.fixture(scope="session")
def full_release() -> Iterator[Target]:
    with release.installed(FULL) as target:
        yield target


@pytest.fixture(scope="session")
def full_http(full_release: Target) -> Iterator[httpx.Client]:
    headers, base = full_release.headers, f"{full_release.url}/v1"
    with httpx.Client(base_url=base, headers=headers, timeout=300, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def sandbox(full_http: httpx.Client) -> Iterator[Sandbox]:
    """One for the tests of a module, which leave no files that others trip over."""
    with Sandbox.opened(full_http) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _leave_no_sessions() -> None:
    """Each sandbox ends its own, in a namespace of its own."""
