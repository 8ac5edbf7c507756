"""The translator: what it writes, what it counts, and what stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from cdc.codec.official import EventName
from cdc.codec.partition import place
from cdc.errors import RuleError, Unreachable
from cdc.model import Message, Revision
from cdc.testing import MemoryRegistry
from cdc.translate.headers import event_type
from cdc.translate.settings import StreamSettings
from cdc.translate.translator import Translator
from tests.changes import Batch, History, Table
from tests.events import official, readable

ORDERS = Table("shop.orders", {"id": "bigint", "region": "varchar", "status": "varchar"})
SCHEMAS = {
    "orders/v1/OrderPlaced": {"order_id": "long", "region": "string"},
    "orders/v1/OrderNoted": {"order_id": "long", "region": "string"},
}
FIELDS = {"region": "region"}
PLACED = {"event": "OrderPlaced", "from": "shop.orders", "on": "insert", "fields": FIELDS}
NOTED = {"event": "OrderNoted", "from": "shop.orders", "on": "insert", "fields": FIELDS}
ROW = {"id": 1, "region": "n/s", "status": "new"}


def translator(
    registry: MemoryRegistry, *events: Mapping[str, Any], schemas: Any = SCHEMAS, **stream: Any
) -> Translator:
    given = {"stream": "orders", "major": 1, "key": {"order_id": "id"}, "events": events, **stream}
    streams: Sequence[StreamSettings] = TypeAdapter(list[StreamSettings]).validate_python([given])
    return Translator(
        connector="shop", streams=streams, official=official(schemas), registry=registry
    )


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def history(registry: MemoryRegistry) -> History:
    return History(registry)


def headers_of(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def test_the_same_changes_give_the_same_bytes(registry: MemoryRegistry, history: History) -> None:
    history.insert(ORDERS, ROW)
    history.delete(ORDERS, ROW)
    batch = history.batch()

    first = translator(registry, PLACED, NOTED)(batch)
    second = translator(registry, PLACED, NOTED)(batch)

    assert first == second
    assert first.checkpoint == batch.offsets


def test_a_batch_cut_anywhere_gives_the_same_events(
    registry: MemoryRegistry, history: History
) -> None:
    history.insert(ORDERS, ROW)
    history.key_change(ORDERS, ROW, {**ROW, "id": 2})
    history.insert(ORDERS, ROW)
    whole = translator(registry, PLACED)(history.batch()).records

    for cut in range(len(history.messages)):
        step = translator(registry, PLACED)
        parts = [
            *step(Batch(history.messages[:cut], {})).records,
            *step(Batch(history.messages[cut:], {})).records,
        ]
        assert parts == whole


def test_schemas_are_registered_before_the_first_record(registry: MemoryRegistry) -> None:
    translator(registry, PLACED, NOTED)

    assert registry.subjects() == [
        "orders.v1-com.example.shop.OrderNoted",
        "orders.v1-com.example.shop.OrderPlaced",
        "orders.v1-key",
    ]


def test_the_keys_schema_does_not_depend_on_the_events(registry: MemoryRegistry) -> None:
    translator(registry, PLACED)
    translator(registry, NOTED)

    (key,) = registry.versions("orders.v1-key")
    assert registry.schema(key) == {
        "type": "record",
        "name": "Key",
        "namespace": "orders.v1",
        "fields": [{"name": "order_id", "type": "long"}],
    }


def test_a_key_may_be_an_enum_that_is_named_elsewhere(
    registry: MemoryRegistry, history: History
) -> None:
    region = {"type": "enum", "name": "Region", "symbols": ["north", "south"], "doc": "where"}
    schemas = {"orders/v1/OrderPlaced": {"order_id": "long", "home": region, "region": "Region"}}
    rule = {**PLACED, "fields": {"home": "region"}}
    step = translator(registry, rule, schemas=schemas, key={"order_id": "id", "region": "region"})
    history.insert(ORDERS, {**ROW, "region": "south"})

    (event,) = readable(step(history.batch()).records, registry)

    assert event["key"] == {"order_id": 1, "region": "south"}
    assert event["headers"]["ce_subject"] == "1/south"


def test_the_place_follows_from_the_keys_bare_body(
    registry: MemoryRegistry, history: History
) -> None:
    history.insert(ORDERS, ROW)

    (record,) = translator(registry, PLACED)(history.batch()).records

    assert record.key is not None
    assert record.key[5:] == b"\x02"
    assert record.place == place(b"\x02")


def test_a_key_of_several_fields_is_one_subject(registry: MemoryRegistry, history: History) -> None:
    history.insert(ORDERS, ROW)
    step = translator(registry, PLACED, key={"region": "region", "order_id": "id"})

    (record,) = step(history.batch()).records

    assert headers_of(record)["ce_subject"] == "n%2Fs/1"


def test_several_events_of_one_row_have_rising_revisions_and_ids_of_their_own(
    registry: MemoryRegistry, history: History
) -> None:
    history.insert(ORDERS, ROW)
    history.insert(ORDERS, ROW)

    records = translator(registry, PLACED, NOTED, PLACED)(history.batch()).records

    revisions = [headers_of(record)["ce_revision"] for record in records]
    assert revisions == sorted(set(revisions))
    assert [Revision.from_bytes(int(one).to_bytes(8, "big")) for one in revisions[:3]] == [
        Revision(1, 1, ordinal) for ordinal in range(3)
    ]
    assert [headers_of(record)["ce_id"] for record in records[:3]] == [
        "shop/tx-1/0/OrderPlaced.v1",
        "shop/tx-1/0/OrderNoted.v1",
        "shop/tx-1/0/OrderPlaced.v1/1",
    ]


@pytest.mark.parametrize(
    ("committed_us", "expected"),
    [
        (None, "2023-11-14T22:13:20Z"),
        (1_700_000_000_000_000, "2023-11-14T22:13:20Z"),
        (1_700_000_000_120_000, "2023-11-14T22:13:20.120Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
    ],
)
def test_the_time_has_the_digits_that_there_are(
    registry: MemoryRegistry, history: History, committed_us: int | None, expected: str
) -> None:
    history.committed_us = committed_us
    history.insert(ORDERS, ROW)

    (record,) = translator(registry, PLACED)(history.batch()).records

    assert headers_of(record)["ce_time"] == expected


def test_whatever_gives_no_event_is_counted_by_table_operation_and_reason(
    registry: MemoryRegistry, history: History
) -> None:
    other = Table("shop.other", {"id": "int"})
    history.snapshot(ORDERS, ROW)
    history.update(ORDERS, ROW, ROW)
    history.delete(ORDERS, ROW)
    history.truncate(ORDERS)
    history.key_change(ORDERS, ROW, {**ROW, "id": 2})
    history.insert(other, {"id": 1})
    history.insert(ORDERS, ROW)
    step = translator(registry, PLACED)

    step(history.batch())

    assert dict(step.dropped) == {
        ("shop.orders", "snapshot", "no rule matched"): 1,
        ("shop.orders", "update", "no rule matched"): 1,
        ("shop.orders", "delete", "no rule matched"): 1,
        ("shop.orders", "truncate", "no rule matched"): 1,
        ("shop.orders", "key_change", "the key's change is told at its new key"): 1,
        ("shop.orders", "key_change", "no rule matched"): 1,
        ("shop.orders", "delete", "tombstone"): 2,
        ("shop.other", "unknown", "no rule names this table"): 1,
    }
    assert dict(step.published) == {"orders.v1.OrderPlaced": 1}
    assert sum(step.dropped.values()) + sum(step.published.values()) == len(history.messages)


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("com.example", "com.example.OrderPlaced.v2"),
        ("com.example.v2", "com.example.OrderPlaced.v2"),
        ("", "orders.OrderPlaced.v2"),
        ("v2", "orders.OrderPlaced.v2"),
        ("com.dev2", "com.dev2.OrderPlaced.v2"),
    ],
)
def test_an_events_type_has_its_owner_name_and_major(namespace: str, expected: str) -> None:
    assert event_type(EventName("orders", 2, "OrderPlaced"), namespace) == expected


def test_a_field_that_no_rule_fills_has_its_default(
    registry: MemoryRegistry, history: History
) -> None:
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
    defaults = {
        "fee": {"type": amount, "default": "\u00ff\u0080"},
        "tags": {"type": {"type": "array", "items": "string"}, "default": ["a"]},
        "day": {"type": {"type": "int", "logicalType": "date"}, "default": 1},
    }
    step = translator(
        registry,
        {**PLACED, "fields": {}},
        schemas={"orders/v1/OrderPlaced": {"order_id": "long", **defaults}},
    )
    history.insert(ORDERS, ROW)

    (event,) = readable(step(history.batch()).records, registry)

    assert event["fields"] == {"order_id": 1, "fee": "-1.28", "tags": ["a"], "day": "1970-01-02"}


def test_a_column_that_is_gone_stops_at_the_first_change_without_it(
    registry: MemoryRegistry, history: History
) -> None:
    step = translator(registry, PLACED)
    history.insert(ORDERS, ROW)
    history.insert(
        Table("shop.orders", {"id": "bigint", "regio": "varchar"}), {"id": 2, "regio": "x"}
    )

    with pytest.raises(RuleError) as raised:
        step(history.batch())

    assert "the rules don't fit shop.orders as it is at shop.shop.orders[0]@1" in str(raised.value)
    assert "streams[0].events[0].fields.region" in str(raised.value)
    assert "did you mean 'regio'?" in str(raised.value)
    assert not step.published


def test_an_added_column_changes_nothing(registry: MemoryRegistry, history: History) -> None:
    wider = Table("shop.orders", {"extra": "int null", **ORDERS.columns})
    history.insert(ORDERS, ROW)
    history.insert(wider, ROW)

    first, second = readable(translator(registry, PLACED)(history.batch()).records, registry)

    assert first["fields"] == second["fields"]


@pytest.mark.parametrize("header", ["cdc_revision", "cdc_id"])
def test_a_change_without_captures_headers_is_refused(
    registry: MemoryRegistry, history: History, header: str
) -> None:
    history.insert(ORDERS, ROW)
    (message,) = history.messages
    kept = tuple(one for one in message.headers if one[0] != header)

    with pytest.raises(RuleError, match=f"shop.orders.*has no header '{header}'"):
        translator(registry, PLACED)(Batch([message._replace(headers=kept)], {}))


@pytest.mark.parametrize("value", [b"", b"{}", b"\x00\x00\x00\x00\x03\xff"])
def test_bytes_that_are_no_change_event_are_refused_with_their_place(
    registry: MemoryRegistry, history: History, value: bytes
) -> None:
    history.insert(ORDERS, ROW)
    registry.register("x", "string")
    (message,) = history.messages

    with pytest.raises(RuleError, match=r"at shop\.shop\.orders\[0\]@0 can't be read"):
        translator(registry, PLACED)(Batch([message._replace(value=value)], {}))


def test_a_value_never_shows_in_an_error(registry: MemoryRegistry, history: History) -> None:
    schemas = {
        "orders/v1/OrderPlaced": {
            "order_id": "long",
            "region": {"type": "enum", "name": "Region", "symbols": ["north"]},
        }
    }
    history.insert(ORDERS, {**ROW, "region": "hunter2"})

    with pytest.raises(RuleError) as raised:
        translator(registry, PLACED, schemas=schemas)(history.batch())

    assert "column region can't fill the field region" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_unreachable_registry_passes_through(history: History) -> None:
    class Away(MemoryRegistry):
        def schema(self, schema_id: int) -> Any:
            raise Unreachable("the registry didn't answer")

    history.insert(ORDERS, ROW)

    with pytest.raises(Unreachable):
        translator(Away(), PLACED)(history.batch())


def test_rules_that_do_not_fit_their_schemas_stop_the_start(registry: MemoryRegistry) -> None:
    with pytest.raises(RuleError, match=r"streams\[0\]\.events\[0\]\.fields\.regin"):
        translator(registry, {**PLACED, "fields": {"regin": "region"}})

    assert registry.subjects() == []


def test_a_table_without_a_key_is_translated(registry: MemoryRegistry, history: History) -> None:
    keyless = Table("shop.orders", ORDERS.columns, key=())
    history.insert(keyless, ROW)
    message: Message = history.messages[0]

    assert message.key is None
    assert len(translator(registry, PLACED)(history.batch()).records) == 1


def test_the_topics_are_known_before_the_first_record(registry: MemoryRegistry) -> None:
    step = translator(registry, PLACED, {**NOTED, "from": "shop.Odd-Name.1 ü"})

    assert list(step.input_topics) == ["shop.shop.orders", "shop.shop.Odd-Name.1__"]
    assert list(step.output_topics) == ["orders.v1"]
