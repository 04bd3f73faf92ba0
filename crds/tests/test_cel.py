"""What a real API server accepts and refuses, by the rules of the CRDs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from codesession_crds.client import APPLY, KubeClient
from codesession_crds.definitions import all_definitions
from codesession_crds.errors import ApiStatusError
from codesession_crds.model import API_VERSION
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="KUBECONFIG is not set"),
]

Object = dict[str, Any]
NAMESPACE = f"codesession-test-{new_id()}"
DRY_RUN = {"dryRun": "All"}
SESSION = "a" * 21
CLAIM = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": "2026-11-21T12:00:00Z"}
CLAIMED = {"claim": CLAIM, "shutdownTime": "2026-11-21T12:30:00Z"}


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    async def install_all() -> None:
        async with await KubeClient.connect() as client:
            for definition in all_definitions().values():
                await install(client, definition)
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            await apply(client, f"/api/v1/namespaces/{NAMESPACE}", namespace)

    async def clean() -> None:
        async with await KubeClient.connect() as client:
            await client.delete(f"/api/v1/namespaces/{NAMESPACE}")

    asyncio.run(install_all())
    yield
    asyncio.run(clean())


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect() as client:
        yield client


async def apply(client: KubeClient, path: str, obj: Object) -> Object:
    query = {"fieldManager": "codesession-tests", "force": "true"}
    return await client.request("PATCH", path, body=obj, content_type=APPLY, query=query, idempotent=True)


async def install(client: KubeClient, definition: Object) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
    await apply(client, path, definition)
    async with asyncio.timeout(30):
        while True:
            conditions = (await client.get(path)).get("status", {}).get("conditions") or []
            if {"Established"} <= {c["type"] for c in conditions if c["status"] == "True"}:
                violations = [c for c in conditions if c["type"] == "NonStructuralSchema"]
                assert not violations
                return
            await asyncio.sleep(0.1)


def session(spec: Object | None = None, name: str = SESSION) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "CodeSession",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"environmentRef": {"name": "default"}, **(spec or {})},
    }


def environment(spec: Object | None = None, name: str = "default") -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "CodeEnvironment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"image": "localhost/sandbox:1", **(spec or {})},
    }


async def dry_create(client: KubeClient, obj: Object) -> Object:
    resource = CODE_SESSIONS if obj["kind"] == "CodeSession" else CODE_ENVIRONMENTS
    return await client.request("POST", resource.path(NAMESPACE), body=obj, query=DRY_RUN)


ACCEPTED = {
    "warm": session(),
    "claimed": session(CLAIMED),
    "as long as it may": session(CLAIMED | {"shutdownTime": "2026-11-22T12:00:00Z"}),
    "a shorter life": session(CLAIMED | {"maxLifetimeSeconds": 1800}),
    "suspended": session(CLAIMED | {"operatingMode": "Suspended"}),
    "only an image": environment(),
    "numbers as quantities": environment({"resources": {"limits": {"cpu": 2, "memory": 1073741824}}}),
    "tmpfs": environment({"workspace": {"type": "Memory", "size": "64Mi"}}),
    "no gVisor": environment({"runtimeClassName": "", "insecureRuntime": True}),
    "another name of gVisor": environment({"runtimeClassName": "runsc-kvm"}),
    "secrets to pull with": environment({"imagePullSecrets": ["registry", "mirror"]}),
    "an allow list": environment(
        {"network": {"mode": "Allow", "egress": [{"cidr": "203.0.113.0/24", "ports": [443]}]}}
    ),
    "IPv6": environment(
        {"network": {"mode": "Allow", "egress": [{"cidr": "2001:db8::/32", "ports": [443]}]}}
    ),
    "gpu and assets": environment({"gpu": {"count": 2}, "sharedAssets": {"claimName": "assets"}}),
}

REFUSED = {
    "a short name": (session(name="short"), "the name is a session id"),
    "a name that begins with a digit": (session(name="1" + "a" * 20), "the name is a session id"),
    "no environment": ({**session(), "spec": {}}, "environmentRef"),
    "claimed for ever": (session({"claim": CLAIM}), "needs a shutdownTime"),
    "longer than it may": (
        session(CLAIMED | {"shutdownTime": "2026-11-22T12:00:01Z"}),
        "later than claimedAt",
    ),
    "longer than its own life": (session(CLAIMED | {"maxLifetimeSeconds": 600}), "later than claimedAt"),
    "a tenant by name": (session(CLAIMED | {"claim": CLAIM | {"tenant": "acme"}}), "tenant"),
    "half a claim": (session({"claim": {"tenant": "a" * 32}}), "principal"),
    "suspended without owner": (session({"operatingMode": "Suspended"}), "only a claimed session"),
    "an unknown mode": (session({"operatingMode": "Paused"}), "Unsupported value"),
    "no image": ({**environment(), "spec": {}}, "image"),
    "no memory limit": (environment({"resources": {"limits": {"cpu": "1"}}}), "both cpu and memory"),
    "no quantity": (environment({"workspace": {"size": "large"}}), "workspace.size"),
    "no space": (environment({"workspace": {"size": "0"}}), "more than zero"),
    "egress in vain": (
        environment({"network": {"egress": [{"cidr": "203.0.113.0/24", "ports": [443]}]}}),
        "egress needs mode Allow",
    ),
    "no CIDR": (
        environment({"network": {"mode": "Allow", "egress": [{"cidr": "example.org", "ports": [443]}]}}),
        "must be a CIDR",
    ),
    "every port": (
        environment({"network": {"mode": "Allow", "egress": [{"cidr": "203.0.113.0/24", "ports": []}]}}),
        "ports",
    ),
    "idle for longer than alive": (
        environment({"session": {"idleSeconds": 7200, "absoluteSeconds": 3600}}),
        "idleSeconds exceeds",
    ),
    "a long name": (environment(name="e" * 51), "at most 50 characters"),
    "a dotted name": (environment(name="a.b"), "DNS label"),
    "a huge pool": (environment({"warmPool": {"replicas": 100_000}}), "warmPool.replicas"),
    "no gVisor without a word": (environment({"runtimeClassName": ""}), "needs insecureRuntime: true"),
    "another runtime without a word": (
        environment({"runtimeClassName": "kata"}),
        "needs insecureRuntime: true",
    ),
    "memory as a device": (environment({"gpu": {"resourceName": "memory"}}), "gpu.resourceName"),
    "the same language twice": (environment({"languages": ["py", "py"]}), "Duplicate"),
}


async def test_accepted(client: KubeClient) -> None:
    for name, obj in ACCEPTED.items():
        created = await dry_create(client, obj)
        assert (
            created["spec"].items()
            >= {k: v for k, v in obj["spec"].items() if not isinstance(v, dict)}.items()
        ), name


async def test_refused(client: KubeClient) -> None:
    for name, (obj, why) in REFUSED.items():
        with pytest.raises(ApiStatusError) as caught:
            await dry_create(client, obj)
        assert (caught.value.status, why in caught.value.message) == (422, True), (name, caught.value)


async def test_defaults_are_those_of_the_models(client: KubeClient) -> None:
    created = await dry_create(client, environment())
    spec = created["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert (spec["limits"]["runSeconds"], spec["warmPool"]["replicas"]) == (120, 2)
    assert (await dry_create(client, session()))["spec"]["maxLifetimeSeconds"] == 86400


CHANGES = {
    # name: (before, change, why refused or None)
    "claim a warm one": ({}, CLAIMED, None),
    "move the deadline": (CLAIMED, {"shutdownTime": "2026-11-21T14:00:00Z"}, None),
    "suspend": (CLAIMED, {"operatingMode": "Suspended"}, None),
    "claim another's": (CLAIMED, {"claim": {"principal": "c" * 32}}, "claim is immutable once set"),
    "claim again later": (CLAIMED, {"claim": {"claimedAt": "2026-11-21T12:20:00Z"}}, "claim is immutable"),
    "give it back": (CLAIMED, {"claim": None}, "claim is immutable once set"),
    "live on without end": (CLAIMED, {"shutdownTime": None}, "needs a shutdownTime"),
    "live on too long": (CLAIMED, {"shutdownTime": "2026-11-22T12:00:01Z"}, "later than claimedAt"),
    "a longer life": (CLAIMED, {"maxLifetimeSeconds": 172_800}, "maxLifetimeSeconds is immutable"),
    "another environment": ({}, {"environmentRef": {"name": "other"}}, "environmentRef is immutable"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_changes(client: KubeClient, name: str) -> None:
    before, change, why = CHANGES[name]
    obj = session(before, name=new_id())
    path = CODE_SESSIONS.path(NAMESPACE, obj["metadata"]["name"])
    await client.create(CODE_SESSIONS.path(NAMESPACE), obj, field_manager="codesession-tests")
    try:
        if why is None:
            await client.merge_patch(path, {"spec": change})
        else:
            with pytest.raises(ApiStatusError, match=why):
                await client.merge_patch(path, {"spec": change})
    finally:
        await client.delete(path)


async def test_two_claims_of_one_session_have_one_winner(client: KubeClient) -> None:
    obj = session(name=new_id())
    path = CODE_SESSIONS.path(NAMESPACE, obj["metadata"]["name"])
    created = await client.create(CODE_SESSIONS.path(NAMESPACE), obj, field_manager="codesession-tests")
    version = created["metadata"]["resourceVersion"]
    claims = [CLAIMED | {"claim": CLAIM | {"principal": digit * 32}} for digit in "0123456789"]
    try:
        answers = await asyncio.gather(
            *(client.merge_patch(path, {"spec": claim}, resource_version=version) for claim in claims),
            return_exceptions=True,
        )
        losers = [answer for answer in answers if isinstance(answer, ApiStatusError)]
        assert (len(answers) - len(losers), {error.status for error in losers}) == (1, {409})
    finally:
        await client.delete(path)
