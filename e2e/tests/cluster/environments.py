"""The environment that tests may change, and the tenant whose sandboxes it makes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx

from e2e.targets import Target, kubectl, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually

NAME = release.OTHER_ENVIRONMENT


@contextlib.contextmanager
def changed(target: Target, **changes: Any) -> Iterator[httpx.Client]:
    """Its tenant, as long as the environment is what the chart made of it but for these fields. The tenant's
    sessions end with that."""
    plain = current()["spec"]
    replace(plain | changes)
    try:
        with tenant(target) as client:
            yield client
    finally:
        end(sessions())
        replace(plain)


def tenant(target: Target) -> httpx.Client:
    """One connection per request: a kept one may lead to a replica that was killed since."""
    headers = {"X-API-Key": target.keys[-1], "Connection": "close"}
    return httpx.Client(base_url=f"{target.url}/v1", headers=headers, timeout=150, trust_env=False)


def replace(spec: Json) -> None:
    """Wait, too, until the operator has looked at it."""
    manifest = {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeEnvironment",
        "metadata": {"name": NAME, "namespace": release.SANDBOXES},
        "spec": spec,
    }
    kubectl.out("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))
    eventually(_is_observed, "the operator looks at the environment")


def current() -> Json:
    return kubectl.get("codeenvironments", NAME, release.SANDBOXES) or {}


def sessions() -> list[Json]:
    found = kubectl.items("codesessions", release.SANDBOXES)
    return [one for one in found if one["spec"]["environmentRef"]["name"] == NAME]


def end(of: list[Json]) -> None:
    if names := [one["metadata"]["name"] for one in of]:
        kubectl.out("delete", "codesessions", "-n", release.SANDBOXES, "--ignore-not-found", *names)


def condition(kind: str) -> Json:
    (found,) = [one for one in current()["status"]["conditions"] if one["type"] == kind]
    assert isinstance(found, dict)
    return found


def _is_observed() -> bool:
    found = current()
    observed: int = found.get("status", {}).get("observedGeneration", 0)
    return bool(observed == found["metadata"]["generation"])
