"""An API server in memory, behind the operator's one port to the outside: `KubeClient`'s calls.

It keeps what matters to correctness: UIDs, versions, conflicts, names that are taken, graceful deletion, the
protection of volumes, garbage collection by owner, and watches that tell in order but late.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

from codesession_crds.errors import ApiStatusError
from codesession_crds.model import rfc3339
from codesession_crds.paths import CODE_SESSIONS, PODS, VOLUME_CLAIMS, resource_of
from codesession_crds.watch import Listing, WatchEvent
from codesession_operator.audit import SELECTORS

Object = dict[str, Any]
Address = tuple[str, str]

_BY_PLURAL = {resource.plural: resource for resource in SELECTORS}
NAMESPACE = "ns"


class ApiModel:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.objects: dict[Address, Object] = {}
        self.untold: list[tuple[str, Object]] = []
        """Watch events (type, object) that nobody heard yet."""
        self.writes: Counter[tuple[str, str]] = Counter()
        self.pods_allowed = 10_000
        self.counts_sessions = True
        """Whether the quota controller has learned of the definitions."""
        self.nodes_answer = True
        self._count = itertools.count(1)

    # --- as KubeClient

    async def create(self, path: str, obj: Object, *, field_manager: str, idempotent: bool = False) -> Object:
        plural, _ = _address(path)
        name = obj["metadata"]["name"]
        self.writes["create", plural] += 1
        if (plural, name) in self.objects:
            raise ApiStatusError(409, "AlreadyExists", f"{plural} {name} already exists")
        if plural == "pods" and len(self.of("pods")) >= self.pods_allowed:
            raise ApiStatusError(403, "Forbidden", "exceeded quota: codesession, requested: count/pods=1")
        return self.put(obj)

    async def apply(self, obj: Object, *, field_manager: str) -> Object:
        plural, name = resource_of(obj).plural, obj["metadata"]["name"]
        self.writes["apply", plural] += 1
        old = self.objects.get((plural, name), {})
        if plural == "resourcequotas" and old.get("spec") != obj["spec"]:
            counted = [key for key in obj["spec"]["hard"] if self.counts_sessions or "codesession" not in key]
            obj = {**obj, "status": {"used": dict.fromkeys(counted, "0")}}
        return self.put({**old, **obj})

    async def merge_patch(
        self, path: str, patch: Object, *, resource_version: str | None = None, idempotent: bool = False
    ) -> Object:
        plural, name = _address(path)
        self.writes["patch", path.rsplit("/", 1)[-1] if path.endswith("/status") else plural] += 1
        obj = self._existing(plural, name)
        self._check(obj, patch.get("metadata", {}).get("uid"), resource_version)
        return self.put({**obj, **{key: value for key, value in patch.items() if key != "metadata"}})

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> Object:
        plural, name = _address(path)
        self.writes["delete", plural] += 1
        obj = self._existing(plural, name)
        self._check(obj, uid, resource_version)
        if plural == "pods" and grace_seconds == 0:
            self._forget(plural, name)
            return copy.deepcopy(obj)
        return self.remove(plural, name) or {"kind": "Status", "status": "Success"}

    async def get(self, path: str) -> Object:
        return copy.deepcopy(self._existing(*_address(path)))

    async def pages(self, path: str, **_: Any) -> AsyncIterator[tuple[list[Object], str]]:
        plural, _name = _address(path)
        yield copy.deepcopy(self.of(plural)), "1"

    async def watch(
        self, path: str, *, listing: Listing, query: Object, inactivity: float
    ) -> AsyncIterator[WatchEvent]:
        """The list, what is untold, and the list again after a gap; then it ends."""
        plural, _name = _address(path)
        for _ in range(2):
            await listing()
            yield WatchEvent("LISTED", {})
            for kind, resource, obj in self.told():
                if resource.plural == plural:
                    yield WatchEvent(kind, obj)

    # --- as the cluster

    def put(self, obj: Object) -> Object:
        """Store a new state; a new object gets its identity, a new spec its generation."""
        resource, name = resource_of(obj), obj["metadata"]["name"]
        old = self.objects.get((resource.plural, name))
        number = next(self._count)
        if old is None:
            born = {"uid": f"uid-{number}", "generation": 1, "creationTimestamp": rfc3339(self.now)}
            metadata = obj["metadata"] | born
        else:
            changed = old.get("spec") != obj.get("spec")
            kept = {key: old["metadata"][key] for key in ("uid", "creationTimestamp")}
            metadata = obj["metadata"] | kept | {"generation": old["metadata"]["generation"] + changed}
        new = {
            **copy.deepcopy(obj),
            "metadata": metadata | {"resourceVersion": str(number), "namespace": NAMESPACE},
        }
        self.objects[resource.plural, name] = new
        self.untold.append(("ADDED" if old is None else "MODIFIED", new))
        return copy.deepcopy(new)

    def remove(self, plural: str, name: str) -> Object | None:
        """Delete; what must stop first stays, marked."""
        obj = self.objects[plural, name]
        if plural == "pods" or (plural == "persistentvolumeclaims" and ("pods", name) in self.objects):
            if "deletionTimestamp" in obj["metadata"]:
                return copy.deepcopy(obj)
            return self.put({**obj, "metadata": obj["metadata"] | {"deletionTimestamp": rfc3339(self.now)}})
        self._forget(plural, name)
        return None

    def _forget(self, plural: str, name: str) -> None:
        obj = self.objects.pop((plural, name))
        last = {**obj, "metadata": obj["metadata"] | {"resourceVersion": str(next(self._count))}}
        self.untold.append(("DELETED", last))

    def of(self, plural: str) -> list[Object]:
        return [obj for (kind, _), obj in self.objects.items() if kind == plural]

    def kubelet_stops(self) -> None:
        """Pods that are being deleted are gone, and then their volumes."""
        for plural in ("pods",) * self.nodes_answer + ("persistentvolumeclaims",):
            for obj in self.of(plural):
                name = obj["metadata"]["name"]
                in_use = plural == "persistentvolumeclaims" and ("pods", name) in self.objects
                if "deletionTimestamp" in obj["metadata"] and not in_use:
                    self._forget(plural, name)

    def kubelet_starts(self) -> None:
        """Pods start that have their volume, on a node that answers."""
        for pod in self.of("pods"):
            mounted = ("persistentvolumeclaims", pod["metadata"]["name"]) in self.objects
            if mounted and pod.get("status", {}).get("phase", "Pending") == "Pending":
                ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
                self.put({**pod, "status": ready})

    def pods_fail(self) -> None:
        for pod in self.of("pods"):
            ended = {"reason": "Error", "exitCode": 1, "finishedAt": rfc3339(self.now)}
            states = [{"state": {"terminated": ended}}]
            self.put({**pod, "status": {"phase": "Failed", "containerStatuses": states}})

    def collect_garbage(self) -> None:
        owners = {obj["metadata"]["uid"] for obj in self.objects.values()}
        for (plural, name), obj in list(self.objects.items()):
            wanted = {owner["uid"] for owner in obj["metadata"].get("ownerReferences", [])}
            if wanted and not wanted & owners and (plural, name) in self.objects:
                self.remove(plural, name)

    def orphan(self, name: str) -> None:
        """Somebody deletes a session without its children."""
        for plural in ("pods", "persistentvolumeclaims"):
            if child := self.objects.get((plural, name)):
                self.put({**child, "metadata": child["metadata"] | {"ownerReferences": []}})
        self.remove("codesessions", name)

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def sessions(self) -> list[Object]:
        return self.of(CODE_SESSIONS.plural)

    def pods(self) -> list[Object]:
        return self.of(PODS.plural)

    def volumes(self) -> list[Object]:
        return self.of(VOLUME_CLAIMS.plural)

    def told(self, count: int | None = None) -> Iterator[tuple[str, Any, Object]]:
        """The next watch events, all by default: type, resource, object."""
        count = len(self.untold) if count is None else min(count, len(self.untold))
        for _ in range(count):
            kind, obj = self.untold.pop(0)
            resource = resource_of(obj)
            if resource in SELECTORS:
                yield kind, resource, copy.deepcopy(obj)

    def _existing(self, plural: str, name: str) -> Object:
        if (plural, name) not in self.objects:
            raise ApiStatusError(404, "NotFound", f"{plural} {name} not found")
        return self.objects[plural, name]

    def _check(self, obj: Object, uid: str | None, version: str | None) -> None:
        metadata = obj["metadata"]
        if uid not in (None, metadata["uid"]) or version not in (None, metadata["resourceVersion"]):
            raise ApiStatusError(409, "Conflict", "the object has been modified")


def _address(path: str) -> Address:
    parts = path.partition("/namespaces/")[2].split("/")
    return parts[1], parts[2] if len(parts) > 2 else ""
