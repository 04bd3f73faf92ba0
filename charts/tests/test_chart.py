from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from charts import crds, render
from codesession_api.sandboxes.exec_stream import RELAY
from codesession_crds import labels

# The first of them may have to build helm.
pytestmark = pytest.mark.timeout(900)

Chart = Callable[..., list[dict[str, Any]]]
PEM = f"-----BEGIN PUBLIC KEY-----\n{'MCowBQYDK2VwAyEA' * 4}\n-----END PUBLIC KEY-----\n"
EXTERNAL_S3 = ("minio.enabled=false", "s3.endpoint=s3.example.org", "s3.existingSecret=keys")


def by_kind(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def rules(objects: list[dict[str, Any]], role: str) -> Iterator[tuple[str, str]]:
    for rule in by_kind(objects, "Role", role)["rules"]:
        yield from ((resource, verb) for resource in rule["resources"] for verb in rule["verbs"])


def variables(deployment: dict[str, Any]) -> dict[str, Any]:
    return {e["name"]: e.get("value") for e in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_images_are_held_on_the_nodes_that_may_need_them(chart: Chart) -> None:
    assert not any(obj["kind"] == "DaemonSet" for obj in chart())
    selectors = ("nodeSelector.pool=a", "gpu.nodeSelector.gpu=yes", "tolerations[0].operator=Exists")
    wanted = [f"environments.default.{value}" for value in selectors]
    made = by_kind(chart("prePull.enabled=true", *wanted), "DaemonSet", "codesession-image-default")
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "localhost/codesession-sandbox:dev"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["nodeSelector"] == {"pool": "a", "gpu": "yes"}
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_the_chart_has_the_definitions_as_they_are_generated() -> None:
    assert crds.stale(crds.wanted()) == []


def test_the_manifests_are_what_the_chart_renders() -> None:
    assert crds.stale(render.wanted()) == []


@pytest.mark.parametrize(
    "values",
    [
        "",
        ",".join(EXTERNAL_S3),
        "auth.mode=none,runtimeClass.create=true",
        "auth.mode=jwt,auth.jwt.existingConfigMap=keys",
    ],
)
def test_helm_lint_finds_nothing(values: str) -> None:
    render.helm(
        "lint", "--strict", str(crds.CHART), "--kube-version", render.OLDEST_KUBERNETES, "--set", values
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["api.replica=3"], "replica"),
        (["auth.mode=open"], "/auth/mode"),
        ([r"auth.mode=none\,jwt"], "/auth/mode"),
        ([r"auth.mode=api-key\, jwt"], "/auth/mode"),
        (["auth.mode=jwt"], "auth.jwt.publicKeys, existingConfigMap or existingSecret is needed"),
        (
            ["auth.mode=jwt", f"auth.jwt.publicKeys.k={PEM.replace('PUBLIC', 'PRIVATE')}"],
            "/auth/jwt/publicKeys/k",
        ),
        (["auth.mode=jwt", f"auth.jwt.publicKeys.a/b={PEM}"], "a/b' does not match"),
        (["auth.mode=jwt", "auth.jwt.existingSecret=x", "auth.jwt.issuer="], "/auth/jwt/issuer"),
        (["auth.mode=null"], "/auth"),
        (["auth.apiKeys.a=short"], "/auth/apiKeys/a"),
        (["environments.default.limits.runSecond=1"], "runSecond"),
        (["environments.default.workspace.type=Disk"], "/workspace/type"),
        (["environments.default.image="], "/environments/default/image"),
        (["api.settings.upload_byte=1"], "upload_byte"),
        (["api.settings.upload_bytes=0"], "upload_bytes"),
        (["api.settings.namespace=other"], "namespace"),
        (["operator.settings.log_level=loud"], "log_level"),
        (["api.environment=gpu"], "there is no environments.gpu"),
        (["minio.enabled=false"], "s3.endpoint is needed"),
        (["minio.enabled=false", "s3.endpoint=s3"], "s3.existingSecret"),
        (["s3.endpoint=https://s3.example.org"], "/s3/endpoint"),
    ],
)
def test_values_that_cannot_work_are_refused_with_their_name(
    chart: Chart, values: list[str], said: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        chart(*values)
    assert said in refused.value.stderr


@pytest.mark.parametrize("values", [(), EXTERNAL_S3, ("auth.mode=none", "api.service.type=NodePort")])
def test_its_own_pods_meet_the_restricted_standard(chart: Chart, values: tuple[str, ...]) -> None:
    pods = [o["spec"]["template"]["spec"] for o in chart(*values) if o["kind"] == "Deployment"]
    assert len(pods) == (2 if values == EXTERNAL_S3 else 3)
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 1000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_the_api_creates_no_pods_and_the_operator_neither_execs_nor_reads_secrets(chart: Chart) -> None:
    api, operator = (set(rules(chart(), f"codesession-{name}")) for name in ("api", "operator"))
    assert {rule for rule in api if rule[0].startswith("pods")} == {
        ("pods", "get"),
        ("pods/exec", "get"),
        ("pods/exec", "create"),
    }
    assert not {resource for resource, _ in operator} & {"pods/exec", "pods/attach", "pods/log", "secrets"}
    assert not [rule for rule in api | operator if "*" in rule]
    assert not [o for o in chart() if o["kind"].startswith("Cluster")]


def test_given_keys_are_stored_as_hashes_only(chart: Chart) -> None:
    key = "0123456789abcdef-of-acme"
    secret = by_kind(chart(f"auth.apiKeys.acme={key}"), "Secret", "codesession-api-keys")
    expected = f"acme:{hashlib.sha256(key.encode()).hexdigest()}\n"
    assert {name: base64.b64decode(value).decode() for name, value in secret["data"].items()} == {
        "keys": expected
    }


def test_a_generated_key_is_the_one_whose_hash_the_api_gets(chart: Chart) -> None:
    data = by_kind(chart(), "Secret", "codesession-api-keys")["data"]
    key = base64.b64decode(data["default"])
    assert len(key) == 40
    assert base64.b64decode(data["keys"]).decode() == f"default:{hashlib.sha256(key).hexdigest()}\n"


def test_without_authentication_there_is_no_key_to_mount(chart: Chart) -> None:
    objects = chart("auth.mode=none")
    deployment = by_kind(objects, "Deployment", "codesession-api")
    assert variables(deployment)["CODESESSION_AUTH"] == "none"
    assert [volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]] == ["tmp"]
    assert [o["metadata"]["name"] for o in objects if o["kind"] == "Secret"] == [
        "codesession-minio",
        "codesession-continuation",
    ]


