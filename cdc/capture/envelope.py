"""Avro schemas of change events, keys and transaction records: Debezium's, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cdc.capture.types import AvroType

VERSIONS = {"mysql": "3.6.1.Final", "mariadb": "3.5.0.Final"}
"""What `source.version` says: the Debezium whose form this is, by the source's flavor."""

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

    @property
    def is_null_first(self) -> bool:
        """Where null stands in the union: a default's type must come first."""
        return self.default is None


def optional(avro: AvroType) -> dict[str, Any]:
    return {"type": ["null", avro], "default": None}


def _field(field: Field, seen: set[str]) -> dict[str, Any]:
    avro = _once(field.avro, seen)
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
    """The schema of a table's keys."""
    seen: set[str] = set()
    return {
        "type": "record",
        "name": "Key",
        "namespace": namespace,
        "fields": [_field(field, seen) for field in fields],
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
            {"name": "source", "type": _source(flavor)},
            {"name": "transaction", **optional(_TRANSACTION_BLOCK)},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", **optional("long")},
            {"name": "ts_us", **optional("long")},
            {"name": "ts_ns", **optional("long")},
        ],
        "connect.version": 2,
        "connect.name": f"{namespace}.Envelope",
    }


def _source(flavor: Literal["mysql", "mariadb"]) -> dict[str, Any]:
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

TRANSACTION_KEY_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "TransactionMetadataKey",
    "namespace": _COMMON,
    "fields": [{"name": "id", "type": "string"}],
    "connect.version": 1,
    "connect.name": f"{_COMMON}.TransactionMetadataKey",
}

TRANSACTION_VALUE_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "TransactionMetadataValue",
    "namespace": _COMMON,
    "fields": [
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
    "connect.version": 1,
    "connect.name": f"{_COMMON}.TransactionMetadataValue",
}
