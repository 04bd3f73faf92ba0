"""CodeSession: one sandbox, and whose it is."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from codesession_crds.conditions import SessionCondition
from codesession_crds.model import API_VERSION, DNS_LABEL, Model, Resource, Timestamp, cel
from codesession_crds.names import ID_PATTERN

_HASH = r"^[0-9a-f]{32}$"


class OperatingMode(enum.StrEnum):
    RUNNING = "Running"
    SUSPENDED = "Suspended"


class Phase(enum.StrEnum):
    PENDING = "Pending"
    READY = "Ready"
    SUSPENDED = "Suspended"
    FAILED = "Failed"


class EnvironmentRef(Model):
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=DNS_LABEL,
            description="Name of the CodeEnvironment, in the same namespace.",
        ),
    ]


class Claim(Model):
    """Whose session it is, as hashes; never a name or a key."""

    tenant: Annotated[
        str,
        Field(
            min_length=32,
            max_length=32,
            pattern=_HASH,
            description="Hash of the tenant, 32 hexadecimal digits.",
        ),
    ]
    principal: Annotated[
        str,
        Field(
            min_length=32,
            max_length=32,
            pattern=_HASH,
            description="Hash of the user within the tenant, 32 hexadecimal digits.",
        ),
    ]
    claimed_at: Annotated[Timestamp, Field(description="When it was claimed.")]


class SessionSpec(Model):
    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(oldSelf.claim) || (has(self.claim) && self.claim == oldSelf.claim)",
                "claim is immutable once set",
            ),
            ("!has(self.claim) || has(self.shutdownTime)", "a claimed session needs a shutdownTime"),
            (
                "!has(self.claim) || !has(self.shutdownTime) ||"
                " (self.shutdownTime - self.claim.claimedAt).getSeconds() <= self.maxLifetimeSeconds",
                "shutdownTime is later than claimedAt + maxLifetimeSeconds",
            ),
            ("self.operatingMode == 'Running' || has(self.claim)", "only a claimed session can be suspended"),
        )
    )

    environment_ref: Annotated[
        EnvironmentRef,
        Field(
            description="What kind of sandbox it is. Immutable.",
            json_schema_extra=cel(("self == oldSelf", "environmentRef is immutable")),
        ),
    ]
    claim: Annotated[
        Claim | None,
        Field(
            description="Whose it is. Unset: warm, waiting for an owner. Immutable once set. Default unset."
        ),
    ] = None
    operating_mode: Annotated[
        OperatingMode,
        Field(description="Suspended stops the pod and keeps the workspace. Default Running."),
    ] = OperatingMode.RUNNING
    shutdown_time: Annotated[
        Timestamp | None,
        Field(
            description="When the session is deleted, with its pod and workspace. Required once claimed, "
            "and at most claimedAt + maxLifetimeSeconds. Default unset."
        ),
    ] = None
    max_lifetime_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=2_592_000,
            description="Seconds from claim to the latest possible shutdownTime; copied from the "
            "environment's session.absoluteSeconds by whoever creates the session. Immutable. Default 86400.",
            json_schema_extra=cel(("self == oldSelf", "maxLifetimeSeconds is immutable")),
        ),
    ] = 86_400


class SessionStatus(Model):
    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the resource that this speaks of. Default 0.")
    ] = 0
    phase: Annotated[
        Phase, Field(description="In one word; the Ready condition says why. Default Pending.")
    ] = Phase.PENDING
    pod_name: Annotated[str | None, Field(max_length=63, description="The pod, while there is one.")] = None
    pod_uid: Annotated[
        str | None,
        Field(
            alias="podUID",
            max_length=63,
            description="Its UID: another one means that all processes are new.",
        ),
    ] = None
    pvc_name: Annotated[
        str | None, Field(max_length=63, description="The workspace's volume claim, if it has one.")
    ] = None
    restart_count: Annotated[
        int, Field(ge=0, description="How many pods of this session were lost or failed. Default 0.")
    ] = 0
    conditions: Annotated[
        list[SessionCondition],
        Field(
            max_length=4,
            description="Ready, and why or why not. Default none.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default_factory=list)


class CodeSession(Resource):
    """One sandbox and its owner. Its name is the HTTP API's session id, and that of pod and volume claim."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"self.metadata.name.matches('{ID_PATTERN}')",
                "the name is a session id: 21 characters [a-z0-9], the first a letter",
            )
        )
    )

    api_version: Literal["codesession.dev/v1alpha1"] = API_VERSION
    kind: Literal["CodeSession"] = "CodeSession"
    spec: SessionSpec
    status: SessionStatus = Field(default_factory=SessionStatus)

    @property
    def ready(self) -> SessionCondition | None:
        return next(iter(self.status.conditions), None)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.spec.shutdown_time is not None and now >= self.spec.shutdown_time
