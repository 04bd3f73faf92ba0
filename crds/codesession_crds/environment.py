"""CodeEnvironment: what a sandbox is made of, what it may use, and how many wait ready."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from codesession_crds.conditions import EnvironmentCondition
from codesession_crds.model import API_VERSION, DNS_LABEL, Model, Resource, cel
from codesession_crds.quantity import Quantity

_POSITIVE = cel(("quantity(string(self)).isGreaterThan(quantity('0'))", "must be more than zero"))
_MAP = {"maxProperties": 16}

GVISOR_NAMES = ("gvisor", "runsc")
"""What a RuntimeClass of gVisor has in its name."""

ResourceList = Annotated[dict[str, Quantity], Field(json_schema_extra=_MAP)]
NodeSelector = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(json_schema_extra=_MAP)]


class PullPolicy(enum.StrEnum):
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class WorkspaceType(enum.StrEnum):
    CLAIM = "PersistentVolumeClaim"
    EMPTY_DIR = "EmptyDir"
    MEMORY = "Memory"


class NetworkMode(enum.StrEnum):
    DENY = "Deny"
    ALLOW = "Allow"


class Resources(Model):
    requests: Annotated[
        ResourceList, Field(description="What the scheduler reserves. Default cpu 50m, memory 128Mi.")
    ] = Field(default={"cpu": "50m", "memory": "128Mi"})
    limits: Annotated[
        ResourceList,
        Field(
            description="What a sandbox cannot exceed; needs cpu and memory. Default cpu 1, memory 1Gi.",
            json_schema_extra=_MAP
            | cel(
                (
                    "'cpu' in self && 'memory' in self",
                    "limits need both cpu and memory: a sandbox without fails closed",
                )
            ),
        ),
    ] = Field(default={"cpu": "1", "memory": "1Gi"})


class Workspace(Model):
    type: Annotated[
        WorkspaceType,
        Field(
            description="Where /mnt/data lives: a volume of its own, the node's disk, or memory (counted in "
            "the memory limit). Default PersistentVolumeClaim."
        ),
    ] = WorkspaceType.CLAIM
    size: Annotated[
        Quantity,
        Field(description="Bytes it may hold, as a quantity. Default 1Gi.", json_schema_extra=_POSITIVE),
    ] = "1Gi"
    storage_class_name: Annotated[
        str | None,
        Field(max_length=253, description="Class of the volume. Default: the cluster's default class."),
    ] = None


class EgressRule(Model):
    cidr: Annotated[
        str,
        Field(
            min_length=1,
            max_length=43,
            description="Addresses that may be reached, such as 203.0.113.0/24. Metadata, link-local and the "
            "cluster's own addresses stay refused within it.",
            json_schema_extra=cel(("isCIDR(self)", "must be a CIDR such as 203.0.113.0/24")),
        ),
    ]
    ports: Annotated[
        list[Annotated[int, Field(ge=1, le=65535)]],
        Field(min_length=1, max_length=32, description="Ports that may be reached there."),
    ]
    protocol: Annotated[Literal["TCP", "UDP"], Field(description="Default TCP.")] = "TCP"


class Network(Model):
    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.mode == 'Allow' || !has(self.egress) || self.egress.size() == 0",
                "egress needs mode Allow",
            )
        )
    )

    mode: Annotated[
        NetworkMode,
        Field(
            description="Deny: no traffic in or out. Allow: out to `egress` and nowhere else; nothing comes "
            "in. Names are resolved by those single addresses of `egress` that have UDP port 53. Default "
            "Deny."
        ),
    ] = NetworkMode.DENY
    egress: Annotated[
        list[EgressRule],
        Field(max_length=32, description="What may be reached in mode Allow. Default nothing."),
    ] = Field(default_factory=list)


class Limits(Model):
    """What one run may use; a run that meets a limit is told which."""

    run_seconds: Annotated[
        int, Field(ge=1, le=86_400, description="Seconds of wall time of a run. Default 120.")
    ] = 120
    output_bytes: Annotated[
        int,
        Field(
            ge=1024,
            le=67_108_864,
            description="Bytes of stdout and of stderr kept of a run. Default 1048576.",
        ),
    ] = 1_048_576
    file_bytes: Annotated[
        int,
        Field(
            ge=1, le=10_737_418_240, description="Bytes of the largest file of a session. Default 52428800."
        ),
    ] = 52_428_800
    files: Annotated[
        int, Field(ge=1, le=100_000, description="Changed files that a run may hand back. Default 1000.")
    ] = 1000
    processes: Annotated[
        int, Field(ge=1, le=32_768, description="Processes and threads at once in a sandbox. Default 128.")
    ] = 128
    memory_bytes: Annotated[
        int | None,
        Field(
            ge=16_777_216,
            description="Bytes of memory of a run: its processes, the interpreters kept ready and the files "
            "in memory together. Default three quarters of the memory limit: gVisor's kernel takes some too.",
        ),
    ] = None


class WarmPool(Model):
    replicas: Annotated[
        int, Field(ge=0, le=1000, description="Unclaimed sessions kept Ready. Default 2.")
    ] = 2
    max_refill_per_minute: Annotated[
        int, Field(ge=1, le=60_000, description="Sessions that the pool may create in a minute. Default 60.")
    ] = 60


class Lifetimes(Model):
    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.idleSeconds <= self.absoluteSeconds", "idleSeconds exceeds absoluteSeconds")
        )
    )

    idle_seconds: Annotated[
        int, Field(ge=60, le=2_592_000, description="Seconds without use until a session ends. Default 1800.")
    ] = 1800
    one_shot_idle_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=2_592_000,
            description="The same, counted from the longest run's end, for a session of a single execution: "
            "one that named no session, gave no hint and has made no file, so that only its id leads back. "
            "Never more than idleSeconds. Default 60.",
        ),
    ] = 60
    absolute_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=2_592_000,
            description="Seconds from claim until a session ends in any case. Default 86400.",
        ),
    ] = 86_400


class Toleration(Model):
    key: Annotated[str | None, Field(max_length=317, description="Taint key. Default every key.")] = None
    operator: Annotated[Literal["Exists", "Equal"], Field(description="Default Equal.")] = "Equal"
    value: Annotated[str | None, Field(max_length=63, description="Taint value. Default empty.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Default every effect."),
    ] = None
    toleration_seconds: Annotated[
        int | None, Field(ge=0, description="Seconds to stay after a NoExecute taint. Default for ever.")
    ] = None


class SharedAssets(Model):
    claim_name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            description="A volume claim of the sandboxes' namespace, mounted read-only at /mnt/shared in "
            "every sandbox; on several nodes one that many can read.",
        ),
    ]


class Gpu(Model):
    resource_name: Annotated[
        str,
        Field(
            max_length=253,
            # Never cpu or memory, whose limits it would replace.
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            description="The device plugin's resource. Default nvidia.com/gpu.",
        ),
    ] = "nvidia.com/gpu"
    count: Annotated[int, Field(ge=1, le=16, description="Devices per sandbox. Default 1.")] = 1
    node_selector: Annotated[
        NodeSelector, Field(description="Labels of nodes that have them. Default none.")
    ] = Field(default_factory=dict)


class EnvironmentSpec(Model):
    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"self.runtimeClassName.matches('{'|'.join(GVISOR_NAMES)}') || self.insecureRuntime",
                "a runtime other than gVisor needs insecureRuntime: true",
            )
        )
    )

    image: Annotated[
        str, Field(min_length=1, max_length=512, description="The sandbox image, with the runner in it.")
    ]
    image_pull_policy: Annotated[PullPolicy, Field(description="Default IfNotPresent.")] = (
        PullPolicy.IF_NOT_PRESENT
    )
    image_pull_secrets: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253)]],
        Field(
            max_length=8,
            description="Names of the Secrets of the sandboxes' namespace that the image is pulled with. "
            "Default none.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = Field(default_factory=list)
    runtime_class_name: Annotated[
        str,
        Field(
            max_length=63,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
            description="RuntimeClass of the pods; empty is the cluster's own runtime. One without gvisor or "
            "runsc in its name needs `insecureRuntime`. Default gvisor.",
        ),
    ] = "gvisor"
    insecure_runtime: Annotated[
        bool,
        Field(
            description="Says that users' code may run without gVisor's wall; the condition Isolated and "
            "the API's health answer then say so too. Default false."
        ),
    ] = False
    resources: Annotated[Resources, Field(description="Of one sandbox.")] = Resources()
    workspace: Annotated[Workspace, Field(description="The files of a session, at /mnt/data.")] = Workspace()
    network: Annotated[Network, Field(description="What a sandbox may reach. Default nothing.")] = Network()
    limits: Annotated[Limits, Field(description="What a run may use.")] = Limits()
    languages: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[a-z0-9+_-]+$")]],
        Field(
            min_length=1,
            max_length=32,
            description="What the image can run. Default py, bash.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = Field(default=["py", "bash"])
    warm_pool: Annotated[WarmPool, Field(description="Sandboxes that wait, started and imported.")] = (
        WarmPool()
    )
    session: Annotated[Lifetimes, Field(description="How long sessions last.")] = Lifetimes()
    node_selector: Annotated[NodeSelector, Field(description="Labels of nodes to run on. Default any.")] = (
        Field(default_factory=dict)
    )
    tolerations: Annotated[
        list[Toleration], Field(max_length=32, description="Taints to run in spite of. Default none.")
    ] = Field(default_factory=list)
    shared_assets: Annotated[
        SharedAssets | None,
        Field(description="Files that every sandbox can read at /mnt/shared. Default none."),
    ] = None
    gpu: Annotated[Gpu | None, Field(description="Devices of every sandbox. Default none.")] = None

    @property
    def has_gvisor(self) -> bool:
        """As far as its RuntimeClass's name says."""
        return any(name in self.runtime_class_name for name in GVISOR_NAMES)


