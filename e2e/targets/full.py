"""The image with every language, as a release of its own: an API serves one environment."""

from __future__ import annotations

from codesession_runner.languages import NAMES
from e2e.targets.release import Release

IMAGE = "localhost/codesession-sandbox-full:dev"
WARM = 1

FULL = Release(
    "codesession-e2e-full",
    "codesession-e2e-full-sandboxes",
    {
        "api": {"replicas": 1, "service": {"type": "NodePort"}},
        "environments": {
            "default": {
                "image": IMAGE,
                "languages": list(NAMES),
                "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
                "warmPool": {"replicas": WARM},
            }
        },
        "minio": {"storage": {"size": "1Gi"}},
    },
    WARM,
    images=("sandbox-full",),
)
