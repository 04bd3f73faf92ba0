"""What bounds the namespace as a whole: ResourceQuota and LimitRange.

Both constrain every pod in the namespace, so there is one of each, wide enough for the widest environment and
owned by all of them: it goes when the last one goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codesession_crds import labels, quantity
from codesession_crds.environment import CodeEnvironment, WorkspaceType
from codesession_operator.builders.common import Object, owner

NAME = "codesession"


def namespace_limits(environments: Sequence[CodeEnvironment], quota: Mapping[str, str]) -> list[Object]:
    """Nothing without environments: there is nothing to bound, and nobody to own it."""
    if not environments:
        return []
    return [*([_quota(environments, quota)] if quota else []), _limit_range(environments)]


def _quota(environments: Sequence[CodeEnvironment], quota: Mapping[str, str]) -> Object:
    return _object(environments, "ResourceQuota", {"hard": dict(sorted(quota.items()))})


def _limit_range(environments: Sequence[CodeEnvironment]) -> Object:
    widest = {
        name: max((e.spec.resources.limits[name] for e in environments), key=quantity.parse)
        for name in ("cpu", "memory")
    }
    # A container that forgets its limits gets these; none can have more.
    limits: list[Object] = [{"type": "Container", "max": widest, "default": widest}]
    volumes = [e.spec.workspace.size for e in environments if e.spec.workspace.type is WorkspaceType.CLAIM]
    # Shared assets are a claim in this namespace too, of any size.
    if volumes and not any(e.spec.shared_assets for e in environments):
        limits.append({"type": "PersistentVolumeClaim", "max": {"storage": max(volumes, key=quantity.parse)}})
    return _object(environments, "LimitRange", {"limits": limits})


def _object(environments: Sequence[CodeEnvironment], kind: str, spec: Object) -> Object:
    ordered = sorted(environments, key=lambda environment: environment.metadata.name)
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": NAME,
            "namespace": ordered[0].metadata.namespace,
            "labels": labels.of_policy(),
            "ownerReferences": [owner(environment, controller=False) for environment in ordered],
        },
        "spec": spec,
    }
