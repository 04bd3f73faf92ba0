"""Each admission policy against a real API server: what the product does passes, all else is refused.

Pods are the operator's own. A case that is refused differs from one that passes in a single thing.
"""

from __future__ import annotations

import copy
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charts.tests import applied
from charts.tests.applied import as_account, create, guarded_namespace, patch, raw
from codesession_api.sandboxes.exec_stream import CONTAINER, RELAY
from codesession_crds import labels
from codesession_crds.environment import CodeEnvironment
from codesession_crds.names import new_id
from codesession_crds.session import CodeSession
from codesession_operator.builders.pod import pod
from codesession_operator.views import session_view
from e2e.targets import kubectl
from e2e.targets.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

Object = dict[str, Any]
Change = Callable[[Object], object]

UID = "00000000-0000-0000-0000-000000000000"
HASH = "0123456789abcdef" * 2
POLICIES = (
    "sandbox-pods",
    "sandbox-changes",
    "sandbox-exec",
    "sandbox-doors",
    "session-claims",
    "session-status",
)
DENIED = "ValidatingAdmissionPolicy"

ENVIRONMENTS: dict[str, Object] = {
    "a volume": {},
    "memory": {"workspace": {"type": "Memory"}},
    "the node's disk": {"workspace": {"type": "EmptyDir"}},
    "egress": {"network": {"mode": "Allow", "egress": [{"cidr": "203.0.113.0/24", "ports": [443]}]}},
    "assets": {"sharedAssets": {"claimName": "assets"}},
    "a private image": {"imagePullSecrets": ["registry"]},
    "gpu": {"gpu": {"count": 1}, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]},
}


def container(manifest: Object) -> Object:
    found: Object = manifest["spec"]["containers"][0]
    return found


