"""What to say of an environment."""

from __future__ import annotations

from datetime import datetime

from codesession_crds.conditions import (
    MESSAGE_LENGTH,
    EnvironmentCondition,
    EnvironmentReason,
    transition_time,
)
from codesession_crds.environment import CodeEnvironment, EnvironmentStatus

Verdict = tuple[EnvironmentReason, str]
"""Whether sandboxes of the environment may be made, and why not."""


def environment_status(
    environment: CodeEnvironment, verdict: Verdict, warm: int, claimed: int, now: datetime
) -> EnvironmentStatus:
    """The status as it should be; equal to the present one if nothing changed."""
    reason, message = verdict
    generation, old = environment.metadata.generation, environment.ready
    holds = "True" if reason is EnvironmentReason.READY else "False"
    if old is not None and (old.status, old.reason, old.observed_generation) == (holds, reason, generation):
        condition = old
    else:
        condition = EnvironmentCondition(
            status=holds,
            reason=reason,
            message=message[:MESSAGE_LENGTH],
            last_transition_time=transition_time(old, holds, now),
            observed_generation=generation,
        )
    return EnvironmentStatus(
        observed_generation=generation, warm=warm, claimed=claimed, conditions=[condition]
    )


def says_more_than_counts(old: EnvironmentStatus, new: EnvironmentStatus) -> bool:
    return (old.observed_generation, old.conditions) != (new.observed_generation, new.conditions)
