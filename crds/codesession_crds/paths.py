"""Where the API server keeps the kinds of objects that are used here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesession_crds.model import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """A namespaced kind. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str | None = None, subresource: str | None = None) -> str:
        """The collection, or one object of it, or that object's subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, "namespaces", namespace, self.plural, name, subresource]
        return "/".join(part for part in parts if part is not None)


CODE_SESSIONS = Resource(GROUP, VERSION, "codesessions", "CodeSession")
CODE_ENVIRONMENTS = Resource(GROUP, VERSION, "codeenvironments", "CodeEnvironment")
PODS = Resource("", "v1", "pods", "Pod")
VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS = Resource("", "v1", "events", "Event")
RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", "LimitRange")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")

_BY_KIND = {
    (resource.api_version, resource.kind): resource
    for resource in (
        CODE_SESSIONS,
        CODE_ENVIRONMENTS,
        PODS,
        VOLUME_CLAIMS,
        EVENTS,
        RESOURCE_QUOTAS,
        LIMIT_RANGES,
        NETWORK_POLICIES,
    )
}


def resource_of(obj: dict[str, Any]) -> Resource:
    """The resource that a manifest belongs to. Raises KeyError for a kind not listed here."""
    return _BY_KIND[obj["apiVersion"], obj["kind"]]
