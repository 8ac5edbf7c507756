"""A key's schema keeps its id while its encoding stays; another encoding is another schema."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.codec.keys import key_schema_id
from cdc.testing import MemoryRegistry

ENUM = {"type": "string", "connect.name": "io.debezium.data.Enum"}
MILLIS = {"type": "long", "connect.name": "io.debezium.time.Timestamp"}
DECIMAL = {"type": "bytes", "scale": 2, "logicalType": "decimal"}


def key(type_: Any, name: str = "id", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Key", "fields": [{"name": name, "type": type_, **more}]}


SAME = {
    "a default": ("int", {"type": "int", "connect.default": 1}),
    "a comment": ("int", {"type": "int", "connect.doc": "the number"}),
    "a label more": (
        {**ENUM, "connect.parameters": {"allowed": "a"}},
        {**ENUM, "connect.parameters": {"allowed": "a,b"}},
    ),
    "the source's type": (
        "int",
        {"type": "int", "connect.parameters": {"__debezium.source.column.type": "INT"}},
    ),
}
OTHER = {
    "a wider integer": ("int", "long"),
    "null": ("int", ["null", "int"]),
    "another unit": (MILLIS, {**MILLIS, "connect.name": "io.debezium.time.MicroTimestamp"}),
    "another scale": (DECIMAL, {**DECIMAL, "scale": 3}),
}


@pytest.mark.parametrize("what", SAME)
def test_decoration_keeps_the_id_of_the_first(what: str) -> None:
    registry = MemoryRegistry()
    ids = [key_schema_id(registry, "t-key", key(type_)) for type_ in SAME[what]]
    assert ids == [1, 1]
    assert registry.versions("t-key") == (1,)
    # Also the other way round, and with a default of the field itself.
    other = MemoryRegistry()
    assert key_schema_id(other, "t-key", key(SAME[what][1], default=1)) == 1
    assert key_schema_id(other, "t-key", key(SAME[what][0])) == 1


@pytest.mark.parametrize("what", OTHER)
def test_another_encoding_has_another_id_and_going_back_gives_the_first(what: str) -> None:
    registry = MemoryRegistry()
    before, after = map(key, OTHER[what])
    ids = [key_schema_id(registry, "t-key", schema) for schema in (before, after, before)]
    assert ids == [1, 2, 1]


def test_another_name_is_another_schema_and_another_subject_its_own() -> None:
    registry = MemoryRegistry()
    assert key_schema_id(registry, "t-key", key("int")) == 1
    assert key_schema_id(registry, "t-key", key("int", "number")) == 2
    key_schema_id(registry, "u-key", key({"type": "int", "connect.default": 1}))
    assert registry.versions("u-key") == (3,)
