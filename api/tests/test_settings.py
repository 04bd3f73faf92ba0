from __future__ import annotations

import pytest

from codesession_api.settings import Settings, SettingsError, load


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CODESESSION_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "CODESESSION_BACKEND=kubernetes needs CODESESSION_S3_ENDPOINT"),
        ({"BACKEND": "docker"}, "CODESESSION_BACKEND: input should be 'kubernetes' or 'local'"),
        ({"BACKEND": "local", "PORT": "70000"}, "CODESESSION_PORT: input should be less than"),
        ({"BACKEND": "local", "PORT": "eight"}, "CODESESSION_PORT: input should be a valid integer"),
        ({"BACKEND": "local", "RUN_SECONDS": "0"}, "CODESESSION_RUN_SECONDS: input should be greater than 0"),
        ({"BACKEND": "local", "AUTH": "api-key"}, "CODESESSION_AUTH=api-key needs CODESESSION_API_KEYS_FILE"),
        ({"BACKEND": "local", "AUTH": "jwt,basic"}, "CODESESSION_AUTH=basic needs CODESESSION_API_KEYS_FILE"),
        (
            {"BACKEND": "local", "AUTH": "path-key"},
            "CODESESSION_AUTH=path-key needs CODESESSION_API_KEYS_FILE",
        ),
        ({"BACKEND": "local", "AUTH": "jwt"}, "CODESESSION_AUTH=jwt needs CODESESSION_JWT_KEYS"),
        ({"BACKEND": "local", "AUTH": "none, jwt"}, "CODESESSION_AUTH=none goes with no other way"),
        ({"BACKEND": "local", "AUTH": "yes"}, "CODESESSION_AUTH: input should be 'none', 'api-key', 'basic'"),
        ({"BACKEND": "local", "AUTH": " ,"}, "CODESESSION_AUTH: tuple should have at least 1 item"),
        ({"BACKEND": "local", "JWT_ISSUER": ""}, "CODESESSION_JWT_ISSUER: string should have at least 1"),
        ({"BACKEND": "local", "CORS_ORIGINS": "*"}, "CODESESSION_CORS_ORIGINS=* needs a CODESESSION_AUTH"),
        (
            {"BACKEND": "local", "AUTH": "none", "CORS_ORIGINS": "https://a.example,*"},
            "CODESESSION_CORS_ORIGINS=* needs a CODESESSION_AUTH",
        ),
        (
            {"BACKEND": "local", "CORS_ORIGINS": "a.example"},
            "CODESESSION_CORS_ORIGINS: an origin is `scheme:",
        ),
        (
            {"BACKEND": "local", "CORS_ORIGINS": "https://a.example/"},
            "CODESESSION_CORS_ORIGINS: an origin is",
        ),
        (
            {"BACKEND": "local", "AUTH": "none", "TENANT_ENVIRONMENTS": '{"acme": "gpu"}'},
            "CODESESSION_TENANT_ENVIRONMENTS needs a CODESESSION_AUTH",
        ),
        ({"BACKEND": "local", "TENANT_ENVIRONMENTS": "acme=gpu"}, "CODESESSION_*: error parsing value for"),
        ({"BACKEND": "local", "S3_ENDPOINT": "s3:9000"}, "CODESESSION_S3_ENDPOINT needs"),
        (
            {"BACKEND": "local", "S3_ENDPOINT": "http://s3:9000"},
            "CODESESSION_S3_ENDPOINT: string",
        ),
        ({"RUN_SECOND": "5"}, "CODESESSION_RUN_SECOND is no setting; did you mean CODESESSION_RUN_SECONDS?"),
        ({"BACKEND": "local", "OUTPUT_BYTES": "1024"}, "CODESESSION_OUTPUT_BYTES: input should be greater"),
    ],
)
def test_a_value_that_cannot_work_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], complaint: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"CODESESSION_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load()
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESESSION_S3_SECRET_KEY", "s3cret-value")
    monkeypatch.setenv("CODESESSION_RUN_SECONDS", "s3cret-value")
    with pytest.raises(SettingsError) as refused:
        load(backend="local")
    assert "s3cret" not in str(refused.value)
    monkeypatch.delenv("CODESESSION_RUN_SECONDS")
    assert "s3cret" not in repr(load(backend="local"))


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESESSION_PORT", "8001")
    monkeypatch.setenv("CODESESSION_LANGUAGES", "py, bash,r")
    settings = load(backend="local", port=8002)
    assert settings.port == 8002
    assert settings.languages == ("py", "bash", "r")


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPERATOR_WORKERS", "E2E_URL", "CACHE", "URL", "API_KEY"):
        monkeypatch.setenv(f"CODESESSION_{name}", "1")
    assert load(backend="local").backend == "local"


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
