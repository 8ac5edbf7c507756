"""Rules against schemas and real columns: each fault is found, named and has its fix."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cdc.codec.official import EventName, OfficialSchemas
from cdc.findings import Finding
from cdc.translate.check import check_rules
from cdc.translate.settings import StreamSettings
from tests.changes import Table
from tests.events import official

ORDERS = Table(
    "shop.orders",
    {
        "id": "bigint",
        "customer_id": "int null",
        "status": "enum(placed,shipped)",
        "total": "decimal(10,2)",
        "weight": "double",
        "created_at": "datetime6",
    },
)
LINES = Table("shop.order_lines", {"order_id": "bigint", "line": "int"}, key=("order_id", "line"))

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
SCHEMAS = {
    "orders/v1/OrderPlaced": {
        "order_id": "long",
        "customer_id": ["null", "int"],
        "total": DECIMAL,
        "note": {"type": "string", "default": ""},
    },
    "orders/v1/OrderShipped": {"order_id": "long"},
}
PLACED = {
    "event": "OrderPlaced",
    "from": "shop.orders",
    "on": "insert",
    "fields": {"customer_id": "customer_id", "total": "total"},
}
SHIPPED = {"event": "OrderShipped", "from": "shop.orders", "on": "update"}


def streams(*events: dict[str, Any], **stream: Any) -> list[StreamSettings]:
    given = {"stream": "orders", "major": 1, "key": {"order_id": "id"}, "events": events, **stream}
    return TypeAdapter(list[StreamSettings]).validate_python([given])


def findings_of(
    *events: dict[str, Any], schemas: Any = SCHEMAS, tables: Any = (ORDERS, LINES), **stream: Any
) -> list[Finding]:
    changes = {table.name: table.schemas for table in tables}
    return check_rules(streams(*events, **stream), official(schemas), changes)


def test_rules_that_fit_have_no_findings() -> None:
    assert findings_of(PLACED, {**SHIPPED, "when": {"status": {"to": "shipped"}}}) == []


@pytest.mark.parametrize(
    ("event", "path", "message", "hint"),
    [
        pytest.param(
            {**PLACED, "fields": {"customer_id": "customer_id", "total": "totl"}},
            "streams[0].events[0].fields.total",
            "shop.orders has no column 'totl'",
            "did you mean 'total'?",
            id="an unknown column",
        ),
        pytest.param(
            {**SHIPPED, "when": {"state": "shipped"}},
            "streams[0].events[0].when.state",
            "shop.orders has no column 'state'",
            "did you mean 'status'?",
            id="an unknown column in a condition",
        ),
        pytest.param(
            {**SHIPPED, "from": "shop.order"},
            "streams[0].events[0].from",
            "there is no table 'shop.order'",
            "did you mean 'shop.orders'?",
            id="an unknown table",
        ),
        pytest.param(
            {**PLACED, "fields": {"customer_id": "customer_id", "total": "weight"}},
            "streams[0].events[0].fields.total",
            "column weight is double, the field total is decimal(10,2): no exact conversion",
            "such a column can fill double",
            id="a wrong type",
        ),
        pytest.param(
            {**PLACED, "fields": {"customer_id": "customer_id"}},
            "streams[0].events[0].fields",
            "nothing fills the field 'total' of orders/v1/OrderPlaced.avsc",
            "`total: <column>`",
            id="a field that nothing fills",
        ),
        pytest.param(
            {**SHIPPED, "fields": {"shiped_at": "created_at"}},
            "streams[0].events[0].fields.shiped_at",
            "orders/v1/OrderShipped.avsc has no field 'shiped_at'",
            "allowed: order_id",
            id="a field that the schema lacks",
        ),
        pytest.param(
            {**SHIPPED, "event": "OrderShiped"},
            "streams[0].events[0].event",
            "there is no schema schemas/orders/v1/OrderShiped.avsc",
            "did you mean 'OrderShipped'?",
            id="a missing schema file",
        ),
        pytest.param(
            {**SHIPPED, "when": {"status": {"to": "shiped"}}},
            "streams[0].events[0].when.status.to",
            "'shiped' can't be a value of enum(placed,shipped)",
            "did you mean 'shipped'?",
            id="a value that an enum doesn't have",
        ),
        pytest.param(
            {**SHIPPED, "when": {"total": "1.005"}},
            "streams[0].events[0].when.total",
            "'1.005' can't be a value of decimal(10,2)",
            "at most 2 digits after the point",
            id="a decimal with too many digits",
        ),
        pytest.param(
            {**PLACED, "fields": {"customer_id": {"value": "x"}, "total": "total"}},
            "streams[0].events[0].fields.customer_id",
            "the constant doesn't fit the field's type int or null",
            "a whole number",
            id="a constant of the wrong type",
        ),
        pytest.param(
            {**PLACED, "fields": {"customer_id": {"before": "customer_id"}, "total": "total"}},
            "streams[0].events[0].fields.customer_id",
            "there is no row before on insert",
            "on update and delete",
            id="the row before on insert",
        ),
        pytest.param(
            {**SHIPPED, "on": "key_change", "when": {"status": {"to": "shipped"}}},
            "streams[0].events[0].when.status",
            "on key_change the old value of status isn't known",
            "may look before at id",
            id="another column's old value on key_change",
        ),
        pytest.param(
            {**SHIPPED, "on": "insert", "when": {"status": {"from": "placed"}}},
            "streams[0].events[0].when.status",
            "there is no row before on insert",
            "",
            id="a transition on insert",
        ),
        pytest.param(
            {**SHIPPED, "key": {"id": "id"}},
            "streams[0].events[0].key",
            "the stream's key is order_id",
            "",
            id="a key of another name",
        ),
        pytest.param(
            {**SHIPPED, "fields": {"order_id": "customer_id"}},
            "streams[0].events[0].fields.order_id",
            "the key takes this field from elsewhere",
            "leave it out here",
            id="a field that contradicts the key",
        ),
    ],
)
def test_a_fault_is_an_error_with_its_place_and_fix(
    event: dict[str, Any], path: str, message: str, hint: str
) -> None:
    errors = [one for one in findings_of(event) if one.severity == "error"]

    assert [one.path for one in errors] == [path]
    assert message in errors[0].message
    assert hint in errors[0].hint


def test_a_schema_file_that_is_wrong_is_an_error_with_its_reason() -> None:
    broken = OfficialSchemas(
        official(SCHEMAS).by_event,
        faults={EventName("orders", 1, "OrderShipped"): "can't be read as JSON: line 3"},
    )

    (error,) = check_rules(streams(SHIPPED), broken)

    assert error.message == "schemas/orders/v1/OrderShipped.avsc can't be read as JSON: line 3"


def test_a_nullable_column_for_a_field_that_is_never_null_is_a_warning() -> None:
    strict = {"orders/v1/OrderShipped": {"order_id": "long", "customer_id": "int"}}
    rule = {**SHIPPED, "fields": {"customer_id": "customer_id"}}

    (warning,) = findings_of(rule, schemas=strict)

    assert warning.severity == "warning"
    assert "column customer_id may be null" in warning.message
    assert "{customer_id: {not: null}}" in warning.hint


@pytest.mark.parametrize("condition", [{"not": None}, 7, [7, 8], {"to": 7}])
def test_a_condition_that_excludes_null_takes_the_warning_away(condition: Any) -> None:
    strict = {"orders/v1/OrderShipped": {"order_id": "long", "customer_id": "int"}}
    rule = {
        **SHIPPED,
        "fields": {"customer_id": "customer_id"},
        "when": {"customer_id": condition},
    }

    assert findings_of(rule, schemas=strict) == []


def test_a_conversion_that_may_fail_is_a_warning() -> None:
    millis = {"type": "long", "logicalType": "timestamp-millis"}
    schemas = {"orders/v1/OrderShipped": {"order_id": "long", "at": millis}}

    (warning,) = findings_of({**SHIPPED, "fields": {"at": "created_at"}}, schemas=schemas)

    assert warning.severity == "warning"
    assert "more digits than the field's unit" in warning.message


def test_a_stream_that_cuts_across_the_tables_key_is_warned_of_its_order() -> None:
    rule = {"event": "OrderShipped", "from": "shop.order_lines", "on": "update"}

    (warning,) = findings_of(rule, key={"order_id": "order_id"})

    assert warning.severity == "warning"
    assert warning.path == "streams[0].key"
    assert "rows of shop.order_lines are ordered by line, order_id" in warning.message


def test_a_key_has_one_type_in_all_events_of_a_stream() -> None:
    schemas = {
        "orders/v1/OrderPlaced": {"order_id": "long"},
        "orders/v1/OrderShipped": {"order_id": "string"},
    }
    rules = [{**SHIPPED, "event": event} for event in ("OrderPlaced", "OrderShipped")]

    (error,) = findings_of(*rules, schemas=schemas)

    assert error.path == "streams[0].events[1].event"
    assert "'order_id' as string, orders/v1/OrderPlaced.avsc as long" in error.message


def test_two_streams_cannot_have_one_event_in_one_major() -> None:
    one = streams(SHIPPED)[0]
    other = one.model_copy(update={"stream": "parcels"})

    errors = check_rules([one, other], official(SCHEMAS))

    assert any("OrderShipped.v1 is an event of orders too" in error.message for error in errors)


def test_all_faults_are_found_at_once() -> None:
    bad = {**PLACED, "when": {"a": 1, "b": 2}, "fields": {"total": "c", "x": "id"}}

    assert len(findings_of(bad, {**SHIPPED, "from": "shop.x"})) >= 5


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({**SHIPPED, "on": "truncate"}, "truncate can't be translated yet"),
        ({**SHIPPED, "on": "upsert"}, "'insert', 'update', 'delete'"),
        ({**SHIPPED, "from": "shop.*"}, "one table's exact name"),
        ({**SHIPPED, "fields": {"a": {"from": "x", "value": 1}}}, "one of from, before, value"),
        ({**SHIPPED, "when": {"a": {}}}, "a value, a list, or some of in, not, from, to"),
        ({**SHIPPED, "wen": {}}, "Extra inputs"),
    ],
)
def test_a_rule_of_a_wrong_form_says_what_is_allowed(event: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        streams(event)
