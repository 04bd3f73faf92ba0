"""What the models of both resources are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP: Final = "codesession.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "codesession.dev/v1alpha1"

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def rfc3339(moment: datetime) -> str:
    """The moment in UTC as Kubernetes writes it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[AwareDatetime, PlainSerializer(rfc3339, when_used="json-unless-none")]


class Model(BaseModel):
    """A part of a resource: camelCase outside; fields unknown here are ignored, not refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True
    )

    def to_json(self) -> dict[str, Any]:
        """As Kubernetes takes it: aliases, no absent field."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """The JSON schema extra that makes the API server hold (rule, message) pairs."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


class Metadata(Model):
    """The fields of an object's metadata that are read here."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class Resource(Model):
    """An object of the cluster."""

    metadata: Metadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def uid(self) -> str:
        """Empty until the API server gave one."""
        return self.metadata.uid

    @property
    def version(self) -> str:
        return self.metadata.resource_version

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None
