"""A schema registry with Confluent's HTTP API: Confluent's own, Apicurio, Karapace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from cdc.errors import CdcError, RegistryError, Unreachable
from cdc.ports import Seam, untouched

TIMEOUT_SECONDS = 10
"""For each of connecting, sending and waiting for an answer; the client itself has no limit."""
KEPT_MAX = 10_000
"""Ids and schemas remembered; when full, all are forgotten."""

_NO_REGISTRY = "check the url; Apicurio's Confluent API is below /apis/ccompat/v7"


class ConfluentRegistry:
    """Schemas by id and subject.

    What comes back is the JSON value that went in, but for two freedoms that registries take:
    `{"type": "int"}` comes back as `"int"`, and a schema that differs from a known one in its
    documentation alone may get that one's id."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str = "",
        bearer_token: str | None = None,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        key_password: str | None = None,
        timeout_seconds: int = TIMEOUT_SECONDS,
        seam: Seam = untouched,
    ) -> None:
        self._where = _without_login(url)
        config: dict[str, Any] = {
            "url": url,
            "timeout": timeout_seconds,
            "max.retries": 0,  # who calls knows how long to go on trying
        }
        if user is not None:
            config["basic.auth.user.info"] = f"{user}:{password}"
        if bearer_token is not None:
            config["bearer.auth.credentials.source"] = "CUSTOM"
            config["bearer.auth.custom.provider.function"] = _bearer_fields
            config["bearer.auth.custom.provider.config"] = {"bearer.auth.token": bearer_token}
        files = {
            "ssl.ca.location": ca_file,
            "ssl.certificate.location": certificate_file,
            "ssl.key.location": key_file,
        }
        config.update({name: str(path) for name, path in files.items() if path is not None})
        if key_password is not None:
            config["ssl.key.password"] = key_password
        try:
            self._client: SchemaRegistryClient = seam(SchemaRegistryClient(config))
            self._forget: Callable[[], None] = self._client.clear_caches
        except (OSError, ValueError) as error:
            # The client repeats its settings, logins too (invariant 9); an OSError names a file.
            detail = f": {error}" if isinstance(error, OSError) else ""
            raise RegistryError(
                f"setting up the client of the schema registry at {self._where}{detail}",
                hint="check registry.url and the certificate files",
            ) from None
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, Any] = {}

    def register(self, subject: str, schema: Mapping[str, Any] | Sequence[Any] | str) -> int:
        text = json.dumps(schema, ensure_ascii=False)
        known = self._ids.get((subject, text))
        if known is not None:
            return known
        doing = f"registering a schema under {subject}"
        try:
            schema_id = self._client.register_schema(subject, Schema(text, "AVRO"))
        except Exception as error:  # noqa: BLE001 – each kind becomes one of ours
            self._fail(doing, error)
        self._make_room(self._ids)
        self._ids[subject, text] = schema_id
        return schema_id

    def schema(self, schema_id: int) -> Any:
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        doing = f"asking for schema {schema_id}"
        try:
            found = self._client.get_schema(schema_id)
        except Exception as error:  # noqa: BLE001
            self._fail(doing, error)
        if found.schema_type not in (None, "AVRO") or found.references:
            raise RegistryError(
                f"{doing}: it is of type {found.schema_type} with {len(found.references or [])}"
                " references",
                hint="only Avro schemas without references to other schemas are read",
            )
        assert found.schema_str is not None
        self._make_room(self._schemas)
        schema = self._schemas[schema_id] = json.loads(found.schema_str)
        return schema

    def subjects(self) -> Sequence[str]:
        try:
            return sorted(self._client.get_subjects())
        except Exception as error:  # noqa: BLE001
            self._fail("listing the subjects", error)

    def versions(self, subject: str) -> Sequence[int]:
        doing = f"listing the versions of {subject}"
        try:
            numbers = self._client.get_versions(subject)
            versions = [self._client.get_version(subject, number) for number in sorted(numbers)]
        except SchemaRegistryError as error:
            if error.error_code == SUBJECT_NOT_FOUND:
                return []
            self._fail(doing, error)
        except Exception as error:  # noqa: BLE001
            self._fail(doing, error)
        return [version.schema_id for version in versions if version.schema_id is not None]

    def close(self) -> None:
        self._client.close()

    def _make_room(self, kept: dict[Any, Any]) -> None:
        if len(kept) >= KEPT_MAX:
            kept.clear()
            self._forget()  # the client keeps all that it ever saw

    def _fail(self, doing: str, error: Exception) -> NoReturn:
        """Raise our error for the client's."""
        raise _failure(f"{doing} at {self._where}", error) from (
            error if isinstance(error, SchemaRegistryError) else None
        )


SUBJECT_NOT_FOUND = 40401


def _failure(doing: str, error: Exception) -> CdcError:
    if not isinstance(error, SchemaRegistryError):
        if isinstance(error, ValueError):
            return RegistryError(f"{doing}: the answer is not a registry's", hint=_NO_REGISTRY)
        return Unreachable(
            f"{doing}: {type(error).__name__}: {error}", hint="is it up and reachable?"
        )
    status = error.http_status_code
    words = f"{doing}: {error.error_message} (HTTP {status}, code {error.error_code})"
    if status in (401, 403):
        return RegistryError(
            words, hint="check the registry's user, password or token, and that user's rights"
        )
    if status in (408, 429) or status >= 500:
        return Unreachable(words, hint="try again; the registry's own log may say more")
    if status == 409:
        return RegistryError(
            words,
            hint="the new schema breaks the subject's compatibility; change the schema, or the"
            " subject's compatibility level in the registry",
        )
    if status == 404 and error.error_code in (-1, None, 404):
        return RegistryError(words, hint=_NO_REGISTRY)
    return RegistryError(words)


def _bearer_fields(config: Mapping[str, str]) -> dict[str, str]:
    # The client insists on a logical cluster, which only Confluent's cloud has.
    return {**config, "bearer.auth.logical.cluster": ""}


def _without_login(url: str) -> str:
    """The url without user and password, for messages (invariant 9)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
