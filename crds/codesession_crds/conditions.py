"""Conditions of the resources, whose reasons are closed lists. `Ready` is one of each kind."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Literal, Protocol

from pydantic import Field

from codesession_crds.model import Model, Timestamp

MESSAGE_LENGTH = 1024


class SessionReason(enum.StrEnum):
    """Why a session is or is not Ready."""

    READY = "Ready"
    POD_PENDING = "PodPending"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    WORKSPACE_PENDING = "WorkspacePending"
    POD_FAILED = "PodFailed"
    POD_LOST = "PodLost"
    ENVIRONMENT_MISSING = "EnvironmentMissing"
    QUOTA_EXCEEDED = "QuotaExceeded"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"


class EnvironmentReason(enum.StrEnum):
    """Why an environment is or is not Ready, and Isolated."""

    READY = "Ready"
    POLICY_PENDING = "PolicyPending"
    LIMITS_PENDING = "LimitsPending"
    REFUSED = "Refused"
    GVISOR = "GVisor"
    INSECURE_RUNTIME = "InsecureRuntime"


class Condition(Model):
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    message: Annotated[
        str,
        Field(max_length=MESSAGE_LENGTH, description="For people; may change at any time. Default empty."),
    ] = ""
    last_transition_time: Annotated[Timestamp, Field(description="When status last changed.")]
    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the resource that this speaks of. Default 0.")
    ] = 0


class SessionCondition(Condition):
    type: Annotated[Literal["Ready"], Field(description="The one condition there is.")] = "Ready"
    reason: Annotated[SessionReason, Field(description="Why, from a closed list.")]


class EnvironmentCondition(Condition):
    type: Annotated[
        Literal["Ready", "Isolated"],
        Field(description="Whether sandboxes can be made, or whether they have gVisor's wall."),
    ] = "Ready"
    reason: Annotated[EnvironmentReason, Field(description="Why, from a closed list.")]


class Held(Protocol):
    """What is remembered of a condition."""

    @property
    def status(self) -> str: ...
    @property
    def last_transition_time(self) -> datetime: ...


def transition_time(old: Held | None, status: str, now: datetime) -> datetime:
    """When `status` came to hold: `now` only if the condition did not already have it."""
    return old.last_transition_time if old is not None and old.status == status else now
