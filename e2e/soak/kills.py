"""What is killed, and how."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable

from e2e.soak.place import RELEASE, pods
from e2e.targets import TargetError, kubectl, node
from e2e.targets.kubectl import Json

_APISERVER_PAUSE = 120.0
"""Seconds. All stands still for ten or more when it is gone, and nothing else is tried then."""


class Killer:
    """`spared` is the replica that nothing is done to, by name: its memory is watched from first to last."""

    def __init__(self, dice: random.Random, spared: str) -> None:
        self._dice = dice
        self._spared = spared
        self._apiserver_since = time.monotonic()
        self.operator_is_spared = False
        kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "sandbox, by force": (5, self._sandbox),
            "sandbox, in peace": (3, self._sandbox_in_peace),
            "replica": (3, self._replica),
            "operator": (2, self._operator),
            "store": (2, self._store),
        }
        if node.is_within_reach():
            kinds |= {
                "processes of a sandbox": (4, self._processes),
                "every stream": (3, self._streams),
                "API server": (1, self._apiserver),
            }
        self._kinds = kinds

    def kill(self) -> str | None:
        """What was killed; None when there was nothing of that kind."""
        (kind,) = self._dice.choices(list(self._kinds), [weight for weight, _ in self._kinds.values()])
        try:
            return kind if self._kinds[kind][1]() else None
        except TargetError:
            # It was gone by itself, or nobody answers just now.
            return None

    def _one_sandbox(self) -> Json | None:
        found = pods("sandbox")
        return self._dice.choice(found) if found else None

    def _sandbox(self) -> bool:
        return _killed(self._one_sandbox())

    def _sandbox_in_peace(self) -> bool:
        if pod := self._one_sandbox():
            kubectl.out("delete", "pod", pod["metadata"]["name"], "-n", RELEASE.sandboxes, "--wait=false")
        return pod is not None

    def _processes(self) -> bool:
        """As the kernel does when there is no memory left."""
        pod = self._one_sandbox()
        return pod is not None and node.kill_processes(pod)

    def _replica(self) -> bool:
        others = [pod for pod in pods("api") if pod["metadata"]["name"] != self._spared]
        return _killed(self._dice.choice(others) if others else None)

    def _operator(self) -> bool:
        found = [] if self.operator_is_spared else pods("operator")
        return _killed(found[0] if found else None)

    def _store(self) -> bool:
        found = pods("minio")
        return _killed(found[0] if found else None)

    def _streams(self) -> bool:
        """They go through the kubelet."""
        node.restart_kubelet()
        return True

    def _apiserver(self) -> bool:
        if time.monotonic() - self._apiserver_since < _APISERVER_PAUSE:
            return False
        node.restart_apiserver()
        self._apiserver_since = time.monotonic()
        return True


def _killed(pod: Json | None) -> bool:
    with contextlib.suppress(TargetError):
        if pod is not None:
            kubectl.kill(pod)
            return True
    return False
