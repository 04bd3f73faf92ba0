"""Objects as the API server gives them, for all tests here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from codesession_crds import labels
from codesession_crds.environment import CodeEnvironment
from codesession_crds.session import CodeSession
from codesession_operator.views import SessionView, session_view

Object = dict[str, Any]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME = "s" * 21


class Making:
    """Makes objects with fitting names, UIDs and versions."""

    now = NOON
    name = NAME
    uid = "session-uid"

    def environment(self, *, generation: int = 1, name: str = "default", **spec: Any) -> CodeEnvironment:
        metadata = {
            "name": name,
            "namespace": "ns",
            "uid": f"{name}-uid",
            "generation": generation,
            "resourceVersion": str(generation),
            "creationTimestamp": "2026-11-21T11:00:00Z",
        }
        return CodeEnvironment.model_validate({"metadata": metadata, "spec": {"image": "i:1", **spec}})

    def session(
        self,
        *,
        claimed: bool = True,
        status: Object | None = None,
        metadata: Object | None = None,
        **spec: Any,
    ) -> SessionView:
        own: Object = {"environmentRef": {"name": "default"}}
        if claimed:
            own["claim"] = {
                "tenant": "a" * 32,
                "principal": "b" * 32,
                "claimedAt": "2026-11-21T12:00:00Z",
            }
            own["shutdownTime"] = "2026-11-21T13:00:00Z"
        made = {
            "name": NAME,
            "namespace": "ns",
            "uid": self.uid,
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": "2026-11-21T11:59:00Z",
        }
        obj: Object = {"metadata": made | (metadata or {}), "spec": own | spec}
        if status is not None:
            obj["status"] = status
        return session_view(CodeSession.model_validate(obj))

    def pod(self, *, uid: str = "pod-uid", owner: str | None = None, **status: Any) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": NAME,
                "uid": uid,
                "resourceVersion": "20",
                "creationTimestamp": "2026-11-21T12:00:00Z",
                "labels": labels.of_sandbox(NAME, "default"),
                "ownerReferences": [{"uid": owner or self.uid, "controller": True}],
            },
            "status": {"phase": "Pending", **status},
        }


@pytest.fixture
def make() -> Making:
    return Making()
