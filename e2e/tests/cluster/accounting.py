"""What belongs to whom among the objects of the sandboxes' namespace."""

from __future__ import annotations

from e2e.targets import kubectl
from e2e.targets.release import SANDBOXES

KINDS = ("pods", "persistentvolumeclaims")
_MANAGED = "app.kubernetes.io/managed-by=codesession"


def children(session: str) -> dict[str, list[str]]:
    """Names by kind."""
    selector = f"codesession.dev/session={session}"
    return {
        kind: [item["metadata"]["name"] for item in kubectl.items(kind, SANDBOXES, selector)]
        for kind in KINDS
    }


def nothing_left_of(session: str) -> bool:
    gone = kubectl.get("codesessions", session, SANDBOXES) is None
    return gone and not any(children(session).values())


def all_accounted_for() -> bool:
    """Every pod and volume is that of one live session, and every session is ready with one of each."""
    sessions = {item["metadata"]["uid"]: item for item in kubectl.items("codesessions", SANDBOXES)}
    for kind in KINDS:
        objects = kubectl.items(kind, SANDBOXES, _MANAGED)
        owners = [item["metadata"]["ownerReferences"][0]["uid"] for item in objects]
        if sorted(owners) != sorted(sessions):
            return False
    return all(item.get("status", {}).get("phase") == "Ready" for item in sessions.values())