def spec(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"].update(fields)


def sandbox(**fields: Any) -> Change:
    return lambda manifest: container(manifest).update(fields)


def security(**fields: Any) -> Change:
    return lambda manifest: container(manifest)["securityContext"].update(fields)


def pod_security(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["securityContext"].update(fields)


def label(name: str, value: str) -> Change:
    return lambda manifest: manifest["metadata"]["labels"].update({name: value})


def more(field: str, *entries: Object) -> Change:
    return lambda manifest: manifest["spec"].setdefault(field, []).extend(entries)


def volume(**source: Any) -> Change:
    return more("volumes", {"name": "more", **source})


OTHER = {"name": "other", "image": "x"}
TOKEN = {"serviceAccountToken": {"path": "token"}}
SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}
CLAIM = {"tenant": HASH, "principal": HASH, "claimedAt": "2026-01-01T00:00:00Z"}
CLAIMED: Object = {"claim": CLAIM, "shutdownTime": "2026-01-01T00:30:00Z"}

REFUSED_PODS: dict[str, tuple[Change, str]] = {
    "without its label": (lambda m: m["metadata"].pop("labels"), "has its label"),
    "another session's label": (label(labels.SESSION, "other"), "has its label"),
    "outside of the network policies": (label(labels.COMPONENT, "other"), "has its label"),
    "of no environment": (label(labels.ENVIRONMENT, ""), "has its label"),
    "of nobody": (lambda m: m["metadata"].pop("ownerReferences"), "which owns it"),
    "of another session": (
        lambda m: m["metadata"]["ownerReferences"][0].update(name="other"),
        "which owns it",
    ),
    "without gVisor": (lambda m: m["spec"].pop("runtimeClassName"), "RuntimeClass"),
    "with a token": (spec(automountServiceAccountToken=True), "no token"),
    "token by default": (lambda m: m["spec"].pop("automountServiceAccountToken"), "no token"),
    "host network": (spec(hostNetwork=True), "no namespace with its node"),
    "host pid": (spec(hostPID=True), "no namespace with its node"),
    "host ipc": (spec(hostIPC=True), "no namespace with its node"),
    "one pid namespace": (spec(shareProcessNamespace=True), "no namespace with its node"),
    "placed by itself": (spec(nodeName="node"), "the scheduler"),
    "two containers": (more("containers", OTHER), "one container"),
    "an init container": (more("initContainers", OTHER), "one container"),
    "another container": (sandbox(name="other"), "one container"),
    "a path of the host": (volume(hostPath={"path": "/"}), "nothing else mounted"),
    "a projected token": (volume(projected={"sources": [TOKEN]}), "nothing else mounted"),
    "a secret": (volume(secret={"secretName": "s"}), "nothing else mounted"),
    "a config map": (volume(configMap={"name": "c"}), "nothing else mounted"),
    "the downward API": (volume(downwardAPI={"items": []}), "nothing else mounted"),
    "a CSI driver": (volume(csi={"driver": "d"}), "nothing else mounted"),
    "a device": (
        sandbox(volumeDevices=[{"name": "workspace", "devicePath": "/dev/x"}], volumeMounts=[]),
        "nothing else mounted",
    ),
    "another session's files": (
        volume(persistentVolumeClaim={"claimName": "s" * 21}),
        "its own volume claim alone",
    ),
    "a secret as variable": (sandbox(env=[{"name": "A", "valueFrom": SECRET}]), "from no secret"),
    "a secret as variables": (sandbox(envFrom=[{"secretRef": {"name": "s"}}]), "from no secret"),
    "a port": (sandbox(ports=[{"containerPort": 80}]), "no ports"),
    "a port of the host": (sandbox(ports=[{"containerPort": 80, "hostPort": 80}]), "no ports"),
    "a hook": (sandbox(lifecycle={"preStop": {"exec": {"command": ["x"]}}}), "no hooks"),
    "no limits": (sandbox(resources={}), "has limits"),
    "no limit of memory": (sandbox(resources={"limits": {"cpu": "1"}}), "has limits"),
    "no limit of cpu": (sandbox(resources={"limits": {"memory": "1Gi"}}), "has limits"),
    "capabilities": (security(capabilities={}), "drops all"),
    "a capability": (security(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}), "drops all"),
    "privileged": (security(privileged=True, allowPrivilegeEscalation=True), "drops all"),
    "escalation": (security(allowPrivilegeEscalation=True), "drops all"),
    "escalation by default": (
        lambda m: container(m)["securityContext"].pop("allowPrivilegeEscalation"),
        "drops all",
    ),
    "may be root": (pod_security(runAsNonRoot=False), "not run as root"),
    "may be root in its container": (security(runAsNonRoot=False), "not run as root"),
    "is root": (pod_security(runAsUser=0), "not run as root"),
    "is root in its container": (security(runAsUser=0), "not run as root"),
    "a root that is written": (security(readOnlyRootFilesystem=False), "is read-only"),
    "no seccomp": (pod_security(seccompProfile={"type": "Unconfined"}), "seccomp"),
    "no seccomp in its container": (security(seccompProfile={"type": "Unconfined"}), "seccomp"),
    "all of /proc": (lambda m: (security(procMount="Unmasked")(m), spec(hostUsers=False)(m)), "seccomp"),
    "a sysctl": (pod_security(sysctls=[{"name": "net.ipv4.ping_group_range", "value": "0 1"}]), "seccomp"),
}


def assert_refused(done: applied.Done, said: str | None) -> None:
    """By a policy, with these words; with None, that it was not."""
    if said is None:
        assert done.returncode == 0, done.stderr
    else:
        assert DENIED in done.stderr
        assert said in done.stderr


def environment(**fields: Any) -> CodeEnvironment:
    metadata = {"name": "default", "namespace": "x", "uid": UID}
    return CodeEnvironment.model_validate({"metadata": metadata, "spec": {"image": "none", **fields}})


def session(namespace: str, name: str | None = None, **fields: Any) -> Object:
    return {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeSession",
        "metadata": {"name": name or new_id(), "namespace": namespace},
        "spec": {"environmentRef": {"name": "default"}, **fields},
    }


def made(namespace: str, fields: Object, uid: str = UID, name: str | None = None) -> Object:
    """A sandbox's pod as the operator makes it."""
    owner = session(namespace, name)
    owner["metadata"]["uid"] = uid
    return pod(session_view(CodeSession.model_validate(owner)), environment(**fields))


