"""What to say of an environment."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codesession_crds.conditions import (
    MESSAGE_LENGTH,
    EnvironmentCondition,
    EnvironmentReason,
    transition_time,
)
from codesession_crds.environment import CodeEnvironment, EnvironmentStatus

Verdict = tuple[EnvironmentReason, str]
"""Whether sandboxes of the environment may be made, and why not."""

_GOOD = (EnvironmentReason.READY, EnvironmentReason.GVISOR)


def environment_status(
    environment: CodeEnvironment, verdict: Verdict, warm: int, claimed: int, now: datetime
) -> EnvironmentStatus:
    """The status as it should be; equal to the present one if nothing changed."""
    return EnvironmentStatus(
        observed_generation=environment.metadata.generation,
        warm=warm,
        claimed=claimed,
        conditions=[
            _condition(environment, "Ready", verdict, now),
            _condition(environment, "Isolated", _isolation(environment), now),
        ],
    )


def _isolation(environment: CodeEnvironment) -> Verdict:
    if environment.spec.has_gvisor:
        return EnvironmentReason.GVISOR, ""
    name = environment.spec.runtime_class_name
    runtime = f"the RuntimeClass {name}" if name else "the cluster's own runtime"
    return EnvironmentReason.INSECURE_RUNTIME, f"code of users runs in {runtime}, without gVisor"


def _condition(
    environment: CodeEnvironment, kind: Literal["Ready", "Isolated"], verdict: Verdict, now: datetime
) -> EnvironmentCondition:
    reason, message = verdict
    generation, old = environment.metadata.generation, environment.condition(kind)
    holds = "True" if reason in _GOOD else "False"
    if old is not None and (old.status, old.reason, old.observed_generation) == (holds, reason, generation):
        return old
    return EnvironmentCondition(
        type=kind,
        status=holds,
        reason=reason,
        message=message[:MESSAGE_LENGTH],
        last_transition_time=transition_time(old, holds, now),
        observed_generation=generation,
    )


def says_more_than_counts(old: EnvironmentStatus, new: EnvironmentStatus) -> bool:
    return (old.observed_generation, old.conditions) != (new.observed_generation, new.conditions)
