"""Avro schemas of change events, keys and transaction records: Debezium's, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cdc.capture.types import AvroType

_VERSIONS = {"mysql": "3.6.1.Final", "mariadb": "3.5.0.Final"}


def version_of(flavor: Literal["mysql", "mariadb"], compat: str) -> str:
    """What `source.version` says: the Debezium whose form this is."""
    return "3.7.0.Final" if compat == "debezium-3.7" else _VERSIONS[flavor]


_SNAPSHOT = {
    "type": "string",
    "connect.version": 1,
    "connect.parameters": {
        "allowed": "true,first,first_in_data_collection,last_in_data_collection,last,"
        "false,incremental"
    },
    "connect.default": "false",
    "connect.name": "io.debezium.data.Enum",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a value record."""

    name: str
    avro: AvroType
    nullable: bool
    default: Any = None
    parameters: Mapping[str, str] | None = None
    """Connect parameters beside the type's own: what the source says of the column."""
    comment: str = ""

    @property
    def is_null_first(self) -> bool:
        """Where null stands in the union: a default's type must come first."""
        return self.default is None


def optional(avro: AvroType) -> dict[str, Any]:
    return {"type": ["null", avro], "default": None}


def _decorated(field: Field) -> AvroType:
    """The type with comment and parameters."""
    if not field.parameters and not field.comment:
        return field.avro
    avro: dict[str, Any] = {"type": field.avro} if isinstance(field.avro, str) else field.avro
    more: dict[str, Any] = {"connect.doc": field.comment} if field.comment else {}
    if field.parameters:
        parameters = {**avro.get("connect.parameters", {}), **field.parameters}
        more["connect.parameters"] = parameters
    return {**avro, **more}


def _field(field: Field, seen: set[str]) -> dict[str, Any]:
    avro = _once(_decorated(field), seen)
    if field.default is None:
        if field.nullable:
            return {"name": field.name, **optional(avro)}
        return {"name": field.name, "type": avro}
    decorated = {"connect.default": field.default}
    decorated = {**avro, **decorated} if isinstance(avro, dict) else {"type": avro, **decorated}
    union = [decorated, "null"] if field.nullable else decorated
    return {"name": field.name, "type": union, "default": field.default}


def _once(avro: AvroType, seen: set[str]) -> AvroType:
    """A named record in full the first time, by its name after that, as Avro demands."""
    if isinstance(avro, dict) and avro["type"] == "record":
        name = f"{avro['namespace']}.{avro['name']}"
        if name in seen:
            return name
        seen.add(name)
    return avro


def key_schema(namespace: str, fields: Sequence[Field]) -> dict[str, Any]:
    """The schema of a table's keys, of nothing but names and types.

    Defaults and comments stay out: a key's schema, and with it the id in front of the key, has
    to stay the same as long as its encoding does, since compaction goes by the key's bytes."""
    seen: set[str] = set()
    return {
        "type": "record",
        "name": "Key",
        "namespace": namespace,
        "fields": [_field(Field(f.name, f.avro, f.nullable), seen) for f in fields],
        "connect.name": f"{namespace}.Key",
    }


def value_schema(
    namespace: str, fields: Sequence[Field], flavor: Literal["mysql", "mariadb"]
) -> dict[str, Any]:
    """The schema of a table's change events."""
    seen: set[str] = set()
    value = {
        "type": "record",
        "name": "Value",
        "fields": [_field(field, seen) for field in fields],
        "connect.name": f"{namespace}.Value",
    }
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": namespace,
        "fields": [
            {"name": "before", **optional(value)},
            {"name": "after", **optional("Value")},
            {"name": "source", "type": source_schema(flavor)},
            {"name": "transaction", **optional(_TRANSACTION_BLOCK)},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", **optional("long")},
            {"name": "ts_us", **optional("long")},
            {"name": "ts_ns", **optional("long")},
        ],
        "connect.version": 2,
        "connect.name": f"{namespace}.Envelope",
    }


def source_schema(flavor: Literal["mysql", "mariadb"]) -> dict[str, Any]:
    """The schema of `source`, by the name of the connector."""
    namespace = f"io.debezium.connector.{flavor}"
    return {
        "type": "record",
        "name": "Source",
        "namespace": namespace,
        "fields": [
            {"name": "version", "type": "string"},
            {"name": "connector", "type": "string"},
            {"name": "name", "type": "string"},
            {"name": "ts_ms", "type": "long"},
            {"name": "snapshot", "type": [_SNAPSHOT, "null"], "default": "false"},
            {"name": "db", "type": "string"},
            {"name": "sequence", **optional("string")},
            {"name": "ts_us", **optional("long")},
            {"name": "ts_ns", **optional("long")},
            {"name": "table", **optional("string")},
            {"name": "server_id", "type": "long"},
            {"name": "gtid", **optional("string")},
            {"name": "file", "type": "string"},
            {"name": "pos", "type": "long"},
            {"name": "row", "type": "int"},
            {"name": "thread", **optional("long")},
            {"name": "query", **optional("string")},
        ],
        "connect.version": 1,
        "connect.name": f"{namespace}.Source",
    }


def _event_record(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "event",
        "fields": fields,
        "connect.version": 1,
        "connect.name": f"event.{name}",
    }


_TRANSACTION_BLOCK = _event_record(
    "block",
    [
        {"name": "id", "type": "string"},
        {"name": "total_order", "type": "long"},
        {"name": "data_collection_order", "type": "long"},
    ],
)

_COMMON = "io.debezium.connector.common"


def _common(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": _COMMON,
        "fields": fields,
        "connect.version": 1,
        "connect.name": f"{_COMMON}.{name}",
    }


HEARTBEAT_KEY_SCHEMA = _common("ServerNameKey", [{"name": "serverName", "type": "string"}])
HEARTBEAT_VALUE_SCHEMA = _common("Heartbeat", [{"name": "ts_ms", "type": "long"}])
TRANSACTION_KEY_SCHEMA = _common("TransactionMetadataKey", [{"name": "id", "type": "string"}])
TRANSACTION_VALUE_SCHEMA = _common(
    "TransactionMetadataValue",
    [
        {"name": "status", "type": "string"},
        {"name": "id", "type": "string"},
        {"name": "event_count", **optional("long")},
        {
            "name": "data_collections",
            **optional(
                {
                    "type": "array",
                    "items": [
                        "null",
                        _event_record(
                            "collection",
                            [
                                {"name": "data_collection", "type": "string"},
                                {"name": "event_count", "type": "long"},
                            ],
                        ),
                    ],
                }
            ),
        },
        {"name": "ts_ms", "type": "long"},
    ],
)
