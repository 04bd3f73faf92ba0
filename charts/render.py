"""Writes `manifests/`, what the chart renders with its default values: `python -m charts.render [--check]`.

A rendering generates no secrets, as they would differ every time: it names Secrets that the reader creates.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from charts.crds import CHART, ROOT, stale, write
from e2e.cluster.cache import binary

MANIFESTS = ROOT / "manifests"
RELEASE = "codesession"
NAMESPACE = "codesession-system"
HEADER = "# Rendered from charts/codesession by `make manifests`; do not edit.\n"
SECRETS = {
    "auth.existingSecret": "codesession-api-keys",
    "continuation.existingSecret": "codesession-continuation",
    "minio.existingSecret": "codesession-minio",
}
OLDEST_KUBERNETES = "1.30.0"


def helm(*arguments: str) -> str:
    """Helm's stdout. Raises CalledProcessError, with stderr in it, when it fails."""
    return subprocess.run([binary("helm"), *arguments], check=True, capture_output=True, text=True).stdout


def template(*options: str) -> str:
    """The chart as helm renders it for no cluster in particular."""
    place = [RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", OLDEST_KUBERNETES]
    return helm("template", *place, *options)


def wanted() -> dict[Path, str]:
    """What the files should hold: namespaces and definitions are applied before the rest."""
    rendered = template(*(part for name, value in SECRETS.items() for part in ("--set", f"{name}={value}")))
    definitions = "---\n".join(path.read_text() for path in sorted((ROOT / "crds").glob("*.yaml")))
    return {
        MANIFESTS / "1-definitions.yaml": f"{HEADER}{_release_namespace()}---\n{definitions}",
        MANIFESTS / "2-codesession.yaml": HEADER + rendered,
    }


def _release_namespace() -> str:
    """Which helm makes itself (`--create-namespace`), and kubectl does not."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    return yaml.safe_dump(namespace, sort_keys=False)


def main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        write(wanted())
        return 0
    for name in (names := stale(wanted())):
        sys.stderr.write(f"{name} is stale; run `make manifests`\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
