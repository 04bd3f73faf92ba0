"""For all tests: examples of a property may take their time, and what may run beside what."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# On a machine that is busy, how long an example takes says nothing about it.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


GROUPS = ("client/tests/", "e2e/tests/cluster/full/", "e2e/tests/")
"""Folders whose tests share a server, the inner ones first."""


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """With `-n`, a process takes one group after the other: a file, or all that share a server."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in GROUPS if nodeid.startswith(group)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)
