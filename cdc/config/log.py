"""The sections `log:` and `registry:`: Kafka and Confluent's API, or both embedded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from cdc.config.section import CONNECTOR, PROJECT, ClientTls, ConfigPath, Section


class KafkaLog(Section):
    """Kafka; `options` passes any setting of librdkafka through."""

    kind: Literal["kafka"]
    bootstrap_servers: Annotated[str, Field(min_length=1)]
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    wait_seconds: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """How long to wait at start for a broker that isn't there."""


class EmbeddedLog(Section):
    """A log in one SQLite file."""

    kind: Literal["embedded"] = "embedded"
    path: Annotated[ConfigPath, Field(validate_default=True)] = Path(
        f"{PROJECT}/data/{CONNECTOR}.db"
    )


Log = Annotated[KafkaLog | EmbeddedLog, Field(discriminator="kind")]


def _check_url(text: str) -> str:
    if not re.match(r"https?://[^/@\s]+(/\S*)?\Z", text):
        raise ValueError("allowed: http://host:port, https too; user and password go to auth")
    return text


class RegistryAuth(Section):
    """Basic authentication with `user` and `password`, or bearer with `token`."""

    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None

    @model_validator(mode="after")
    def _one_way(self) -> RegistryAuth:
        is_basic = self.user is not None and self.password is not None
        has_basic = self.user is not None or self.password is not None
        if is_basic == (self.token is not None) or has_basic != is_basic:
            raise ValueError("allowed: user with password, or token alone")
        return self


class ConfluentRegistry(Section):
    """A registry that speaks Confluent's HTTP API."""

    kind: Literal["confluent"] = "confluent"
    url: Annotated[str, AfterValidator(_check_url)]
    auth: RegistryAuth | None = None
    tls: ClientTls = ClientTls()
    wait_seconds: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """How long to wait at start for a registry that isn't there."""


class EmbeddedRegistry(Section):
    """A registry in an SQLite file; left out, in the embedded log's."""

    kind: Literal["embedded"] = "embedded"
    path: ConfigPath | None = None


def _kind_of_registry(value: Any) -> str | None:
    kind = value.get("kind", "confluent") if isinstance(value, dict) else value.kind
    return kind if isinstance(kind, str) else None


Registry = Annotated[
    Annotated[ConfluentRegistry, Tag("confluent")] | Annotated[EmbeddedRegistry, Tag("embedded")],
    Discriminator(_kind_of_registry),
]
