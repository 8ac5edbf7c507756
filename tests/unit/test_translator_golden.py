"""What a real Debezium wrote can be translated, every column type of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from cdc.codec.avro import SchemaCache
from cdc.codec.wire import FRAME_BYTES, frame
from cdc.findings import errors_of
from cdc.model import Message, Revision
from cdc.testing import MemoryRegistry
from cdc.translate.check import check_rules
from cdc.translate.settings import StreamSettings
from cdc.translate.table import ChangeSchemas, table_types
from cdc.translate.translator import Translator
from tests.changes import Batch
from tests.events import official

GOLDEN = Path(__file__).parents[1] / "golden" / "gstream2"

NANOS = {"type": "long", "logicalType": "timestamp-nanos"}
WALL = {"type": "long", "logicalType": "local-timestamp-micros"}
FIELD_TYPES: dict[str, Any] = {
    "int": "long",
    "float": "double",
    "enum": "string",
    "set": "string",
    "json": "string",
    "year": "int",
    "bits": "bytes",
    "date": {"type": "int", "logicalType": "date"},
    "time-micros": "long",
    "local-timestamp-millis": WALL,
    "local-timestamp-micros": WALL,
    "zoned-timestamp": NANOS,
}


class Recorded:
    """Recorded change events of one table, with the headers that our capture adds."""

    def __init__(self, table: str) -> None:
        schemas = json.loads(GOLDEN.with_suffix(".schemas.json").read_text())
        topic = f"gstream2.{table}"
        lines = GOLDEN.with_suffix(".jsonl").read_text().splitlines()
        records = [record for record in map(json.loads, lines) if record["topic"] == topic]
        self.registry = MemoryRegistry()
        first = next(record for record in records if record["value"])
        self.schemas = ChangeSchemas(
            schemas[str(first["value_schema"])], schemas[str(first["key_schema"])]
        )
        self.messages = [
            Message(
                topic,
                0,
                offset,
                self._framed(schemas, record, "key"),
                self._framed(schemas, record, "value"),
                (("cdc_revision", Revision(1, offset).to_bytes()), ("cdc_id", b"x/y/1")),
                0,
            )
            for offset, record in enumerate(records)
        ]

    def _framed(self, schemas: Any, record: Any, part: str) -> bytes | None:
        if record[part] is None:
            return None
        schema_id = self.registry.register(part, schemas[str(record[f"{part}_schema"])])
        return frame(schema_id) + bytes.fromhex(record[part])


@pytest.mark.parametrize(
    ("table", "left_out"),
    [
        ("golden.numbers", set()),
        ("golden.texts", set()),
        ("golden.times", set()),
        ("golden.others", {"g", "p", "pl", "v"}),  # geometry and vectors have no field type yet
    ],
)
def test_every_recorded_change_is_translated_value_by_value(table: str, left_out: set[str]) -> None:
    recorded = Recorded(table)
    types = table_types(recorded.schemas)
    columns = {name: type_ for name, type_ in types.columns.items() if name not in left_out}
    fields = {}
    for name, type_ in columns.items():
        field = FIELD_TYPES.get(type_.kind, type_.avro)
        if type_.kind == "decimal":
            field = {"type": "bytes", "logicalType": "decimal",
                     "precision": type_.precision, "scale": type_.scale}  # fmt: skip
        fields[name] = ["null", field] if type_.nullable else field
    rule = {
        "event": "RowSeen",
        "from": table,
        "on": ["insert", "update", "delete"],
        "fields": {name: name for name in columns},
    }
    streams = TypeAdapter(list[StreamSettings]).validate_python(
        [{"stream": "rows", "major": 1, "events": [rule],
          "key": {name: name for name in sorted(types.key_columns)}}]
    )  # fmt: skip
    schemas = official({"rows/v1/RowSeen": fields})
    assert errors_of(check_rules(streams, schemas, {table: recorded.schemas})) == []

    step = Translator(
        connector="gstream2", streams=streams, official=schemas, registry=recorded.registry
    )
    output = step(Batch(recorded.messages, {}))

    envelopes = SchemaCache(recorded.registry, plain=True)
    changes = [envelopes.decode(one.value) for one in recorded.messages if one.value]
    assert len(output.records) == len(changes) > 0
    events = SchemaCache(recorded.registry, plain=True)
    for record, change in zip(output.records, changes, strict=True):
        assert record.value is not None
        row = change["after"] or change["before"]
        event = events.decode(record.value)
        for name, type_ in columns.items():
            if type_.kind == "local-timestamp-millis" and row[name] is not None:
                assert event[name] == row[name] * 1000
            elif type_.kind != "zoned-timestamp":
                assert event[name] == row[name]
            else:
                assert (event[name] is None) is (row[name] is None)


def test_a_body_is_written_as_a_real_debezium_wrote_it() -> None:
    recorded = Recorded("golden.numbers")
    schemas = SchemaCache(recorded.registry, plain=True)

    for message in recorded.messages:
        if message.value is not None:
            schema = schemas.get(int.from_bytes(message.value[1:FRAME_BYTES], "big"))
            body = message.value[FRAME_BYTES:]
            assert schema.encode(schema.decode(body)) == body
