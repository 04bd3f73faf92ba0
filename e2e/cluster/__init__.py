"""A Kubernetes cluster with gVisor for tests: `kind` where a Docker engine answers, bare processes otherwise.

    python3 -m e2e.cluster up | down | status | kubeconfig | node | load ARCHIVE... | build

Standard library only: it runs before anything of the project is installed.
"""

from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Cluster
from e2e.cluster.provider import down, up

__all__ = ["Cluster", "ClusterError", "down", "up"]
