"""The release that is soaked, beside whatever else is on the cluster."""

from __future__ import annotations

from e2e.targets import kubectl
from e2e.targets.kubectl import Json
from e2e.targets.release import Release

RELEASE = Release(
    "codesession-soak",
    "codesession-soak-sandboxes",
    {
        "api": {"replicas": 2, "service": {"type": "NodePort"}},
        # What nobody knows of any more is to end while somebody looks.
        "environments": {
            "default": {
                "warmPool": {"replicas": 2},
                "session": {"idleSeconds": 90, "oneShotIdleSeconds": 5},
                "limits": {"runSeconds": 30},
            }
        },
        "minio": {"storage": {"size": "2Gi"}},
    },
    2,
)


def pods(component: str) -> list[Json]:
    """Those that run: of the release's parts, or its sandboxes."""
    if component == "sandbox":
        return kubectl.running(RELEASE.sandboxes, "codesession.dev/component=sandbox")
    return kubectl.running(RELEASE.name, f"app.kubernetes.io/component={component}")


def oldest(component: str) -> Json:
    return min(pods(component), key=lambda pod: str(pod["status"]["startTime"]))
