"""Every setting of the API, read once from `CODESESSION_*`; a value that cannot work stops the start."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic_settings
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from codesession_crds.variables import first_fault, unknown_variable

MIB = 1024 * 1024
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/,\s]+")
_COLLECTOR = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
PREFIX = "CODESESSION_"
_OTHERS = tuple(PREFIX + part for part in ("OPERATOR_", "E2E_", "CACHE", "PROBE_"))
_CLIENTS = {"CODESESSION_URL", "CODESESSION_API_KEY"}
"""What the client reads, on a machine that may have both."""

Way = Literal["none", "api-key", "basic", "path-key", "jwt"]
"""How a client can prove who it is."""


class SettingsError(Exception):
    """One line that names the variable and what is wrong with it; never its value."""


class Settings(BaseSettings):
    """A field is read from its name in upper case behind `CODESESSION_`, e.g. `CODESESSION_S3_ENDPOINT`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    backend: Literal["kubernetes", "local"] = Field(
        "kubernetes", description="Where code runs: pods of a cluster, or child processes of this one."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="TCP port of Prometheus' metrics, on the same address; none without it.",
    )
    traces_endpoint: str | None = Field(
        None,
        description="URL that traces are sent to by OTLP, such as `http://collector:4318/v1/traces`; none "
        "are made without it. The `OTEL_*` variables of OpenTelemetry's SDK choose the rest.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severity that is logged."
    )
    shutdown_seconds: int = Field(
        30,
        ge=0,
        le=3600,
        description="Seconds that running requests have to finish on SIGTERM.",
    )

    auth: Annotated[tuple[Way, ...] | None, NoDecode] = Field(
        None,
        min_length=1,
        description="How clients prove who they are: a comma list of `api-key`, `basic`, `path-key` and "
        "`jwt`, or `none` alone. It must be chosen: there is no default.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of `tenant:sha256-hex-of-the-key` lines, for `api-key`, `basic` and `path-key`; "
        "read again when it changes.",
    )
    jwt_keys: Path | None = Field(
        None,
        description="Directory of the public keys for `jwt`, each a file `<kid>.pem`; read again when it "
        "changes.",
    )
    jwt_issuer: str = Field("librechat", min_length=1, description="The `iss` that a token must have.")
    jwt_audience: str = Field("codeapi", min_length=1, description="The `aud` that a token must have.")

    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma list of the origins whose web pages may call the API, such as "
        "`https://chat.example.org`; `*` for all, which needs authentication.",
    )

    namespace: str = Field("codesession-sandboxes", description="Kubernetes namespace of the sessions.")
    environment: str = Field("default", description="CodeEnvironment whose sandboxes are claimed.")
    tenant_environments: dict[str, str] = Field(
        default_factory=dict,
        description="Tenants that get sandboxes of another CodeEnvironment, as JSON: its name by the "
        "tenant's, as the keys file or a token names it.",
    )
    claim_timeout_seconds: float = Field(
        60,
        gt=0,
        le=600,
        description="Seconds that a request waits for a sandbox until it is refused.",
    )

    s3_endpoint: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.:\[\]-]+$",
        description="`host[:port]` of the S3 server for files; without it, `local_directory`.",
    )
    s3_access_key: SecretStr | None = Field(None, description="S3 access key.")
    s3_secret_key: SecretStr | None = Field(None, description="S3 secret key.")
    s3_bucket: str = Field("codesession", min_length=3, max_length=63, description="Bucket; made if missing.")
    s3_region: str = Field("us-east-1", description="S3 region.")
    s3_secure: bool = Field(True, description="Whether S3 is spoken over TLS.")

    local_directory: Path = Field(
        Path.home() / ".local/share/codesession",
        description="Local backend: directory of the files and workspaces.",
    )
    local_warm: int = Field(
        1, ge=0, le=32, description="Local backend: sandboxes kept started ahead of claims."
    )
    local_idle_seconds: float = Field(
        1800,
        gt=0,
        description="Local backend: seconds without a run after which a sandbox is ended.",
    )
    local_sandboxes: int = Field(
        16, ge=1, le=1024, description="Local backend: the most sandboxes alive at one time."
    )
    sandbox_python: Path = Field(
        Path(sys.executable), description="Local backend: the Python interpreter that runs the code."
    )
    unsafe_no_sandbox: bool = Field(
        False,
        description="Local backend: run code unisolated where neither runsc nor bwrap is.",
    )

    continuation_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret that all replicas share, by which each can go on with a program that calls "
        "tools; without it, each makes one for itself.",
    )
    mcp: bool = Field(
        True, description="Whether the MCP server answers, at `/mcp` and, the older transport, at `/sse`."
    )
    playground: bool | None = Field(
        None,
        description="Whether there is a page to try things at `/playground`; where it is not said, only with "
        "the local backend.",
    )
    profile: Literal["default", "stateful"] = Field(
        "default",
        description="Execution profile of this deployment; a client that expects the other one gets 409.",
    )
    languages: Annotated[tuple[str, ...], NoDecode] = Field(
        ("py", "bash"),
        description="Comma list of the languages that the environment offers.",
    )
    run_seconds: float = Field(
        120,
        gt=0,
        le=86400,
        description="The longest wall time of a run, in seconds.",
    )
    concurrent_runs: int = Field(
        256,
        ge=1,
        description="Exec requests that one replica serves at one time; others get 429.",
    )
    principal_runs: int = Field(
        128,
        ge=1,
        description="Exec requests of one principal that one replica serves at one time.",
    )
    output_bytes: int = Field(
        MIB,
        ge=65536,
        le=64 * MIB,
        description="Bytes kept of the stdout of a run, and of its stderr.",
    )
    file_bytes: int = Field(
        50 * MIB, ge=1, description="Local backend: bytes of the largest file that code may write."
    )
    run_files: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Input files that a run may name, and changed files that it gives.",
    )
    processes: int = Field(
        128, ge=1, le=32768, description="Local backend: processes that a run may have at one time."
    )
    memory_bytes: int = Field(
        1024 * MIB,
        ge=0,
        description="Local backend: bytes of memory of a run, its files in memory included; 0 for no limit.",
    )
    workspace_bytes: int = Field(
        1024 * MIB, ge=0, description="Local backend: bytes of the files of one session; 0 for no limit."
    )
    request_bytes: int = Field(
        50_000_000, ge=1024, description="Bytes of the largest JSON request, code included."
    )
    upload_bytes: int = Field(150 * MIB, ge=1, description="Bytes of the largest upload request.")
    upload_file_bytes: int = Field(150 * MIB, ge=1, description="Bytes of the largest uploaded file.")
    upload_files: int = Field(200, ge=1, description="Files of one upload request.")
    content_bytes: int = Field(
        25 * MIB, ge=1, description="Bytes of the largest file that is given in base64, as JSON."
    )
    session_bytes: int = Field(
        1024 * MIB, ge=1, description="Bytes of all files that one session stores, or one upload request."
    )
    session_files: int = Field(
        2000, ge=1, description="Files that one session stores, old states of changed ones included."
    )
    principal_bytes: int = Field(
        0,
        ge=0,
        description="Bytes of all files of one principal, a tenant's key or a user; 0 for no limit.",
    )
    user_files: bool = Field(
        False, description="Whether a user's uploads are there in each new session of that user."
    )
    retention_hours: float = Field(
        168, ge=24, description="Hours after which a file that no run used is deleted."
    )
    sweep_seconds: float = Field(
        3600, gt=0, description="Seconds between two sweeps for files past their retention, of all replicas."
    )
    transfers: int = Field(
        4, ge=1, le=64, description="Files that one request moves between sandbox and storage at one time."
    )
    keep_alive_seconds: float = Field(
        3,
        gt=0,
        le=60,
        description="Seconds between the spaces that an unfinished run sends.",
    )

    @field_validator("auth", "cors_origins", "languages", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("an origin is `scheme://host[:port]`, without a path, or `*`")
        return value

    @field_validator("traces_endpoint")
    @classmethod
    def _collector(cls, value: str | None) -> str | None:
        if value is not None and not _COLLECTOR.fullmatch(value):
            raise ValueError("is to be an http or https URL; a key goes into OTEL_EXPORTER_OTLP_HEADERS")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ways = self.auth or ()
        if self.tenant_environments and "none" in (self.auth or ("none",)):
            raise ValueError("CODESESSION_TENANT_ENVIRONMENTS needs a CODESESSION_AUTH that is not `none`")
        if "*" in self.cors_origins and "none" in (self.auth or ("none",)):
            raise ValueError("CODESESSION_CORS_ORIGINS=* needs a CODESESSION_AUTH that is not `none`")
        if "none" in ways and len(ways) > 1:
            raise ValueError("CODESESSION_AUTH=none goes with no other way")
        if (by_key := {"api-key", "basic", "path-key"} & {*ways}) and self.api_keys_file is None:
            raise ValueError(f"CODESESSION_AUTH={min(by_key)} needs CODESESSION_API_KEYS_FILE")
        if "jwt" in ways and self.jwt_keys is None:
            raise ValueError("CODESESSION_AUTH=jwt needs CODESESSION_JWT_KEYS")
        if self.backend == "kubernetes" and self.s3_endpoint is None:
            raise ValueError("CODESESSION_BACKEND=kubernetes needs CODESESSION_S3_ENDPOINT")
        if self.s3_endpoint is not None and (self.s3_access_key is None or self.s3_secret_key is None):
            raise ValueError("CODESESSION_S3_ENDPOINT needs CODESESSION_S3_ACCESS_KEY and _SECRET_KEY")
        return self


def load(**given: Any) -> Settings:
    """The settings of this process; `given` wins over the environment. Raises SettingsError."""
    if fault := unknown_variable(os.environ.keys() - _CLIENTS, PREFIX, Settings.model_fields, _OTHERS):
        raise SettingsError(fault)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(first_fault(error, PREFIX)) from None
    except pydantic_settings.SettingsError as error:
        # It names the field; the value is in its cause.
        raise SettingsError(f"{PREFIX}*: {error}, which is to be JSON") from None
