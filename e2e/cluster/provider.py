"""Which of the two ways this machine has to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from e2e.cluster import bare, kind
from e2e.cluster.instance import Cluster


class Provider(Protocol):
    def up(self) -> Cluster:
        """Find the cluster running or make it so. Raises ClusterError."""
        ...

    def down(self) -> None:
        """Take it down, however much of it there is."""
        ...

    def recorded(self) -> Cluster | None:
        """What `up` last answered, unless `down` came since; it may have died."""
        ...

    def complaint(self) -> str | None:
        """What is wrong with the cluster in a few words, None when it runs."""
        ...

    def load(self, archive: Path) -> None:
        """Import an image archive (OCI or Docker); nothing happens if it was imported before."""
        ...


def choose() -> Provider:
    return kind if kind.available() else bare


def up() -> Cluster:
    return choose().up()


def down() -> None:
    choose().down()
