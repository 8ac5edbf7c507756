"""Views: what a declaration means, what is wrong with it, and what an event does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cdc.codec.avro import AvroSchema
from cdc.codec.wire import frame
from cdc.errors import ViewError
from cdc.findings import Finding
from cdc.model import Message
from cdc.testing import MemoryRegistry
from cdc.views.materializer import Materializer, event_schemas
from cdc.views.projection import (
    Projection,
    RowChange,
    RowWrite,
    check_views,
    compile_view,
    merge,
    project,
)
from cdc.views.settings import ViewSettings
from tests.changes import Batch

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}


def record(name: str, **fields: Any) -> dict[str, Any]:
    parts = [
        {"name": field, "type": type_[0], "default": type_[1]}
        if isinstance(type_, tuple)
        else {"name": field, "type": type_}
        for field, type_ in fields.items()
    ]
    return {"type": "record", "name": name, "namespace": "com.example", "fields": parts}


EVENTS = {
    "OrderPlaced": record("OrderPlaced", order_id="long", total=DECIMAL, note=["null", "string"]),
    "OrderShipped": record("OrderShipped", order_id="long", at="long"),
    "OrderRemoved": record(
        "OrderRemoved", order_id="long", lines={"type": "array", "items": "int"}
    ),
}
PLACED = {"upsert": {"order_id": "order_id", "total": "total", "status": {"value": "placed"}}}


def settings(events: Any, **view: Any) -> ViewSettings:
    store = {"kind": "sqlite", "path": "views.db"}
    given = {"view": "open_orders", "store": store, "topic": "orders.v1", "key": "order_id"}
    return ViewSettings.model_validate({**given, "events": events, **view})


def findings_of(events: Any, **view: Any) -> list[Finding]:
    return check_views([settings(events, **view)], {"orders.v1": EVENTS})


def projection_of(events: Any, **view: Any) -> Projection:
    projection, findings = project("views[0]", settings(events, **view), EVENTS)
    assert findings == []
    assert projection is not None
    return projection


def test_columns_have_the_types_of_the_fields_that_fill_them_the_key_first() -> None:
    shipped = {"upsert": {"status": {"value": "shipped"}, "at": "at"}}
    table = projection_of({"OrderPlaced": PLACED, "OrderShipped": shipped}).table

    assert {name: str(type_) for name, type_ in table.columns.items()} == {
        "order_id": "long",
        "total": "decimal(10,2)",
        "at": "long",
        "status": "string",
    }


def test_a_list_of_columns_takes_fields_of_the_same_names() -> None:
    short = projection_of({"OrderPlaced": {"upsert": ["order_id", "total"]}})
    long = projection_of({"OrderPlaced": {"upsert": {"order_id": "order_id", "total": "total"}}})

    assert short.table == long.table


def test_another_declaration_has_another_definition() -> None:
    one = projection_of({"OrderPlaced": PLACED}).table.definition
    other = projection_of({"OrderPlaced": PLACED, "OrderRemoved": "delete"}).table.definition
    elsewhere = projection_of(
        {"OrderPlaced": PLACED}, store={"kind": "sqlite", "path": "moved.db"}
    ).table.definition

    assert one != other
    assert one == elsewhere


@pytest.mark.parametrize(
    ("events", "path", "message", "hint"),
    [
        ({"OrderPlacd": PLACED}, "events.OrderPlacd", "no event 'OrderPlacd'", "'OrderPlaced'"),
        (
            {"OrderPlaced": {"upsert": {"total": "totl"}}},
            "events.OrderPlaced.total",
            "OrderPlaced has no field 'totl'",
            "did you mean 'total'?",
        ),
        (
            {"OrderPlaced": PLACED, "OrderShipped": {"upsert": {"total": "at"}}},
            "events.OrderShipped.total",
            "column total would be long here and decimal(10,2) elsewhere",
            "another name",
        ),
        (
            {"OrderPlaced": PLACED, "OrderShipped": {"upsert": {"total": {"value": "much"}}}},
            "events.OrderShipped.total",
            "the constant doesn't fit decimal(10,2)",
            "a decimal number",
        ),
        (
            {"OrderRemoved": {"upsert": ["lines"]}},
            "events.OrderRemoved.lines",
            "can't hold nested values yet",
            "leave it out",
        ),
        (
            {"OrderPlaced": {"upsert": {"total": {"value": None}}}},
            "events.OrderPlaced.total",
            "nothing but null fills column total",
            "",
        ),
        (
            {"OrderPlaced": PLACED, "OrderRemoved": {"delete": {"ordr_id": "order_id"}}},
            "events.OrderRemoved.delete.ordr_id",
            "ordr_id is no column of the key",
            "did you mean 'order_id'?",
        ),
    ],
)
def test_a_fault_is_an_error_with_its_place_and_fix(
    events: Any, path: str, message: str, hint: str
) -> None:
    (error,) = findings_of(events)

    assert error.path == f"views[0].{path}"
    assert message in error.message
    assert hint in error.hint


def test_a_key_that_an_event_lacks_is_an_error() -> None:
    findings = findings_of({"OrderShipped": "delete"}, key=["order_id", "region"])

    assert [one.path for one in findings] == ["views[0].events.OrderShipped.region"]


def test_an_unknown_topic_names_the_nearest() -> None:
    (error,) = findings_of({"OrderPlaced": PLACED}, topic="order.v1")

    assert error.path == "views[0].topic"
    assert error.hint == "did you mean 'orders.v1'?"


def test_two_views_of_one_name_in_one_store_are_an_error() -> None:
    view = settings({"OrderPlaced": PLACED})

    (error,) = check_views([view, view], {"orders.v1": EVENTS})

    assert error.path == "views[1].view"


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"events": {"OrderPlaced": "remove"}}, "OrderPlaced"),
        ({"events": {"OrderPlaced": {}}}, "allowed: delete, or upsert with columns"),
        ({"view": "cdc_offsets"}, "doesn't begin with cdc_"),
        ({"view": "x; drop"}, "pattern"),
        ({"stor": {}}, "Extra inputs"),
    ],
)
def test_a_view_of_a_wrong_form_says_what_is_allowed(view: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**{"events": {"OrderPlaced": PLACED}, **view})


def test_a_relative_store_is_in_the_connector_files_folder() -> None:
    store = {"kind": "sqlite", "path": "views.db"}
    view = {"view": "v", "store": store, "topic": "t", "key": "a", "events": {"E": "delete"}}

    found = TypeAdapter(ViewSettings).validate_python(view, context={"folder": "/etc/shop"})

    assert str(found.store.path) == "/etc/shop/views.db"


def test_a_view_that_cannot_be_built_says_all_that_is_wrong() -> None:
    view = settings({"OrderPlacd": PLACED, "OrderShipped": {"upsert": {"x": "y"}}})

    with pytest.raises(ViewError) as raised:
        compile_view("views[0]", view, EVENTS)

    assert "events.OrderPlacd" in str(raised.value)
    assert "events.OrderShipped.x" in str(raised.value)


def test_several_changes_of_a_row_become_one_write() -> None:
    def change(key: int, values: Any) -> RowChange:
        return RowChange("t", 0, 0, (key,), values)

    found = merge(
        [
            change(1, {"a": 1, "b": 1}),
            change(2, {"a": 1}),
            change(1, {"b": 2}),
            change(2, None),
            change(3, None),
            change(3, {"a": 3}),
        ]
    )

    assert found == [
        RowWrite((1,), False, {"a": 1, "b": 2}),
        RowWrite((2,), True, None),
        RowWrite((3,), True, {"a": 3}),
    ]


def message(
    registry: MemoryRegistry, schema: dict[str, Any], datum: Any, offset: int = 0
) -> Message:
    schema_id = registry.register(f"orders.v1-com.example.{schema['name']}", schema)
    value = frame(schema_id) + AvroSchema(schema).encode(datum)
    return Message("orders.v1", 2, offset, b"", value, (), 0)


def test_events_that_the_view_does_not_name_are_counted_and_left_out() -> None:
    registry = MemoryRegistry()
    step = Materializer(projection_of({"OrderPlaced": PLACED}), registry)
    placed = {"order_id": 1, "total": "1.50", "note": None}
    batch = Batch(
        [
            message(registry, EVENTS["OrderShipped"], {"order_id": 1, "at": 5}),
            message(registry, EVENTS["OrderPlaced"], {**placed, "total": b"\x00\x96"}, 1),
            Message("orders.v1", 2, 2, b"", None, (), 0),
        ],
        {("orders.v1", 2): 3},
    )

    output = step(batch)

    assert [(one.partition, one.offset, one.key) for one in output.records] == [(2, 1, (1,))]
    assert output.checkpoint == batch.offsets
    assert dict(step.applied) == {"OrderPlaced": 1}
    assert dict(step.dropped) == {
        ("OrderShipped", "the view doesn't name this event"): 1,
        ("", "tombstone"): 1,
    }


def test_events_of_older_and_newer_schemas_are_read_in_the_views_form() -> None:
    registry = MemoryRegistry()
    declared = record("Noted", id="long", word=("string", "none"))
    older = record("Noted", id="int")
    newer = record("Noted", id="long", more="string", word=("string", "none"))
    view = settings({"Noted": {"upsert": ["word"]}}, key="id")
    projection, _ = project("views[0]", view, {"Noted": declared})
    assert projection is not None
    step = Materializer(projection, registry)

    output = step(
        Batch(
            [
                message(registry, older, {"id": 1}),
                message(registry, newer, {"id": 2, "more": "x", "word": "y"}),
            ],
            {},
        )
    )

    assert [(one.key, one.values) for one in output.records] == [
        ((1,), {"id": 1, "word": "none"}),
        ((2,), {"id": 2, "word": "y"}),
    ]


def test_an_event_that_cannot_be_applied_names_view_event_and_place() -> None:
    registry = MemoryRegistry()
    schema = record("Noted", id=["null", "long"])
    view = settings({"Noted": "delete"}, key="id")
    projection, _ = project("views[0]", view, {"Noted": schema})
    assert projection is not None

    with pytest.raises(ViewError, match=r"open_orders can't apply Noted at orders\.v1\[2\]@7"):
        Materializer(projection, registry)(Batch([message(registry, schema, {"id": None}, 7)], {}))


def test_bytes_that_are_no_event_name_view_and_place() -> None:
    step = Materializer(projection_of({"OrderPlaced": PLACED}), MemoryRegistry())

    with pytest.raises(ViewError, match=r"open_orders can't apply an event at orders\.v1\[0\]@4"):
        step(Batch([Message("orders.v1", 0, 4, None, b"{}", (), 0)], {}))


def test_a_topics_events_are_known_from_the_registry() -> None:
    registry = MemoryRegistry()
    newer = record("OrderShipped", order_id="long", at=("long", 0))
    registry.register("orders.v1-key", "long")
    registry.register("orders.v1-com.example.OrderShipped", EVENTS["OrderShipped"])
    registry.register("orders.v1-com.example.OrderShipped", newer)
    registry.register("orders.v1-extra.v1-com.example.Other", EVENTS["OrderPlaced"])
    registry.register("orders.v10-com.example.Other", EVENTS["OrderPlaced"])

    assert event_schemas(registry, "orders.v1") == {"OrderShipped": newer}
