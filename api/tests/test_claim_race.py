"""Replicas claim from one pool on a real API server; `python -m e2e.bench.claim_race` is the long form."""

from __future__ import annotations

import pytest

from e2e.bench.claim_race import race

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_each_session_is_claimed_once() -> None:
    result = await race(sessions=300, claimers=8)
    assert result.claimed == result.sessions == 300
    assert (result.doubled, result.unclaimed, result.strangers) == (0, 0, 0)
    assert result.lost_races > 0
