"""Change events as capture writes them, made of rows in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cdc.codec.avro import AvroSchema
from cdc.codec.types import ValueType, record_fields
from cdc.codec.wire import frame
from cdc.model import Message, Offsets, Revision
from cdc.ports import Registry
from cdc.translate.literals import literal
from cdc.translate.table import ChangeSchemas

CONNECTOR = "shop"
COMMITTED_MS = 1_700_000_000_000


def _named(avro: str, name: str, **parameters: str) -> dict[str, Any]:
    extra = {"connect.parameters": parameters} if parameters else {}
    return {"type": avro, "connect.version": 1, **extra, "connect.name": f"io.debezium.{name}"}


_TYPES: dict[str, Any] = {
    "tinyint": {"type": "int", "connect.type": "int16"},
    "int": "int",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "bit": "boolean",
    "varchar": "string",
    "varbinary": "bytes",
    "json": _named("string", "data.Json"),
    "year": _named("int", "time.Year"),
    "date": _named("int", "time.Date"),
    "time": _named("long", "time.MicroTime"),
    "datetime": _named("long", "time.Timestamp"),
    "datetime6": _named("long", "time.MicroTimestamp"),
    "timestamp": _named("string", "time.ZonedTimestamp"),
}


def avro_type(text: str) -> Any:
    """The Avro type of a column: `bigint`, `decimal(10,2)`, `enum(a,b)`; with ` null` a union."""
    if text.endswith(" null"):
        return ["null", avro_type(text.removesuffix(" null"))]
    word, _, inside = text.rstrip(")").partition("(")
    if word == "enum":
        return _named("string", "data.Enum", allowed=inside)
    if word == "decimal":
        precision, scale = map(int, inside.split(","))
        return {
            "type": "bytes",
            "scale": scale,
            "precision": precision,
            "connect.name": "org.apache.kafka.connect.data.Decimal",
            "logicalType": "decimal",
        }
    return _TYPES[text]


_SOURCE = {
    "type": "record",
    "name": "Source",
    "namespace": "io.debezium.connector.mysql",
    "fields": [
        {"name": "ts_ms", "type": "long"},
        {"name": "ts_us", "type": ["null", "long"], "default": None},
        {"name": "ts_ns", "type": ["null", "long"], "default": None},
    ],
}


@dataclass(frozen=True)
class Table:
    """A table with the schemas of its change events."""

    name: str
    columns: Mapping[str, str]
    key: Sequence[str] = ("id",)

    @property
    def topic(self) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{CONNECTOR}.{self.name}")

    @property
    def schemas(self) -> ChangeSchemas:
        fields: dict[str, dict[str, Any]] = {}
        for name, text in self.columns.items():
            type_ = avro_type(text)
            default = {"default": None} if isinstance(type_, list) else {}
            fields[name] = {"name": name, "type": type_, **default}
        value = {"type": "record", "name": "Value", "fields": list(fields.values())}
        envelope = {
            "type": "record",
            "name": "Envelope",
            "namespace": self.topic,
            "fields": [
                {"name": "before", "type": ["null", value], "default": None},
                {"name": "after", "type": ["null", "Value"], "default": None},
                {"name": "source", "type": _SOURCE},
                {"name": "op", "type": "string"},
            ],
        }
        key = {
            "type": "record",
            "name": "Key",
            "namespace": self.topic,
            "fields": [fields[name] for name in self.key],
        }
        return ChangeSchemas(envelope, key if self.key else None)

    def plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as on the wire, of values as a rule would write them; nulls may be left out."""
        types = record_fields(self.schemas.value["fields"][0]["type"][1])
        return {name: _on_the_wire(row.get(name), one.type) for name, one in types.items()}


def _on_the_wire(value: Any, type_: ValueType) -> Any:
    if type_.kind == "bytes" and isinstance(value, str):
        return bytes.fromhex(value)
    is_as_it_is = type_.kind in ("zoned-timestamp", "time-micros") or isinstance(value, bytes)
    return value if is_as_it_is else literal(value, type_)


class Batch(NamedTuple):
    messages: Sequence[Message]
    offsets: Offsets


@dataclass
class History:
    """Change events in commit order, with revisions and offsets that rise."""

    registry: Registry
    messages: list[Message] = field(default_factory=list)
    sequence: int = 0
    committed_us: int | None = None

    def insert(self, table: Table, row: Mapping[str, Any]) -> None:
        self._change(table, "c", None, row)

    def update(self, table: Table, before: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        self._change(table, "u", before, row)

    def snapshot(self, table: Table, row: Mapping[str, Any]) -> None:
        self._change(table, "r", None, row)

    def truncate(self, table: Table) -> None:
        self._message(table, "t", None, None, {})

    def delete(self, table: Table, row: Mapping[str, Any]) -> None:
        self._change(table, "d", row, None)
        self._tombstone(table, row)

    def key_change(self, table: Table, before: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Three records, as Debezium writes a changed primary key."""
        self._change(table, "d", before, None, {"__debezium.newkey": self._key(table, row)})
        self._tombstone(table, before)
        self._change(table, "c", None, row, {"__debezium.oldkey": self._key(table, before)})

    def batch(self) -> Batch:
        """All messages and the offsets after them."""
        offsets = {(one.topic, one.partition): one.offset + 1 for one in self.messages}
        return Batch(tuple(self.messages), offsets)

    def _change(
        self,
        table: Table,
        op: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        headers: Mapping[str, bytes | None] | None = None,
    ) -> None:
        self._message(table, op, before, after, headers or {})

    def _message(
        self,
        table: Table,
        op: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        headers: Mapping[str, bytes | None],
    ) -> None:
        self.sequence += 1
        body = {
            "before": None if before is None else table.plain(before),
            "after": None if after is None else table.plain(after),
            "source": {"ts_ms": COMMITTED_MS, "ts_us": self.committed_us, "ts_ns": None},
            "op": op,
        }
        value = self._framed(f"{table.topic}-value", table.schemas.value, body)
        row = after or before
        own = {
            "cdc_revision": Revision(1, self.sequence).to_bytes(),
            "cdc_id": f"{CONNECTOR}/tx-{self.sequence}/0".encode(),
        }
        key = None if row is None else self._key(table, row)
        self._append(table, key, value, {**own, **headers})

    def _tombstone(self, table: Table, row: Mapping[str, Any]) -> None:
        self._append(table, self._key(table, row), None, {})

    def _append(
        self,
        table: Table,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
    ) -> None:
        offset = len(self.messages)
        given = tuple((name, data) for name, data in headers.items() if data is not None)
        self.messages.append(Message(table.topic, 0, offset, key, value, given, COMMITTED_MS))

    def _key(self, table: Table, row: Mapping[str, Any]) -> bytes | None:
        if not table.key:
            return None
        return self._framed(f"{table.topic}-key", table.schemas.key, table.plain(row))

    def _framed(self, subject: str, schema: Any, datum: Any) -> bytes:
        schema_id = self.registry.register(subject, schema)
        return frame(schema_id) + AvroSchema(schema, plain=True).encode(datum)
