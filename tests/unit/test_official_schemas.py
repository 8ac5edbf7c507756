"""Official schemas: files, what Avro and Debezium's names mean, and bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.codec.avro import AvroSchema, SchemaCache, full_name
from cdc.codec.official import EventName, key_schema, load_official, schema_fault
from cdc.codec.types import record_fields, value_type
from cdc.errors import SchemaError
from cdc.testing import MemoryRegistry

PLACED = EventName("orders", 2, "OrderPlaced")
SCHEMA = {
    "type": "record",
    "name": "OrderPlaced",
    "namespace": "com.example",
    "fields": [{"name": "order_id", "type": "long"}],
}


def write(folder: Path, text: str) -> None:
    path = folder / "orders" / "v2" / "OrderPlaced.avsc"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_a_schema_is_read_from_its_streams_folder(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(SCHEMA))

    found = load_official(tmp_path, [PLACED, EventName("orders", 1, "OrderPlaced")])

    assert found.by_event == {PLACED: SCHEMA}
    assert found.faults == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "can't be read as JSON"),
        ('["null"]', "isn't an Avro record"),
        (json.dumps({**SCHEMA, "name": "OrderPlacd"}), "names its record 'OrderPlacd'"),
        (json.dumps({**SCHEMA, "fields": [{"name": "a", "type": "lng"}]}), "can't be parsed"),
    ],
)
def test_a_file_that_is_no_schema_of_its_event_is_a_fault(
    tmp_path: Path, text: str, fault: str
) -> None:
    write(tmp_path, text)

    found = load_official(tmp_path, [PLACED])

    assert found.by_event == {}
    assert fault in found.faults[PLACED]


def test_a_keys_schema_has_the_events_types_without_null_and_docs() -> None:
    enum = {"type": "enum", "name": "Region", "symbols": ["a"], "doc": "where"}
    event = {
        **SCHEMA,
        "fields": [
            {"name": "home", "type": enum},
            {"name": "order_id", "type": ["null", "long"], "doc": "which"},
            {"name": "region", "type": "Region"},
        ],
    }

    found = key_schema("my-orders.v2", ["region", "order_id"], event)

    named = {"type": "enum", "name": "Region", "symbols": ["a"], "namespace": "com.example"}
    assert found == {
        "type": "record",
        "name": "Key",
        "namespace": "my_orders.v2",
        "fields": [{"name": "region", "type": named}, {"name": "order_id", "type": "long"}],
    }
    assert AvroSchema(found).encode({"region": "a", "order_id": 1}) == b"\x00\x02"


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("long", "long"),
        (["null", "int"], "int or null"),
        (["int", "null"], "int or null"),
        (["null", "int", "string"], "union or null"),
        ({"type": "long", "logicalType": "timestamp-micros"}, "timestamp-micros"),
        ({"type": "string", "logicalType": "timestamp-micros"}, "string"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5}, "decimal(5,0)"),
        ({"type": {"type": "int", "logicalType": "date"}}, "date"),
        ({"type": "int", "connect.name": "io.debezium.time.Date"}, "date"),
        ({"type": "long", "connect.name": "io.debezium.time.Timestamp"}, "local-timestamp-millis"),
        ({"type": "array", "items": "int"}, "array"),
    ],
)
def test_a_type_means_what_its_logical_or_semantic_name_says(
    definition: Any, expected: str
) -> None:
    assert str(value_type(definition)) == expected


def test_an_enums_allowed_values_may_hold_commas() -> None:
    type_ = value_type(
        {
            "type": "string",
            "connect.name": "io.debezium.data.Enum",
            "connect.parameters": {"allowed": "a,b\\,c,Ü"},
        }
    )

    assert type_.symbols == ("a", "b,c", "Ü")


def test_a_named_type_is_known_where_it_is_named_again() -> None:
    fields = [
        {"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["x"]}},
        {"name": "b", "type": ["null", "com.example.E"]},
    ]

    found = record_fields({**SCHEMA, "fields": fields})

    assert found["b"].type.symbols == ("x",)
    assert found["b"].type.nullable


def test_plain_values_are_as_on_the_wire() -> None:
    moment = {"type": "long", "logicalType": "timestamp-micros"}
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    fields = [{"name": "at", "type": ["null", moment]}, {"name": "sum", "type": amount}]
    schema = {**SCHEMA, "fields": fields}

    body = AvroSchema(schema, plain=True).encode({"at": 1, "sum": b"\x7f"})

    assert AvroSchema(schema, plain=True).decode(body) == {"at": 1, "sum": b"\x7f"}
    logical = AvroSchema(schema).decode(body)
    assert (logical["at"].isoformat(), str(logical["sum"])) == (
        "1970-01-01T00:00:00.000001+00:00",
        "1.27",
    )


def test_a_field_that_is_named_like_an_attribute_is_kept() -> None:
    fields = [{"name": "logicalType", "type": "string"}, {"name": "type", "type": "int"}]

    schema = AvroSchema({**SCHEMA, "fields": fields}, plain=True)

    assert schema.decode(schema.encode({"logicalType": "x", "type": 1})) == {
        "logicalType": "x",
        "type": 1,
    }


@pytest.mark.parametrize("body", [b"", b"\x02\x02", b"\x80"])
def test_a_body_that_is_not_of_the_schema_is_an_error(body: bytes) -> None:
    with pytest.raises(SchemaError, match=r"com\.example\.OrderPlaced"):
        AvroSchema(SCHEMA).decode(body)


def test_a_schema_is_fetched_once() -> None:
    class Counting(MemoryRegistry):
        calls = 0

        def schema(self, schema_id: int) -> Any:
            self.calls += 1
            return super().schema(schema_id)

    registry = Counting()
    schema_id = registry.register("x", SCHEMA)
    cache = SchemaCache(registry)

    assert cache.get(schema_id) is cache.get(schema_id)
    assert registry.calls == 1


def test_a_namespace_that_avro_does_not_allow_is_a_fault() -> None:
    definition = {**SCHEMA, "namespace": "com.my-shop"}
    assert "'com.my-shop'; allowed:" in schema_fault(definition, "OrderPlaced")


def test_a_full_name_has_its_namespace_once() -> None:
    assert full_name(SCHEMA) == "com.example.OrderPlaced"
    assert full_name({**SCHEMA, "name": "org.other.X"}) == "org.other.X"
