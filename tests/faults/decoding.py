"""The records of a run, decoded by the schemas that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cdc.codec.avro import AvroSchema
from cdc.codec.wire import FRAME_BYTES, schema_id_of
from cdc.errors import SchemaError
from cdc.model import ID_HEADER, REVISION_HEADER, Message, Revision
from tests.faults.evidence import Evidence, Place

TRANSACTION, TOMBSTONE, LEDGER = "transaction", "tombstone", "ledger"
_MADE_AT = dict.fromkeys(("ts_ms", "ts_us", "ts_ns"))
Image = Mapping[str, Any]
Coordinates = tuple[int, int, int, int]


def file_number(name: str) -> int:
    """Of a binlog's file."""
    return int(name.rpartition(".")[2])


class Change(NamedTuple):
    """One change event."""

    place: Place
    offset: int
    table: str
    op: str
    key: Any
    before: Image | None
    after: Image | None
    revision: Revision
    id: str
    gtid: str | None
    coordinates: Coordinates
    """Number of the file, position, row; 1 if it is the new key's part of a changed key."""
    transaction: Mapping[str, Any] | None
    is_half: bool
    """One of the two parts of a changed key."""
    old_key: Any
    """In the new key's part: the key before."""


class Record(NamedTuple):
    """BEGIN or END of a transaction, or a tombstone."""

    kind: str
    key: Any
    value: Any


@dataclass
class Decoder:
    """Decodes values; `known` keeps them, for checks of almost the same evidence over and over."""

    evidence: Evidence
    known: dict[tuple[str, bytes], Any] | None = None

    def __post_init__(self) -> None:
        self._schemas = {
            number: AvroSchema(schema) for number, schema in self.evidence.schemas.items()
        }

    def decoded(self, subject: str, data: bytes) -> Any:
        """The value of framed bytes; SchemaError if it isn't by a schema of the subject, or can't
        be read by the subject's next one."""
        if self.known is not None and (subject, data) in self.known:
            return self.known[subject, data]
        number = schema_id_of(data)
        ids = list(self.evidence.subjects.get(subject, ()))
        if number not in ids:
            raise SchemaError(f"schema {number} is not one of {subject}")
        schema = self._schemas[number]
        value = schema.decode(data[FRAME_BYTES:])
        for newer in ids[ids.index(number) + 1 :][:1]:
            schema.decode(data[FRAME_BYTES:], self._schemas[newer])
        if self.known is not None:
            self.known[subject, data] = value
        return value

    def __call__(self, message: Message) -> Change | Record:
        """The record; SchemaError, KeyError or ValueError if it is none."""
        topic = message.topic
        key = None if message.key is None else self.decoded(f"{topic}-key", message.key)
        if message.value is None:
            return Record(TOMBSTONE, key, None)
        value = self.decoded(f"{topic}-value", message.value)
        if topic == f"{self.evidence.connector}.{TRANSACTION}":
            return Record(TRANSACTION, key, value)
        return self._change(message, key, value)

    def fixed(self, message: Message) -> Any:
        """All of a record that another copy of it has to share: all but when it was made."""
        value: Any = None
        if message.value is not None:
            value = dict(self.decoded(f"{message.topic}-value", message.value))
            if "source" in value:
                value.update(_MADE_AT)
        return message.key, list(message.headers), value

    def _change(self, message: Message, key: Any, value: Mapping[str, Any]) -> Change:
        evidence, source = self.evidence, value["source"]
        headers = dict(message.headers)
        table = source["table"]
        if (
            message.topic != f"{evidence.connector}.{evidence.database}.{table}"
            or source["db"] != evidence.database
            or source["name"] != evidence.connector
        ):
            raise ValueError(f"a change of {source['name']}.{source['db']}.{table}")
        old_key = headers.get("__debezium.oldkey")
        is_new_key = old_key is not None
        return Change(
            place=(message.topic, message.partition),
            offset=message.offset,
            table=table,
            op=value["op"],
            key=key,
            before=value["before"],
            after=value["after"],
            revision=Revision.from_bytes(headers[REVISION_HEADER]),
            id=headers[ID_HEADER].decode(),
            gtid=source["gtid"],
            coordinates=(
                file_number(source["file"]),
                source["pos"],
                source["row"],
                int(is_new_key),
            ),
            transaction=value["transaction"],
            is_half=is_new_key or "__debezium.newkey" in headers,
            old_key=None if old_key is None else self.decoded(f"{message.topic}-key", old_key),
        )
