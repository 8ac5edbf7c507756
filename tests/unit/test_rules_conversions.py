"""Columns to official fields: unchanged, exact, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.codec.types import ValueType, value_type
from cdc.translate.conversions import conversion, targets_of
from cdc.translate.literals import literal
from tests.changes import avro_type


def decimal(precision: int, scale: int) -> ValueType:
    return ValueType("decimal", "bytes", precision=precision, scale=scale)


def target(text: str) -> ValueType:
    plain = {"boolean", "int", "long", "float", "double", "string", "bytes"}
    if text in plain:
        return ValueType(text, text)
    return ValueType(text, "int" if text in ("date", "time-millis") else "long")


def convert(value: Any, source: ValueType, wanted: ValueType) -> Any:
    found = conversion(source, wanted)
    assert found is not None
    return value if found.apply is None else found.apply(value)


@pytest.mark.parametrize(
    ("column", "value", "field", "expected"),
    [
        ("int", 5, "long", 5),
        ("int", 5, "double", 5.0),
        ("float", 0.5, "double", 0.5),
        ("bigint", -(2**63), "string", "-9223372036854775808"),
        ("tinyint", 1, "boolean", True),
        ("date", -1, "date", -1),
        ("datetime", 1500, "timestamp-micros", 1_500_000),
        ("datetime", 1500, "local-timestamp-nanos", 1_500_000_000),
        ("datetime6", 1_500_000, "timestamp-millis", 1500),
        ("timestamp", "1970-01-01T00:00:01.5Z", "timestamp-millis", 1500),
        ("timestamp", "1969-12-31T23:59:59.999999Z", "timestamp-micros", -1),
        ("timestamp", "1970-01-01T00:00:00.000001Z", "timestamp-nanos", 1000),
        ("timestamp", "1970-01-01T00:00:01Z", "string", "1970-01-01T00:00:01Z"),
        ("time", 86_399_000_000, "time-millis", 86_399_000),
        ("time", -1, "long", -1),
        ("json", "{}", "string", "{}"),
        ("year", 1999, "int", 1999),
        ("enum(a,b)", "a", "string", "a"),
    ],
)
def test_a_value_converts_exactly(column: str, value: Any, field: str, expected: Any) -> None:
    found = convert(value, value_type(avro_type(column)), target(field))

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("column", "value", "field", "reason"),
    [
        ("tinyint", 2, "boolean", "no boolean"),
        ("datetime6", 1_500_001, "timestamp-millis", "more digits"),
        ("timestamp", "1970-01-01T00:00:01.0005Z", "timestamp-millis", "more digits"),
        ("time", -1, "time-micros", "no time of day"),
        ("time", 86_400_000_000, "time-millis", "no time of day"),
    ],
)
def test_a_value_that_would_lose_something_is_refused(
    column: str, value: Any, field: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        convert(value, value_type(avro_type(column)), target(field))


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("bigint", "int"),
        ("bigint", "double"),
        ("int", "float"),
        ("double", "float"),
        ("varchar", "int"),
        ("varchar", "bytes"),
        ("timestamp", "local-timestamp-micros"),
        ("decimal(4,2)", "double"),
        ("date", "timestamp-millis"),
    ],
)
def test_types_that_do_not_hold_each_other_have_no_conversion(column: str, field: str) -> None:
    assert conversion(value_type(avro_type(column)), target(field)) is None


def test_a_column_that_nothing_fits_has_no_targets() -> None:
    assert targets_of(ValueType("record", "record")) == []
    assert "timestamp-micros" in targets_of(value_type(avro_type("datetime")))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10**9,
                   max_value=10**9), st.integers(3, 20))  # fmt: skip
def test_a_decimal_keeps_its_value_at_any_larger_scale(number: Decimal, scale: int) -> None:
    source, wanted = decimal(13, 3), decimal(10 + scale, scale)

    data = convert(literal(str(number), source), source, wanted)

    assert int.from_bytes(data, "big", signed=True) == number.scaleb(scale)
    assert data == literal(str(number), wanted)


@pytest.mark.parametrize("number", [0, 127, 128, 255, 256, -1, -128, -129, -32768, -32769])
def test_a_decimal_is_as_short_as_java_writes_it(number: int) -> None:
    data = literal(number, decimal(10, 0))

    assert int.from_bytes(data, "big", signed=True) == number
    assert len(data) == 1 or int.from_bytes(data[1:], "big", signed=True) != number


@pytest.mark.parametrize("wanted", [decimal(10, 1), decimal(10, 3), decimal(4, 2)])
def test_a_decimal_field_with_fewer_digits_is_refused(wanted: ValueType) -> None:
    assert conversion(decimal(10, 2), wanted) is None


@given(st.integers(-(10**7), 10**7))
def test_a_decimal_as_text_is_the_number_with_all_digits_of_its_scale(number: int) -> None:
    source = decimal(9, 2)
    text = convert(literal(str(Decimal(number).scaleb(-2)), source), source, target("string"))

    assert Decimal(text) == Decimal(number).scaleb(-2)
    assert len(text.rpartition(".")[2]) == 2