def changed(manifest: Object, change: Change) -> Object:
    result = copy.deepcopy(manifest)
    change(result)
    return result


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The namespace, once all its policies are in force."""
    with guarded_namespace() as namespace:
        wait_for_policies(namespace)
        yield namespace


def wait_for_policies(namespace: str) -> None:
    for name in POLICIES:
        applied.in_force(f"{namespace}-{name}")
    # They take effect some moments after they were made, all of them at one time.
    eventually(lambda: DENIED in create(made(namespace, {})).stderr, "the policies' effect")
    eventually(lambda: DENIED in raw(namespace, "x/attach").stderr, "the policies' effect")


@pytest.fixture(scope="module")
def refusals(guarded: str) -> dict[str, str]:
    """What is said of each case's pod, as the operator asks for them."""
    manifests = {what: changed(made(guarded, {}), change) for what, (change, _) in REFUSED_PODS.items()}
    done = create(*manifests.values(), who=as_account(guarded, "operator"))
    lines = [line for line in done.stderr.splitlines() if DENIED in line]
    return {
        what: next(
            (line for line in lines if f'"{manifest["metadata"]["name"]}"' in line), "it was not refused"
        )
        for what, manifest in manifests.items()
    }


def test_the_operator_creates_its_sandboxes_of_every_environment(guarded: str) -> None:
    done = create(*(made(guarded, it) for it in ENVIRONMENTS.values()), who=as_account(guarded, "operator"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created") == len(ENVIRONMENTS)


@pytest.mark.parametrize("what", REFUSED_PODS)
def test_the_operator_creates_no_other_pod(refusals: dict[str, str], what: str) -> None:
    assert REFUSED_PODS[what][1] in refusals[what]


@pytest.mark.parametrize("who", [(), ("--as", "system:serviceaccount:kube-system:replicaset-controller")])
def test_nobody_else_creates_a_pod(guarded: str, who: tuple[str, ...]) -> None:
    assert "only the operator creates pods" in create(made(guarded, {}), who=who).stderr


@pytest.fixture(scope="module")
def standing(guarded: str) -> str:
    """The name of a session and its pod, which never runs: its volume claim is missing."""
    name, operator = new_id(), as_account(guarded, "operator")
    done = create(session(guarded, name), who=operator, dry=False)
    assert done.returncode == 0, done.stderr
    owner = kubectl.get("codesessions", name, guarded) or {}
    done = create(made(guarded, {}, owner["metadata"]["uid"], name), who=operator, dry=False)
    assert done.returncode == 0, done.stderr
    return name


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"metadata": {"labels": {labels.ENVIRONMENT: "other"}}}, (), "keeps its labels"),
        ({"metadata": {"labels": {labels.COMPONENT: None}}}, (), "keeps its labels"),
        (
            {"spec": {"containers": [{"name": "sandbox", "image": "other"}]}},
            ("--type=strategic",),
            "what the operator made",
        ),
        ({"spec": {"activeDeadlineSeconds": 9}}, (), "what the operator made"),
        (
            {"spec": {"ephemeralContainers": [{"name": "debug", "image": "x"}]}},
            ("--subresource=ephemeralcontainers", "--type=strategic"),
            "no further containers",
        ),
        (
            {"spec": {"containers": [{"name": "sandbox", "resources": {"limits": {"cpu": "2"}}}]}},
            ("--subresource=resize", "--type=strategic"),
            "no other size",
        ),
    ],
)
def test_a_sandbox_is_not_changed(
    guarded: str, standing: str, change: Object, options: tuple[str, ...], said: str
) -> None:
    assert_refused(patch("pods", standing, guarded, change, *options), said)


def test_a_sandbox_may_be_annotated_and_deleted(guarded: str, standing: str) -> None:
    assert patch("pods", standing, guarded, {"metadata": {"annotations": {"a": "b"}}}).returncode == 0
    assert kubectl.run("delete", "pod", standing, "-n", guarded, "--dry-run=server").returncode == 0


def exec_path(*command: str, **fields: str) -> str:
    query = [*fields.items(), *(("command", word) for word in command)]
    return f"no-such-pod/exec?{urllib.parse.urlencode(query)}"


