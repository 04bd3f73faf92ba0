"""What processes of the release use, by their own metrics."""

from __future__ import annotations

import re
import urllib.request

from e2e.soak.place import RELEASE, pods
from e2e.soak.report import Sample
from e2e.targets import TargetError, kubectl
from e2e.targets.kubectl import Json

_PORTS = {"api": 9090, "operator": 8080}


def all_samples(seconds: float) -> list[Sample]:
    """Of those that answer just now."""
    found = []
    for component in _PORTS:
        try:
            found += [sample(component, pod, seconds) for pod in pods(component)]
        except (TargetError, OSError, ValueError):
            continue
    return found


def sample(component: str, pod: Json, seconds: float) -> Sample:
    """Raises TargetError, OSError or ValueError when it cannot be had."""
    name = pod["metadata"]["name"]
    with kubectl.forwarded(f"pod/{name}", RELEASE.name, _PORTS[component]) as address:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    return Sample(
        seconds,
        f"{component} {name.rpartition('-')[2]}",
        memory_mb=_value(text, "process_resident_memory_bytes") / 1e6,
        descriptors=int(_value(text, "process_open_fds")),
        streams=int(_value(text, "codesession_api_streams_held")) if component == "api" else 0,
    )


def _value(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name}")
    return float(found[1])