class EnvironmentStatus(Model):
    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the resource that this speaks of. Default 0.")
    ] = 0
    warm: Annotated[int, Field(ge=0, description="Unclaimed sessions that are Ready. Default 0.")] = 0
    claimed: Annotated[int, Field(ge=0, description="Claimed sessions. Default 0.")] = 0
    conditions: Annotated[
        list[EnvironmentCondition],
        Field(
            max_length=4,
            description="Ready once everything that guards sandboxes is in place; Isolated while they run "
            "under gVisor. Default none.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default_factory=list)


_NAME: Any = cel(
    (
        f"self.metadata.name.size() <= 50 && self.metadata.name.matches('{DNS_LABEL}')",
        "the name is a DNS label of at most 50 characters",
    )
)


class CodeEnvironment(Resource):
    """What a sandbox is, and how many wait ready."""

    model_config = ConfigDict(json_schema_extra=_NAME)

    api_version: Literal["codesession.dev/v1alpha1"] = API_VERSION
    kind: Literal["CodeEnvironment"] = "CodeEnvironment"
    spec: EnvironmentSpec
    status: EnvironmentStatus = Field(default_factory=EnvironmentStatus)

    @property
    def ready(self) -> EnvironmentCondition | None:
        return self.condition("Ready")

    def condition(self, kind: str) -> EnvironmentCondition | None:
        return next((one for one in self.status.conditions if one.type == kind), None)