def test_all_replicas_sign_with_one_key(chart: Chart) -> None:
    key = base64.b64decode(by_kind(chart(), "Secret", "codesession-continuation")["data"]["key"])
    assert len(key) == 40
    for given, name in ((), "codesession-continuation"), (("continuation.existingSecret=mine",), "mine"):
        objects = chart(*given)
        pod = by_kind(objects, "Deployment", "codesession-api")["spec"]["template"]["spec"]
        variable = {entry["name"]: entry for entry in pod["containers"][0]["env"]}[
            "CODESESSION_CONTINUATION_KEY"
        ]
        assert variable["valueFrom"] == {"secretKeyRef": {"name": name, "key": "key"}}
        secrets = [o["metadata"]["name"] for o in objects if o["kind"] == "Secret"]
        assert ("codesession-continuation" in secrets) == (not given)


def pod_of_the_api(objects: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its variables, and its volumes by where they are mounted."""
    deployment = by_kind(objects, "Deployment", "codesession-api")
    pod = deployment["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = pod["containers"][0]["volumeMounts"]
    return variables(deployment), {mount["mountPath"]: volumes[mount["name"]] for mount in mounts}


def test_public_keys_are_mounted_for_tokens(chart: Chart) -> None:
    objects = chart("auth.mode=jwt", f"auth.jwt.publicKeys.lc-2026={PEM}", f"auth.jwt.publicKeys.b={PEM}")
    env, volumes = pod_of_the_api(objects)
    assert env["CODESESSION_AUTH"] == "jwt"
    assert (env["CODESESSION_JWT_ISSUER"], env["CODESESSION_JWT_AUDIENCE"]) == ("librechat", "codeapi")
    assert volumes[env["CODESESSION_JWT_KEYS"]]["configMap"] == {"name": "codesession-jwt-keys"}
    stored = by_kind(objects, "ConfigMap", "codesession-jwt-keys")
    assert stored["data"] == {"lc-2026.pem": PEM, "b.pem": PEM}
    assert "CODESESSION_API_KEYS_FILE" not in env
    assert "codesession-api-keys" not in [o["metadata"]["name"] for o in objects]


@pytest.mark.parametrize(
    ("value", "volume"),
    [
        ("existingConfigMap", {"configMap": {"name": "mine"}}),
        ("existingSecret", {"secret": {"secretName": "mine"}}),
    ],
)
def test_public_keys_may_be_there_already(chart: Chart, value: str, volume: dict[str, Any]) -> None:
    objects = chart("auth.mode=jwt", f"auth.jwt.{value}=mine", "auth.jwt.audience=mine")
    env, volumes = pod_of_the_api(objects)
    assert volumes["/etc/codesession-jwt"] == {"name": "jwt-keys", **volume}
    assert env["CODESESSION_JWT_AUDIENCE"] == "mine"
    assert [o for o in objects if o["kind"] == "ConfigMap"] == []


@pytest.mark.parametrize("mode", ["api-key", "basic", "path-key", "basic,path-key", "jwt,api-key"])
def test_every_way_that_takes_keys_gets_the_file(chart: Chart, mode: str) -> None:
    objects = chart("auth.mode=" + mode.replace(",", "\\,"), "auth.jwt.existingConfigMap=mine")
    env, volumes = pod_of_the_api(objects)
    assert env["CODESESSION_AUTH"] == mode
    assert volumes[str(PurePosixPath(env["CODESESSION_API_KEYS_FILE"]).parent)]["name"] == "keys"
    assert ("/etc/codesession-jwt" in volumes) == ("jwt" in mode)
    assert by_kind(objects, "Secret", "codesession-api-keys")


def test_an_external_s3_server_replaces_minio(chart: Chart) -> None:
    objects = chart(*EXTERNAL_S3)
    env = variables(by_kind(objects, "Deployment", "codesession-api"))
    assert (env["CODESESSION_S3_ENDPOINT"], env["CODESESSION_S3_SECURE"]) == ("s3.example.org", "true")
    assert not [o for o in objects if "minio" in o["metadata"]["name"]]


def test_the_api_knows_the_bounds_of_its_environment(chart: Chart) -> None:
    bounds = (
        "environments.big.image=x",
        "environments.big.limits.runSeconds=600",
        "environments.big.languages={py,r}",
    )
    env = variables(by_kind(chart("api.environment=big", *bounds), "Deployment", "codesession-api"))
    assert env["CODESESSION_ENVIRONMENT"] == "big"
    assert env["CODESESSION_RUN_SECONDS"] == "600"
    assert env["CODESESSION_LANGUAGES"] == "py,r"


def test_settings_become_the_variables_that_are_read(chart: Chart) -> None:
    objects = chart(
        "api.settings.upload_bytes=52428800", "api.settings.transfers=8", "operator.settings.workers=2"
    )
    api = variables(by_kind(objects, "Deployment", "codesession-api"))
    operator = variables(by_kind(objects, "Deployment", "codesession-operator"))
    assert (api["CODESESSION_UPLOAD_BYTES"], api["CODESESSION_TRANSFERS"]) == ("52428800", "8")
    assert operator["CODESESSION_OPERATOR_WORKERS"] == "2"


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector.example:4318/v1/traces", 4318),
        ("https://collector.example/v1/traces", 443),
        ("http://collector.example", 80),
        ("http://[fd00::7]:4318/v1/traces", 4318),
    ],
)
def test_a_collector_of_traces_is_named_and_reached(chart: Chart, endpoint: str, port: int) -> None:
    peer = "api.traces.to[0].namespaceSelector.matchLabels.name=observability"
    objects = chart(f"api.traces.endpoint={endpoint}", peer)
    deployment = by_kind(objects, "Deployment", "codesession-api")
    assert variables(deployment)["CODESESSION_TRACES_ENDPOINT"] == endpoint
    policy = by_kind(objects, "NetworkPolicy", "codesession-api")
    assert policy["spec"]["egress"][-1] == {
        "ports": [{"port": port, "protocol": "TCP"}],
        "to": [{"namespaceSelector": {"matchLabels": {"name": "observability"}}}],
    }


def test_without_traces_nothing_more_is_reached(chart: Chart) -> None:
    objects = chart()
    assert "CODESESSION_TRACES_ENDPOINT" not in variables(by_kind(objects, "Deployment", "codesession-api"))
    egress = by_kind(objects, "NetworkPolicy", "codesession-api")["spec"]["egress"]
    assert [sorted({port["port"] for port in rule["ports"]}) for rule in egress] == [
        [53],
        [443, 6443],
        ["s3"],
    ]


def test_no_budget_holds_up_the_drain_of_a_node(chart: Chart) -> None:
    """A part of one replica has none: it would forbid every eviction, or none."""
    objects = chart()
    budgets = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "PodDisruptionBudget"}
    assert budgets.keys() == {"codesession-api"}
    assert budgets["codesession-api"]["maxUnavailable"] == 1
    assert budgets["codesession-api"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    deployment = by_kind(objects, "Deployment", "codesession-api")
    assert budgets["codesession-api"]["selector"] == deployment["spec"]["selector"]


def test_replicas_of_the_api_are_spread_over_nodes_and_zones(chart: Chart) -> None:
    deployment = by_kind(chart(), "Deployment", "codesession-api")
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for rule in spread:
        # One node is enough for a release of two replicas.
        assert rule["whenUnsatisfiable"] == "ScheduleAnyway"
        assert rule["labelSelector"] == deployment["spec"]["selector"]


def test_the_api_may_finish_the_longest_run_before_it_is_killed(chart: Chart) -> None:
    objects = chart("environments.default.limits.runSeconds=900", "api.settings.claim_timeout_seconds=90")
    deployment = by_kind(objects, "Deployment", "codesession-api")
    pod = deployment["spec"]["template"]["spec"]
    drain = int(variables(deployment)["CODESESSION_SHUTDOWN_SECONDS"])
    assert drain >= 900 + 90
    stopping = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= drain + stopping


def test_the_exec_policy_allows_the_command_that_the_api_execs(chart: Chart) -> None:
    policy = by_kind(chart(), "ValidatingAdmissionPolicy", "codesession-sandbox-exec")
    command = ", ".join(f"'{word}'" for word in RELAY)
    assert any(
        f"object.command == [{command}]" in rule["expression"] for rule in policy["spec"]["validations"]
    )


def test_the_pod_policy_looks_at_the_label_that_the_operator_sets(chart: Chart) -> None:
    policy = by_kind(chart(), "ValidatingAdmissionPolicy", "codesession-sandbox-pods")
    assert any(labels.SESSION in rule["expression"] for rule in policy["spec"]["validations"])


@pytest.mark.parametrize("values", [(), ("networkPolicy.enabled=false",)])
def test_every_pod_of_the_sandboxes_namespace_is_cut_off_until_a_policy_says_else(
    chart: Chart, values: tuple[str, ...]
) -> None:
    policy = by_kind(chart(*values), "NetworkPolicy", "codesession-deny")
    assert policy["metadata"]["namespace"] == "codesession-sandboxes"
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
