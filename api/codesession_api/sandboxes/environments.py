"""What the API needs to know of a CodeEnvironment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from codesession_api.sandboxes.session import Limits
from codesession_crds.environment import CodeEnvironment, EnvironmentSpec, Lifetimes
from codesession_crds.environment import Limits as LimitsSpec


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """With the defaults of its kind, for one that was deleted under its sessions."""

    name: str
    isolation: str = "gvisor"
    """`gvisor`, or in words that it is not."""
    idle: timedelta = timedelta(seconds=Lifetimes().idle_seconds)
    one_shot_idle: timedelta = timedelta(seconds=Lifetimes().one_shot_idle_seconds)
    max_lifetime: timedelta = timedelta(seconds=Lifetimes().absolute_seconds)
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    fault: str | None = None
    """Why the operator says that it is not ready."""

    def idle_of_one_shot(self, run_seconds: float) -> timedelta:
        """How long a session of one run lives from its claim on, if it is not sought again."""
        return min(self.idle, self.one_shot_idle + timedelta(seconds=run_seconds))

    def limits_within(self, most: Limits) -> Limits:
        """Its limits, each at most the API's own."""
        return Limits(
            run_seconds=min(self.limits.run_seconds, most.run_seconds),
            output_bytes=min(self.limits.output_bytes, most.output_bytes),
            file_bytes=min(self.limits.file_bytes, most.file_bytes),
            files=min(self.limits.files, most.files),
        )


def parse_environment(manifest: Mapping[str, Any]) -> EnvironmentView:
    environment = CodeEnvironment.model_validate(manifest)
    spec, ready = environment.spec, environment.ready
    return EnvironmentView(
        name=manifest["metadata"]["name"],
        isolation=_isolation(spec),
        idle=timedelta(seconds=spec.session.idle_seconds),
        one_shot_idle=timedelta(seconds=spec.session.one_shot_idle_seconds),
        max_lifetime=timedelta(seconds=spec.session.absolute_seconds),
        limits=spec.limits,
        fault=f"{ready.reason}: {ready.message}" if ready and ready.status == "False" else None,
    )


def _isolation(spec: EnvironmentSpec) -> str:
    if spec.has_gvisor:
        return "gvisor"
    return f"insecure ({spec.runtime_class_name or 'the runtime of the nodes'})"
