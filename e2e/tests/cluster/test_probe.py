"""`codesession probe` on the cluster: all holds, and nothing is left untold."""

from __future__ import annotations

import pytest

from e2e.targets import Target, release
from e2e.targets.probes import by, probed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_every_wall_stands(chart_release: Target) -> None:
    node = release.node_addresses()[0]
    reach = [word for port in (10250, 6443) for word in ("--reach", f"tcp:{node}:{port}")]
    status, results, lines = probed(chart_release, *reach)
    assert by(results, "broken") == set(), lines
    assert by(results, "cannot be told") == set(), lines
    assert status == 0, lines
