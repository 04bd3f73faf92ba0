"""The operator's settings: environment variables with the prefix CODESESSION_OPERATOR_."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

import pydantic_settings
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from codesession_crds.quantity import Quantity
from codesession_crds.variables import first_fault, unknown_variable
from codesession_operator.builders.network import PRIVATE

PREFIX = "CODESESSION_OPERATOR_"
_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")


class SettingsError(Exception):
    """One line that names the variable and what is wrong with it; never its value."""


class OperatorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX)

    namespace: Annotated[
        str, Field(description="The namespace whose environments and sessions are served.")
    ] = "codesession-sandboxes"
    workers: Annotated[int, Field(ge=1, le=256, description="Objects reconciled at once.")] = 24
    host: Annotated[str, Field(description="Address that /livez, /readyz and /metrics listen on.")] = (
        "0.0.0.0"  # noqa: S104 - a pod's own
    )
    port: Annotated[int, Field(ge=1, le=65535, description="Port of /livez, /readyz and /metrics.")] = 8080
    inactivity_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds of silence after which a watch is opened anew; the API server breaks it "
            "once a minute.",
        ),
    ] = 70
    audit_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds between two comparisons of the caches with the API server, which find what "
            "watches missed and watches that died.",
        ),
    ] = 120
    audit_grace_seconds: Annotated[
        float, Field(gt=0, description="Seconds by which a cache may be behind before /livez turns red.")
    ] = 20
    status_seconds: Annotated[
        float, Field(ge=0, description="Seconds between two updates of an environment's counts.")
    ] = 5
    max_restarts: Annotated[
        int,
        Field(
            ge=0, description="Pods of one claimed session that may fail or get lost before it is given up."
        ),
    ] = 10
    quota: Annotated[
        dict[str, Quantity],
        Field(description="Hard limits of the namespace's ResourceQuota, as JSON; empty for none."),
    ] = Field(
        default={
            "count/codesessions.codesession.dev": "1000",
            "count/pods": "500",
            "count/persistentvolumeclaims": "500",
        }
    )
    denied_cidrs: Annotated[
        list[str],
        Field(
            max_length=32,
            description="Networks, as JSON, that no allow list opens: the cluster's nodes, pods and "
            "services. Link-local and metadata addresses are always denied.",
        ),
    ] = list(PRIVATE)
    cluster_addresses: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Comma list of addresses of a node, a pod and a service; names are passed over. "
            "While one is in no denied network, environments with an allow list are refused.",
        ),
    ] = ()
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING"], Field(description="What is logged.")] = "INFO"

    @field_validator("denied_cidrs")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        return [str(ip_network(cidr, strict=False)) for cidr in value]

    @field_validator("cluster_addresses", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        """A service's may be a name, where a cloud puts one in KUBERNETES_SERVICE_HOST."""
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return tuple(str(ip_address(part)) for part in parts if part and not _NAME.fullmatch(part))


def load() -> OperatorSettings:
    """The settings of this process. Raises SettingsError."""
    if fault := unknown_variable(os.environ, PREFIX, OperatorSettings.model_fields):
        raise SettingsError(fault)
    try:
        return OperatorSettings()
    except ValidationError as error:
        raise SettingsError(first_fault(error, PREFIX)) from None
    except pydantic_settings.SettingsError as error:
        # It names the field; the value is in its cause.
        raise SettingsError(f"{PREFIX}*: {error}, which is to be JSON") from None
