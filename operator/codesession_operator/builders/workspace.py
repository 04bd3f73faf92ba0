"""The volume claim of a session's files."""

from __future__ import annotations

from codesession_crds import labels
from codesession_crds.environment import CodeEnvironment, WorkspaceType
from codesession_operator.builders.common import Object, owner
from codesession_operator.views import SessionView


def volume_claim(session: SessionView, environment: CodeEnvironment) -> Object | None:
    """None where the workspace is no volume of its own."""
    workspace = environment.spec.workspace
    if workspace.type is not WorkspaceType.CLAIM:
        return None
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": workspace.size}},
    }
    if workspace.storage_class_name is not None:
        spec["storageClassName"] = workspace.storage_class_name
    name = session.name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": session.namespace,
            "labels": labels.of_sandbox(name, environment.metadata.name),
            "ownerReferences": [owner(session)],
        },
        "spec": spec,
    }
