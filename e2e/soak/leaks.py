"""What is left when all is over and should not be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from minio import Minio

from e2e.soak import gauges
from e2e.soak.place import RELEASE, oldest, pods
from e2e.soak.report import MOST_DESCRIPTORS, Sample
from e2e.targets import kubectl
from e2e.targets.waiting import eventually

_BUCKET = "codesession"
_SECONDS = 300
"""Until a session that nobody knows of has ended: 90 s idle, and time for a busy machine."""


def found(ended: Iterable[str], before: Sample) -> list[str]:
    """A line for each kind; `ended` are the sessions that users ended, `before` is of the replica that lived
    through it all. Waits until what ends by itself has ended."""
    return [*_objects_of_kubernetes(), *_stored(set(ended)), *_held(before)]


def _objects_of_kubernetes() -> list[str]:
    try:
        eventually(_only_the_pool, "the warm pool alone", seconds=_SECONDS, interval=2)
    except AssertionError:
        return [f"left over: {_what_is_there()}"]
    return []


def _only_the_pool() -> bool:
    """Every session is warm, ready, and has one pod and one volume, and there is nothing else."""
    sessions = kubectl.items("codesessions", RELEASE.sandboxes)
    uids = sorted(one["metadata"]["uid"] for one in sessions)
    if len(sessions) != RELEASE.warm or any("claim" in one["spec"] for one in sessions):
        return False
    for kind in ("pods", "persistentvolumeclaims"):
        objects = kubectl.items(kind, RELEASE.sandboxes)
        if sorted(one["metadata"]["ownerReferences"][0]["uid"] for one in objects) != uids:
            return False
    ready = all(one.get("status", {}).get("phase") == "Ready" for one in sessions)
    return ready and len(_volumes()) == len(sessions)


def _volumes() -> list[str]:
    everywhere = json.loads(kubectl.out("get", "persistentvolumes", "-o", "json"))["items"]
    ours = [
        one for one in everywhere if one["spec"].get("claimRef", {}).get("namespace") == RELEASE.sandboxes
    ]
    return [one["metadata"]["name"] for one in ours]


def _what_is_there() -> str:
    names = {
        kind: [one["metadata"]["name"] for one in kubectl.items(kind, RELEASE.sandboxes)]
        for kind in ("codesessions", "pods", "persistentvolumeclaims")
    }
    return json.dumps(names | {"persistentvolumes": _volumes()})


def _stored(ended: set[str]) -> list[str]:
    """Of sessions that their users ended there is no object, and of no upload a part without the rest."""
    secret = (kubectl.get("secrets", f"{RELEASE.name}-minio", RELEASE.name) or {})["data"]
    key, word = (base64.b64decode(secret[name]).decode() for name in ("access-key", "secret-key"))
    with kubectl.forwarded(f"pod/{oldest('minio')['metadata']['name']}", RELEASE.name, 9000) as address:
        client = Minio(address, key, word, secure=False)
        parts = client._list_multipart_uploads(_BUCKET).uploads
        keys = [str(one.object_name) for one in client.list_objects(_BUCKET, recursive=True)]
    kept = [key for key in keys if "/" in key and key.split("/")[1] in ended]
    lines = [f"{len(parts)} uploads of which only parts are stored"] if parts else []
    return [
        *lines,
        *([f"{len(kept)} objects of sessions that were ended, such as {kept[0]}"] if kept else []),
    ]


def _held(before: Sample) -> list[str]:
    """Descriptors and streams of the replica that was never killed."""

    def quiet() -> Sample | None:
        now = gauges.sample("api", oldest("api"), 0)
        enough = now.descriptors <= before.descriptors + MOST_DESCRIPTORS and now.streams <= RELEASE.warm
        return now if now.process == before.process and enough else None

    try:
        eventually(quiet, "descriptors and streams given back", seconds=120, interval=5)
    except AssertionError:
        now = gauges.sample("api", oldest("api"), 0)
        return [f"held on to: before {before}, now {now}"]
    return [] if pods("operator") else ["no operator"]
