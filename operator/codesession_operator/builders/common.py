"""What all children share."""

from __future__ import annotations

from typing import Any

from codesession_crds.environment import CodeEnvironment
from codesession_crds.model import API_VERSION
from codesession_operator.views import SessionView

Object = dict[str, Any]


def owner(resource: SessionView | CodeEnvironment, *, controller: bool = True) -> Object:
    """The reference by which a child dies with its owner. It blocks nobody's deletion: that would need rights
    on finalizers."""
    return {
        "apiVersion": API_VERSION,
        "kind": resource.kind,
        "name": resource.name,
        "uid": resource.uid,
        "controller": controller,
        "blockOwnerDeletion": False,
    }
