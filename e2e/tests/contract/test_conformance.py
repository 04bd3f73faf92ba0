"""The conformance kit, a test for each requirement: the same on the embedded server and on the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.conformance.expect import UnmetError
from e2e.conformance.judge import hold
from e2e.conformance.registry import Requirement, requirements
from e2e.conformance.server import Server, connected
from e2e.conformance.stub import keeping_alive
from e2e.targets import Target


@pytest.fixture(scope="session")
def server(target: Target) -> Iterator[Server]:
    with connected(f"{target.url}/v1", target.key) as server:
        yield server


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.id)
def test_requirement(server: Server, requirement: Requirement) -> None:
    hold(requirement, server)


def test_the_requirement_about_pooled_sockets_can_fail() -> None:
    """Old LibreChats hang up on a server that keeps its connections alive."""
    (requirement,) = requirements(["C-941"])
    with (
        keeping_alive() as stub,
        connected(stub.base) as server,
        pytest.raises(UnmetError, match="socket hang up"),
    ):
        hold(requirement, server)
