"""The resource definitions of this checkout, on the cluster of KUBECONFIG."""

from __future__ import annotations

from pathlib import Path

from e2e.targets import kubectl

DIRECTORY = Path(__file__).parents[2] / "charts/codesession/crds"


def install() -> None:
    """Until the API server serves them; nothing happens to those that are there as they should be."""
    kubectl.out("apply", "--server-side", "--force-conflicts", "-f", str(DIRECTORY))
    kubectl.out("wait", "--for=condition=Established", "--timeout=60s", "-f", str(DIRECTORY))
