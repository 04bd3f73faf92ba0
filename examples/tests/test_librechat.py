"""The stack of `librechat/`: what reads its files takes them, and the two sides agree."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml

from charts import render
from codesession_api.auth.claims import context_hash
from codesession_api.settings import PREFIX, Settings
from e2e.cluster.cache import binary
from e2e.targets.embedded import embedded

ROOT = Path(__file__).parents[2]
STACK = ROOT / "examples/librechat"
PAGE = ROOT / "docs/librechat.md"

# The first of them may have to build helm.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A copy, with the secrets that its script makes."""
    copy = Path(shutil.copytree(STACK, tmp_path / "stack", ignore=shutil.ignore_patterns(".env", "keys")))
    subprocess.run([copy / "setup.sh"], check=True, capture_output=True)
    return copy


def variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def compose(stack: Path) -> dict[str, Any]:
    """The file as the loader of Docker's plugin understands it."""
    command: list[str | Path] = [binary("compose-spec"), "-format", "json", "compose.yaml"]
    done = subprocess.run(command, cwd=stack, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    project: dict[str, Any] = json.loads(done.stdout)
    return project


def values(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((STACK / name).read_text())
    return loaded


def read_elsewhere() -> set[str]:
    """The variables of which the page says who reads them."""
    table = PAGE.read_text().split("| variable | read by |")[1].split("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines()[2:]]
    assert all(len(row) == 5 and row[2].strip() for row in rows)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}


def named(stack: Path) -> Iterator[tuple[str, str]]:
    """Each variable of the examples, and where it is."""
    for name, service in compose(stack)["services"].items():
        yield from ((f"compose.yaml {name}", variable) for variable in service.get("environment") or {})
    for file in (".env", "codesession.env"):
        yield from ((file, variable) for variable in variables(stack / file))
    configured = values("librechat-values.yaml")["librechat"]["configEnv"]
    yield from (("librechat-values.yaml", variable) for variable in configured)
    for document in yaml.safe_load_all((STACK / "ollama.yaml").read_text()):
        if document["kind"] == "Deployment":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            yield from (("ollama.yaml", variable["name"]) for variable in container["env"])


def test_each_variable_is_one_that_somebody_reads(stack: Path) -> None:
    ours = {PREFIX + name.upper() for name in Settings.model_fields}
    found = list(named(stack))
    assert {where.split()[0] for where, _ in found} >= {"compose.yaml", ".env", "codesession.env"}
    assert [pair for pair in found if pair[1] not in read_elsewhere() | ours] == []


def test_no_container_of_the_stack_has_more_than_dockers_defaults(stack: Path) -> None:
    project = compose(stack)
    assert set(project["services"]) == {"librechat", "mongodb", "ollama", "model"}
    for service in project["services"].values():
        assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & set(service)
        assert set(service.get("security_opt", ())) <= {"no-new-privileges:true"}
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ()))
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))
    assert project["networks"]["database"]["internal"] is True
    assert list(project["services"]["mongodb"]["networks"]) == ["database"]


def test_secrets_are_made_once_and_only_their_owner_reads_them(stack: Path) -> None:
    made = variables(stack / ".env")
    lengths = {"CREDS_KEY": 32, "CREDS_IV": 16, "JWT_SECRET": 32, "JWT_REFRESH_SECRET": 32}
    assert {name: len(bytes.fromhex(made[name])) for name in lengths} == lengths
    assert (stack / ".env").stat().st_mode & 0o777 == 0o600
    again = subprocess.run([stack / "setup.sh"], check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "there already" in again.stderr
    assert variables(stack / ".env") == made


def token(stack: Path) -> str:
    """As LibreChat signs it, by what it is told."""
    environment = variables(stack / ".env") | compose(stack)["services"]["librechat"]["environment"]
    key = base64.b64decode(environment["CODEAPI_JWT_PRIVATE_KEY_BASE64"])
    now = int(time.time())
    claims = {"iss": "librechat", "aud": "codeapi", "sub": "1", "iat": now, "nbf": now, "exp": now + 300}
    claims |= {"jti": "1", "tenant_id": "legacy", "role": "USER", "principal_source": "librechat_jwt"}
    claims["auth_context_hash"] = context_hash(claims)
    return jwt.encode(claims, key, "EdDSA", headers={"kid": environment["CODEAPI_JWT_KID"]})


@pytest.mark.sandbox
def test_code_runs_for_librechats_token_and_for_nobody_without(stack: Path, tmp_path: Path) -> None:
    given = {
        name.removeprefix(PREFIX).lower(): text for name, text in variables(STACK / "codesession.env").items()
    }
    given["jwt_keys"] = given["jwt_keys"].replace("examples/librechat", str(stack))
    # The bridge is Docker's, and there may be none.
    assert re.fullmatch(r"172\.\d+\.\d+\.\d+", given.pop("host"))
    run = {"lang": "py", "code": "print(40 + 2)"}
    with embedded(tmp_path, **given) as target, httpx.Client(timeout=60, trust_env=False) as client:
        answer = client.post(
            f"{target.url}/v1/exec", json=run, headers={"Authorization": f"Bearer {token(stack)}"}
        )
        assert (answer.status_code, answer.json()["stdout"]) == (200, "42\n")
        assert client.post(f"{target.url}/v1/exec", json=run).status_code == 401


def test_the_chart_takes_the_values_and_lets_in_librechats_pods_alone() -> None:
    objects = [o for o in yaml.safe_load_all(render.template("--values", str(STACK / "values.yaml"))) if o]
    policy = next(
        o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "codesession-api"
    )
    (serving, *_) = policy["spec"]["ingress"]
    (peer,) = serving["from"]
    # LibreChat's chart labels its pods so: app.kubernetes.io/name is its full name.
    assert peer["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": values("librechat-values.yaml")["fullnameOverride"]
    }
    (environment,) = [o["spec"] for o in objects if o["kind"] == "CodeEnvironment"]
    assert len(environment["languages"]) == 13


def test_both_stacks_name_one_service_release_model_and_key(stack: Path) -> None:
    services = compose(stack)["services"]
    chart = values("librechat-values.yaml")
    configured = chart["librechat"]["configEnv"]
    # As the chart's notes give it.
    assert configured["LIBRECHAT_CODE_BASEURL"] == "http://codesession-api.codesession-system/v1"
    port = Settings.model_fields["port"].default
    single = services["librechat"]
    assert single["environment"]["LIBRECHAT_CODE_BASEURL"] == f"http://host.docker.internal:{port}/v1"
    assert single["image"].endswith(f":{chart['image']['tag']}")
    (kid,) = [path.stem for path in (stack / "keys").iterdir()]
    assert {single["environment"]["CODEAPI_JWT_KID"], configured["CODEAPI_JWT_KID"]} == {kid}
    (endpoint,) = values("librechat.yaml")["endpoints"]["custom"]
    assert services["model"]["entrypoint"][-1] in endpoint["models"]["default"]
    assert endpoint["baseURL"].startswith(services["model"]["environment"]["OLLAMA_HOST"])
    assert f"image: {services['ollama']['image']}\n" in (STACK / "ollama.yaml").read_text()


def test_the_charts_own_secrets_of_librechat_are_left_out() -> None:
    """Its defaults are in its repository for everyone to read."""
    configured = values("librechat-values.yaml")["librechat"]["configEnv"]
    secrets = ("CREDS_KEY", "CREDS_IV", "JWT_SECRET", "JWT_REFRESH_SECRET")
    assert {name: configured[name] for name in secrets} == dict.fromkeys(secrets)