@pytest.mark.parametrize(
    ("path", "account", "said"),
    [
        # Past admission it fails on the pod that is not there.
        (exec_path(*RELAY, container=CONTAINER, stdin="true", stdout="true"), "api", "not found"),
        (exec_path(*RELAY, container=CONTAINER), None, "only the API execs"),
        (exec_path("/bin/sh", container=CONTAINER), "api", "the one command"),
        (exec_path(*RELAY, "-x", container=CONTAINER), "api", "the one command"),
        (exec_path(*RELAY[:-1], container=CONTAINER), "api", "the one command"),
        (exec_path(*RELAY, container=CONTAINER, tty="true"), "api", "without a terminal"),
        (exec_path(*RELAY, container="other"), "api", "sandbox's container"),
        (exec_path(*RELAY), "api", "sandbox's container"),
        ("no-such-pod/attach?container=sandbox", None, "by exec alone"),
        ("no-such-pod/portforward?ports=8700", None, "by exec alone"),
        ("no-such-pod/proxy/", None, "by exec alone"),
        ("no-such-pod:8700/proxy/x", None, "by exec alone"),
    ],
)
def test_a_sandbox_is_entered_by_the_apis_relay_alone(
    guarded: str, path: str, account: str | None, said: str
) -> None:
    assert said in raw(guarded, path, *(as_account(guarded, account) if account else ())).stderr


@pytest.mark.parametrize(
    ("account", "fields", "hint", "said"),
    [
        ("api", CLAIMED, HASH, None),
        ("operator", {}, None, None),
        (None, {}, None, None),
        ("operator", CLAIMED, None, "whose a session is"),
        (None, CLAIMED, None, "whose a session is"),
        ("operator", {"shutdownTime": "2026-01-01T00:30:00Z"}, None, "when a session ends"),
        ("operator", {}, HASH, "by which hint"),
    ],
)
def test_a_session_is_created(
    guarded: str, account: str | None, fields: Object, hint: str | None, said: str | None
) -> None:
    manifest = session(guarded, **fields)
    if hint:
        manifest["metadata"]["labels"] = {labels.HINT: hint}
    done = create(manifest, who=as_account(guarded, account) if account else ())
    assert_refused(done, said)


@pytest.mark.parametrize(
    ("account", "change", "said"),
    [
        ("api", {"spec": CLAIMED}, None),
        (None, {"spec": CLAIMED}, "whose a session is"),
        (None, {"spec": {"shutdownTime": "2026-01-01T00:30:00Z"}}, "when a session ends"),
        (None, {"metadata": {"labels": {labels.HINT: HASH}}}, "by which hint"),
        (None, {"metadata": {"labels": {"team": "x"}}}, None),
    ],
)
def test_a_session_is_claimed_by_the_api_alone(
    guarded: str, standing: str, account: str | None, change: Object, said: str | None
) -> None:
    who = as_account(guarded, account) if account else ()
    done = patch("codesessions", standing, guarded, change, *who)
    assert_refused(done, said)


def test_only_the_operator_says_where_a_session_runs(guarded: str, standing: str) -> None:
    change = {"status": {"phase": "Ready", "podName": "other"}}
    status = ("codesessions", standing, guarded, change, "--subresource=status")
    assert "only the operator" in patch(*status).stderr
    # kubectl reads the status first, which the operator itself may not.
    operator = (*as_account(guarded, "operator"), "--as-group", "system:masters")
    assert_refused(patch(*status, *operator), None)


def test_whom_the_values_exempt_may_enter_and_still_not_create() -> None:
    """By name and by group; not who is merely an administrator."""
    administrator = ("--as-group", "system:masters")
    exempt = (("--as", "ann", *administrator), ("--as", "bob", "--as-group", "debuggers", *administrator))
    values = ("admissionPolicy.exemptUsers={ann}", "admissionPolicy.exemptGroups={debuggers}")
    with guarded_namespace(*values) as namespace:
        wait_for_policies(namespace)
        assert "only the API execs" in raw(namespace, exec_path("/bin/sh")).stderr
        for who in exempt:
            assert "not found" in raw(namespace, exec_path("/bin/sh"), *who).stderr
            assert "only the operator creates" in create(made(namespace, {}), who=who).stderr
