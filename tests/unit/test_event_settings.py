"""What each setting of change events makes of values, schemas, keys and headers.

What the recordings don't show follows Debezium's sources (JdbcValueConverters,
BinlogValueConverters, MaskStrings, TruncateColumn, SchemaNameAdjuster, Key, IsoTime, IsoTimestamp)
and its own tests, whose expected values are named where they are taken.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.statement_context import context_of
from cdc.errors import DecodeError
from tests.binlogs import Binlog, Col, Reading, bits_low_first
from tests.forms_plugin import Capture
from tests.unit.test_types import (
    BINARY,
    BLOB,
    DATE,
    DATETIME,
    DECIMAL,
    ENUM,
    FLOAT,
    GEOMETRY,
    INT24,
    JSON,
    LATIN1,
    LINE_WKB,
    LONG,
    LONGLONG,
    OLD_DATETIME,
    OLD_TIME,
    SET,
    TIME,
    TIMESTAMP,
    TINY,
    UTF8MB4,
    VECTOR,
    char,
    date_image,
    datetime_image,
    decimal_image,
    decimals,
    geometry_image,
    label_column,
    time_image,
    varchar,
)  # fmt: skip

ID = Col(LONG, name="id")
Options = Mapping[str, Any]


def text_image(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return bytes([len(raw)]) + raw


def read_rows(
    capture: Capture,
    columns: Sequence[Col],
    row: Sequence[bytes | None],
    options: Options,
    **more: Any,
) -> tuple[Reading, Any]:
    """The record of one inserted row; `None` is null."""
    nulls = bits_low_first([value is None for value in row])
    image = nulls + b"".join(value for value in row if value is not None)
    reading = Reading(capture, options=options, **more)
    log = Binlog().begin(1).table(columns).rows(0, len(columns), image).commit()
    records = [r for r in reading.first(log).records if r.value is not None]
    return reading, records[-1]


def read(capture: Capture, column: Col, image: bytes | None, options: Options) -> Any:
    """The value between an id and a guard, which must be whole."""
    guard = Col(LONG, name="guard")
    row = [struct.pack("<i", 7), image, struct.pack("<i", 8)]
    reading, record = read_rows(capture, [ID, column, guard], row, options)
    after = reading.decoded(record.value)["after"]
    assert (after["id"], after["guard"]) == (7, 8)
    return after["x"]


def value_field(reading: Reading, record: Any, name: str) -> Any:
    schema = reading.schemas[int.from_bytes(record.value[1:5], "big")]
    (value,) = (t for t in schema["fields"][0]["type"] if isinstance(t, dict))
    (field,) = (f for f in value["fields"] if f["name"] == name)
    return field


def described(capture: Capture, *columns: tuple[str, str, str | None, bool]) -> Any:
    """Descriptions of shop.t: name, column type, default, nullable."""
    made = tuple(
        capture.description.ColumnDescription(name, type_.split("(")[0], type_, nullable, default)
        for name, type_, default, nullable in columns
    )
    return {("shop", "t"): capture.description.Description(made)}


# Numbers


@given(decimal=decimals())
def test_decimals_as_text_have_all_digits_of_the_scale(
    capture: Capture, decimal: tuple[int, int, int]
) -> None:
    unscaled, precision, scale = decimal
    column = Col(DECIMAL, bytes([precision, scale]))
    text = read(
        capture,
        column,
        decimal_image(unscaled, precision, scale),
        {"decimal.handling.mode": "string"},
    )
    digits = str(abs(unscaled)).zfill(scale + 1)
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    assert text == ("-" if unscaled < 0 else "") + whole + ("." + fraction if scale else "")


@given(decimal=decimals())
def test_decimals_as_doubles_are_the_nearest(
    capture: Capture, decimal: tuple[int, int, int]
) -> None:
    unscaled, precision, scale = decimal
    column = Col(DECIMAL, bytes([precision, scale]))
    image = decimal_image(unscaled, precision, scale)
    nearest = float(f"{unscaled}e-{scale}")
    assert read(capture, column, image, {"decimal.handling.mode": "double"}) == nearest


@pytest.mark.parametrize("number", [0, 127, 128, 255, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_an_unsigned_bigint_can_be_a_decimal_without_loss(capture: Capture, number: int) -> None:
    column = Col(LONGLONG, unsigned=True)
    options = {"bigint.unsigned.handling.mode": "precise"}
    assert read(capture, column, number.to_bytes(8, "little"), options) == Decimal(number)


def test_tinyint_and_geometry_follow_the_debezium_that_compat_names(capture: Capture) -> None:
    line = Col(GEOMETRY, b"\4", geometry=2, name="g")
    row = [b"\1", geometry_image(0, LINE_WKB)]
    columns = [Col(TINY, name="t"), line]
    reading, record = read_rows(capture, columns, row, {"compat": "debezium-3.7"})
    event = reading.decoded(record.value)
    assert value_field(reading, record, "t")["type"] == {"type": "int", "connect.type": "int8"}
    assert value_field(reading, record, "g")["type"]["connect.version"] == 2
    assert event["after"]["g"] == {"wkb": LINE_WKB, "srid": None, "extensions": None}
    assert event["source"]["version"] == "3.7.0.Final"
    reading, record = read_rows(capture, columns, row, {})
    assert value_field(reading, record, "t")["type"] == {"type": "int", "connect.type": "int16"}
    assert reading.decoded(record.value)["after"]["g"] == {"wkb": LINE_WKB, "srid": None}


# Bytes


@pytest.mark.parametrize(
    ("mode", "text"),
    [("base64", "+//+AA=="), ("base64-url-safe", "-__-AA=="), ("hex", "fbfffe00")],
)
def test_bytes_can_be_text(capture: Capture, mode: str, text: str) -> None:
    options = {"binary.handling.mode": mode}
    raw = b"\xfb\xff\xfe\x00"
    assert read(capture, Col(BLOB, b"\1", charset=BINARY), text_image(raw), options) == text
    # The binlog cuts the zeros of a BINARY; they are back before it becomes text.
    assert read(capture, char(4, BINARY), text_image(raw[:3]), options) == text


# Dates and times


CONNECT = {"time.precision.mode": "connect"}
ISO = {"time.precision.mode": "isostring"}
NANOS = {"time.precision.mode": "nanoseconds"}
NANOS_MAX = datetime(2262, 4, 11)


@given(when=st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), digits=st.integers(0, 6))
def test_datetimes_in_each_unit(capture: Capture, when: datetime, digits: int) -> None:
    when = when.replace(microsecond=when.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    seconds = when.hour * 3600 + when.minute * 60 + when.second
    image = datetime_image(when.year, when.month, when.day, seconds, when.microsecond, digits)
    micros = (when - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    column = Col(DATETIME, bytes([digits]), nullable=True)
    iso = when.isoformat()
    iso = (iso.rstrip("0") if "." in iso else iso) + "Z"

    def got(mode: str) -> Any:
        return read(capture, column, image, {"time.precision.mode": mode})

    assert got("microseconds") == micros
    assert got("isostring") == iso
    connect = got("connect")
    assert (connect.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(
        milliseconds=1
    ) == micros // 1000
    # 64 bits of nanoseconds end in 2262; Debezium wraps around there.
    fits = datetime(1677, 9, 22) < when < NANOS_MAX
    if fits or when > NANOS_MAX + timedelta(1) or when < datetime(1677, 9, 21):
        assert got("nanoseconds") == (micros * 1000 if fits else None)


DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("micros", "millis", "iso"),
    [
        (0, 0, "00:00:00Z"),
        (45_296_789_012, 45_296_789, "12:34:56.789012Z"),
        (1_500_000, 1_500, "00:00:01.5Z"),
        (DAY, 86_400_000, "00:00:00Z"),  # LocalTime wraps
        (DAY + 1, None, None),
        (-1, None, None),
    ],
)
def test_times_that_are_no_time_of_day_are_substituted_where_the_unit_is_one(
    capture: Capture, micros: int, millis: int | None, iso: str | None
) -> None:
    image = time_image(micros, 6)
    optional = Col(TIME, b"\6", nullable=True)
    if micros != DAY:  # Python has no 24:00
        connect = read(capture, optional, image, CONNECT)
        assert (None if connect is None else _millis(connect)) == millis
    assert read(capture, optional, image, ISO) == iso
    assert read(capture, optional, image, NANOS) == micros * 1000
    assert read(capture, optional, image, {"time.precision.mode": "microseconds"}) == micros
    assert read(capture, Col(TIME, b"\6"), image, ISO) == (iso or "00:00:00Z")


def _millis(time: Any) -> int:
    seconds = time.hour * 3600 + time.minute * 60 + time.second
    return int(seconds * 1000 + time.microsecond // 1000)


def test_iso_dates_have_a_zone_as_debezium_writes_them(capture: Capture) -> None:
    assert read(capture, Col(DATE), date_image(2023, 11, 21), ISO) == "2023-11-21Z"
    assert read(capture, Col(DATE), date_image(12, 1, 2), ISO) == "0012-01-02Z"
    assert read(capture, Col(DATE), date_image(0, 0, 0), ISO) == "1970-01-01Z"
    assert read(capture, Col(DATETIME, b"\0"), datetime_image(0, 0, 0), ISO) == (
        "1970-01-01T00:00:00Z"
    )


def test_the_formats_before_5_6_have_the_units_too(capture: Capture) -> None:
    image = (20240229123456).to_bytes(8, "little")
    assert read(capture, Col(OLD_DATETIME), image, ISO) == "2024-02-29T12:34:56Z"
    assert read(capture, Col(OLD_TIME), (123456).to_bytes(3, "little"), ISO) == "12:34:56Z"
    assert read(capture, Col(OLD_TIME), (123456).to_bytes(3, "little"), NANOS) == (
        45_296_000_000_000
    )


@pytest.mark.parametrize(
    ("column", "type_", "default", "options", "expected"),
    [
        (Col(DECIMAL, b"\5\2"), "decimal(5,2)", "1.50", {"decimal.handling.mode": "string"},
         "1.50"),
        (Col(DECIMAL, b"\5\2"), "decimal(5,2)", "1.50", {"decimal.handling.mode": "double"}, 1.5),
        (Col(LONGLONG, unsigned=True), "bigint unsigned", "255",
         {"bigint.unsigned.handling.mode": "precise"}, "\x00\xff"),
        (Col(DATE), "date", "2001-02-03", ISO, "2001-02-03Z"),
        (Col(DATE), "date", "2001-02-03", CONNECT, 11356),
        (Col(DATETIME, b"\3"), "datetime(3)", "2020-01-02 03:04:05.100", ISO,
         "2020-01-02T03:04:05.1Z"),
        (Col(DATETIME, b"\0"), "datetime", "2020-01-02 03:04:05", NANOS, 1577934245 * 10**9),
        (Col(DATETIME, b"\0"), "datetime", "9999-12-31 00:00:00", NANOS, None),
        (Col(TIME, b"\0"), "time", "12:34:56", CONNECT, 45296000),
        (Col(TIME, b"\0"), "time", "12:34:56", ISO, "12:34:56Z"),
        (Col(TIME, b"\0"), "time", "-01:00:00", CONNECT, None),
    ],
)  # fmt: skip
def test_defaults_are_in_the_form_of_the_mode(
    capture: Capture, column: Col, type_: str, default: str, options: Options, expected: Any
) -> None:
    columns = [ID, replace(column, nullable=True)]
    known = described(capture, ("id", "int", None, False), ("x", type_, default, True))
    reading, record = read_rows(capture, columns, [bytes(4), None], options, descriptions=known)
    assert value_field(reading, record, "x")["default"] == expected


def test_a_zero_date_is_the_columns_default_where_null_cant_be(capture: Capture) -> None:
    known = described(capture, ("id", "int", None, False), ("x", "date", "2001-02-03", False))
    row = [bytes(4), date_image(0, 0, 0)]
    reading, record = read_rows(capture, [ID, Col(DATE)], row, ISO, descriptions=known)
    assert reading.decoded(record.value)["after"]["x"] == "2001-02-03Z"


# What the format can't hold


def test_a_substitution_can_be_an_error_that_names_the_column(capture: Capture) -> None:
    options = {"on_substitution": "fail"}
    for column in (Col(DATE), Col(DATE, nullable=True)):
        with pytest.raises(DecodeError, match=r"column x of shop\.t holds a value"):
            read(capture, column, date_image(2024, 2, 30), options)
    with pytest.raises(DecodeError, match=r"column x of shop\.t holds a value"):
        read(capture, Col(TIMESTAMP, b"\0"), bytes(4), options)
    assert read(capture, Col(DATE, nullable=True), None, options) is None


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (UTF8MB4, b"a\xffb", "a\ufffdb"),
        (13, b"a\x81", "a\ufffd"),  # sjis, cut off
        (35, b"\x00a\xd8\x00", "a\ufffd"),  # ucs2, half a pair
        (LATIN1, b"\x80", "€"),
    ],
)
def test_invalid_text_can_be_replaced_and_is_counted(
    capture: Capture, charset: int, raw: bytes, text: str
) -> None:
    row = [bytes(4), text_image(raw)]
    columns = [ID, varchar(20, charset)]
    reading, record = read_rows(capture, columns, row, {"invalid_text": "replace"})
    assert reading.decoded(record.value)["after"]["x"] == text
    counted = reading.decoder.substitutions()
    assert counted == ({("shop.t", "x"): 1} if "\ufffd" in text else {})


# Columns


SECRET = [ID, replace(varchar(40), name="pin", nullable=True), Col(LONG, name="n")]


def secret_row(pin: str | bytes | None) -> list[bytes | None]:
    return [struct.pack("<i", 7), None if pin is None else text_image(pin), struct.pack("<i", 8)]


def read_secret(capture: Capture, pin: str | bytes | None, options: Options) -> Any:
    reading, record = read_rows(capture, SECRET, secret_row(pin), options)
    return reading.decoded(record.value)["after"]


@pytest.mark.parametrize("pin", ["1234", None, b"\xff\xfe"])
def test_an_excluded_column_is_nowhere_and_its_bytes_are_not_read(
    capture: Capture, pin: str | bytes | None
) -> None:
    assert read_secret(capture, pin, {"column.exclude.list": ".*pin"}) == {"id": 7, "n": 8}


def test_an_included_list_leaves_the_key_in_the_key(capture: Capture) -> None:
    options = {"column.include.list": r"shop\.t\.n"}
    reading, record = read_rows(capture, SECRET, secret_row("x"), options)
    assert reading.decoded(record.value)["after"] == {"n": 8}
    assert reading.decoded(record.key) == {"id": 7}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"column.exclude.list": r".*\.id"}, "in column.exclude.list, but part of the key"),
        ({"column.mask.with.3.chars": r".*\.n"}, "to be masked, but it is INT"),
        ({"column.mask.hash.MD5.with.salt.s": r".*\.n"}, "to be masked, but it is INT"),
        (
            {"column.mask.with.3.chars": ".*pin", "message.key.columns": "shop.t:pin"},
            "all rows would have the same",
        ),
    ],
)
def test_what_cant_be_hidden_is_refused_instead_of_published(
    capture: Capture, options: Options, says: str
) -> None:
    with pytest.raises(DecodeError, match=says):
        read_secret(capture, "1234", options)


@pytest.mark.parametrize("pin", ["1234", "", None, b"\xff"])
def test_a_mask_of_asterisks_stands_for_every_value_and_null(
    capture: Capture, pin: str | bytes | None
) -> None:
    """As Debezium's MaskStringsTest.shouldMaskStringsWithAsterisks."""
    reading, record = read_rows(
        capture, SECRET, secret_row(pin), {"column.mask.with.5.chars": ".*pin"}
    )
    assert reading.decoded(record.value)["after"] == {"id": 7, "pin": "*****", "n": 8}
    parameters = value_field(reading, record, "pin")["type"][1]["connect.parameters"]
    assert parameters == {"masked": "true"}
    assert reading.decoder.substitutions() == {}


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        # Debezium's MaskStringsTest; v1 hashes the text as Java serializes it.
        ("SHA-256.with.salt.salt", "hello",
         "af5843a0f0e728ab0332c8888b6e1190bfb79e584f0d40538de8f10df6ef29c6"),
        ("SHA-256.with.salt.salt", "world",
         "4588e1f2dcdc7fefc1515d3acd5acb9033478eace68286f383c337b9ff4464a3"),
        ("MD5.with.salt.salt", "hello", "46f48a7a5ea32efba87cbff49d46d35a"),
        ("MD5.with.salt.salt", "world", "030f632140d9c9591b0d8c21098024b8"),
        # v2 is the hash of salt and text: `printf salthello | sha256sum`.
        ("v2.SHA-256.with.salt.salt", "hello",
         "cd31b3b98ece60cb739c0bf770b2de892ae0ad133f645513c3d83f08757a843a"),
    ],
)  # fmt: skip
def test_a_mask_can_be_a_salted_hash(
    capture: Capture, option: str, text: str, expected: str
) -> None:
    columns = [ID, replace(varchar(400), nullable=True)]
    row = [bytes(4), struct.pack("<H", len(text)) + text.encode()]
    options = {f"column.mask.hash.{option}": ".*x"}
    reading, record = read_rows(capture, columns, row, options)
    assert reading.decoded(record.value)["after"]["x"] == expected
    reading, record = read_rows(capture, columns, [bytes(4), None], options)
    assert reading.decoded(record.value)["after"]["x"] is None


def test_a_hash_is_cut_to_the_columns_length_and_hashes_the_key_as_well(capture: Capture) -> None:
    options = {"column.mask.hash.v2.MD5.with.salt.s": ".*pin", "message.key.columns": "shop.t:pin"}
    reading, record = read_rows(capture, SECRET, secret_row("1234"), options)
    hashed = reading.decoded(record.value)["after"]["pin"]
    assert len(hashed) == 10  # VARCHAR(10): 40 bytes
    assert reading.decoded(record.key) == {"pin": hashed}


def test_a_masked_columns_default_is_not_in_the_schema(capture: Capture) -> None:
    known = described(
        capture, ("id", "int", None, False), ("pin", "varchar(10)", "0000", True),
        ("n", "int", None, False),
    )  # fmt: skip
    for option in ("column.mask.with.3.chars", "column.mask.hash.v2.MD5.with.salt.s"):
        reading, record = read_rows(
            capture, SECRET, secret_row(None), {option: ".*pin"}, descriptions=known
        )
        assert value_field(reading, record, "pin")["default"] is None


def test_asterisks_go_before_a_hash_whatever_their_order(capture: Capture) -> None:
    masks = [("column.mask.with.3.chars", ".*pin"), ("column.mask.hash.MD5.with.salt.s", ".*pin")]
    for ordered in (masks, masks[::-1]):
        assert read_secret(capture, "1234", dict(ordered))["pin"] == "***"


def test_an_error_in_a_masked_column_says_nothing_of_its_value(capture: Capture) -> None:
    options = {"column.mask.hash.v2.MD5.with.salt.s": ".*x"}
    with pytest.raises(DecodeError) as caught:
        read(capture, label_column(ENUM, 1, ["a"]), b"\x09", options)
    error: BaseException | None = caught.value
    assert "column x of shop.t, which is masked, can't be read" in str(error)
    while error is not None:
        assert "index" not in str(error)
        error = error.__cause__
    with pytest.raises(DecodeError, match="which is masked"):
        read(capture, varchar(20), text_image(b"\xff"), options)


def test_enums_and_sets_are_masked_as_text(capture: Capture) -> None:
    options = {"column.mask.with.2.chars": ".*x"}
    assert read(capture, label_column(ENUM, 1, ["a"]), b"\1", options) == "**"
    assert read(capture, label_column(SET, 1, ["a"]), b"\1", options) == "**"


@pytest.mark.parametrize(
    ("text", "cut"),
    [("abc", "abc"), ("abcde", "abcd"), ("žluť", "žluť"), ("🐎🐎", "🐎🐎"), ("abc🐎", "abc")],
)
def test_text_is_cut_by_utf_16_units_and_never_inside_a_pair(
    capture: Capture, text: str, cut: str
) -> None:
    options = {"column.truncate.to.4.chars": ".*"}
    assert read(capture, varchar(80), text_image(text), options) == cut


def test_bytes_are_cut_and_numbers_are_not(capture: Capture) -> None:
    options = {"column.truncate.to.2.chars": ".*"}
    assert read(capture, Col(BLOB, b"\1", charset=BINARY), text_image(b"abc"), options) == b"ab"
    assert read(capture, Col(INT24), b"\1\0\0", options) == 1
    decimal = Col(DECIMAL, b"\5\2")
    assert read(capture, decimal, decimal_image(12345, 5, 2), options) == Decimal("123.45")
    text_mode = {**options, "decimal.handling.mode": "string"}
    assert read(capture, decimal, decimal_image(12345, 5, 2), text_mode) == "12"


def test_a_cut_columns_field_says_so_and_the_key_has_it_whole(capture: Capture) -> None:
    options = {"column.truncate.to.4.chars": ".*pin", "message.key.columns": "shop.t:pin"}
    reading, record = read_rows(capture, SECRET, secret_row("123456"), options)
    assert reading.decoded(record.value)["after"]["pin"] == "1234"
    assert reading.decoded(record.key) == {"pin": "123456"}
    parameters = value_field(reading, record, "pin")["type"][1]["connect.parameters"]
    assert parameters == {"truncateLength": "4"}
    # A column that can't be longer is left alone.
    columns, cut = [ID, varchar(8)], {"column.truncate.to.4.chars": ".*pin"}
    reading, record = read_rows(capture, columns, [bytes(4), text_image("ab")], cut)
    assert value_field(reading, record, "x")["type"] == "string"


def test_a_keys_schema_has_neither_default_nor_comment_and_null_comes_first(
    capture: Capture,
) -> None:
    """Compaction goes by the key's bytes, which a new default must not change."""
    known = described(capture, ("id", "int", None, False), ("x", "int", "5", True))
    columns = [ID, Col(LONG, nullable=True)]
    keys = []
    for value in (struct.pack("<i", 5), None):
        reading, record = read_rows(
            capture, columns, [bytes(4), value], {"message.key.columns": "shop.t:x"},
            descriptions=known,
        )  # fmt: skip
        keys.append(reading.decoded(record.key))
        schema = reading.schemas[int.from_bytes(record.key[1:5], "big")]
        assert schema["fields"] == [{"name": "x", "type": ["null", "int"], "default": None}]
        assert value_field(reading, record, "x")["default"] == 5
    assert keys == [{"x": 5}, {"x": None}]


# Schemas


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Col(TINY, unsigned=True), ("TINYINT UNSIGNED", None, None)),
        (Col(DECIMAL, b"\x0a\2"), ("DECIMAL", "10", "2")),
        (varchar(40), ("VARCHAR", "10", None)),
        (char(6, BINARY), ("BINARY", "6", None)),
        (Col(BLOB, b"\3"), ("MEDIUMTEXT", None, None)),
        (Col(BLOB, b"\1", charset=BINARY), ("TINYBLOB", None, None)),
        (Col(TIME, b"\3"), ("TIME", "3", None)),
        (Col(FLOAT, b"\4"), ("FLOAT", None, None)),
        (Col(JSON, b"\4"), ("JSON", None, None)),
        (Col(GEOMETRY, b"\4", geometry=1), ("POINT", None, None)),
        (Col(VECTOR, b"\4", dimensions=3), ("VECTOR", "3", None)),
        (label_column(SET, 1, ["a", "b", "c"]), ("SET", "5", None)),
        (label_column(ENUM, 1, ["a", "b"]), ("ENUM", "1", None)),
    ],
)
def test_source_types_are_told_from_the_shape_where_nothing_else_is_known(
    capture: Capture, column: Col, expected: tuple[str, str | None, str | None]
) -> None:
    column = replace(column, nullable=True)
    reading, record = read_rows(
        capture, [ID, column], [bytes(4), None], {"column.propagate.source.type": r".*\.x"}
    )
    parameters = dict(value_field(reading, record, "x")["type"][1]["connect.parameters"])
    for own in ("allowed", "scale", "connect.decimal.precision"):
        parameters.pop(own, None)
    names = ("type", "length", "scale")
    wanted = {
        f"__debezium.source.column.{name}": value
        for name, value in zip(names, expected, strict=True)
        if value is not None
    }
    assert parameters == {**wanted, "__debezium.source.column.name": "x"}
    assert value_field(reading, record, "id")["type"] == "int"


def test_source_types_can_be_asked_for_by_type(capture: Capture) -> None:
    options = {"datatype.propagate.source.type": r"shop\.t\.int"}
    reading, record = read_rows(capture, SECRET, secret_row("x"), options)
    for name, has_source_type in (("id", True), ("pin", False), ("n", True)):
        assert ("column.type" in str(value_field(reading, record, name))) is has_source_type


def test_comments_become_docs_of_the_types(capture: Capture) -> None:
    made = capture.description.ColumnDescription("id", "int", "int", False, None, "", "who")
    known = {("shop", "t"): capture.description.Description((made,))}
    for wanted, type_ in (
        (False, "int"),
        (True, {"type": "int", "connect.doc": "who"}),
    ):
        reading, record = read_rows(
            capture, [ID], [bytes(4)], {"include.schema.comments": wanted}, descriptions=known
        )
        assert value_field(reading, record, "id")["type"] == type_


@pytest.mark.parametrize(
    ("mode", "column", "field", "full_name"),
    [
        ("avro", "Č-1_2", "__1_2", "_my.shop.t"),
        # `_` escapes and is escaped; two digits get two zeros, more get none (SchemaNameAdjuster).
        ("avro_unicode", "Č-1_2", "_u10c_u002d1_u005f2", "_u002dmy.shop.t"),
        ("avro_unicode", "9a", "_u00399a"[:6] + "a", "_u002dmy.shop.t"),
    ],
)
def test_names_are_adjusted_as_the_mode_says(
    capture: Capture, mode: str, column: str, field: str, full_name: str
) -> None:
    options = {"schema.name.adjustment.mode": mode, "field.name.adjustment.mode": mode}
    columns = [replace(ID, name=column)]
    reading, record = read_rows(capture, columns, [bytes(4)], options, connector="-my")
    schema = reading.schemas[int.from_bytes(record.value[1:5], "big")]
    assert schema["connect.name"] == f"{full_name}.Envelope"
    assert value_field(reading, record, field)["type"] == "int"


def test_without_adjustment_a_name_that_avro_cant_have_is_refused(capture: Capture) -> None:
    options = {"schema.name.adjustment.mode": "none", "field.name.adjustment.mode": "none"}
    assert read_rows(capture, [ID], [bytes(4)], options)
    with pytest.raises(DecodeError, match="'a b' can't be a name in Avro"):
        read_rows(capture, [replace(ID, name="a b")], [bytes(4)], options)


def test_topics_take_delimiter_and_names(capture: Capture) -> None:
    options = {
        "topic.delimiter": "-",
        "topic.transaction": "tx",
        "provide.transaction.metadata": True,
    }
    reading = Reading(capture, options=options)
    log = Binlog().begin(1).table([ID]).rows(0, 1, b"\0" + bytes(4)).commit()
    topics = {record.topic for record in reading.first(log).records}
    assert topics == {"c-shop-t", "c-tx"}


# Events


def update(before: bytes, after: bytes, options: Options, capture: Capture) -> list[Any]:
    reading = Reading(capture, options=options)
    image = b"\0" + before + b"\0" + after
    log = Binlog().begin(1).table(SECRET).rows(1, 3, image).commit()
    records = list(reading.first(log).records)
    assert len(records) + sum(reading.decoder.dropped.values()) >= 1
    return records


def plain_row(number: int, pin: str, n: int) -> bytes:
    return struct.pack("<i", number) + text_image(pin) + struct.pack("<i", n)


def test_an_update_of_nothing_that_is_published_can_be_skipped(capture: Capture) -> None:
    before, after = plain_row(7, "old", 1), plain_row(7, "new", 1)
    hidden = {"column.exclude.list": ".*pin"}
    skipping = {"skip.messages.without.change": True}
    assert update(before, after, {**hidden, **skipping}, capture) == []
    assert len(update(before, after, hidden, capture)) == 1
    assert len(update(before, after, skipping, capture)) == 1
    # A key that changes is published, even if no list includes it.
    alone = {"column.include.list": ".*n", **skipping}
    assert len(update(plain_row(7, "a", 1), plain_row(8, "a", 1), alone, capture)) == 3


def test_a_skipped_update_is_counted_by_its_rule(capture: Capture) -> None:
    reading = Reading(capture, options={"skip.messages.without.change": True})
    image = 2 * (b"\0" + plain_row(7, "a", 1))
    log = Binlog().begin(1).table(SECRET).rows(1, 3, image).commit()
    assert len(reading.first(log).records) == 0
    ((table, rule),) = reading.decoder.dropped
    assert (table, rule[:28]) == ("shop.t", "skip.messages.without.change")


def test_context_headers_are_a_switch(capture: Capture) -> None:
    log = Binlog().begin(1).table([ID]).rows(0, 1, b"\0" + bytes(4))
    log.rows(2, 1, b"\0" + bytes(4)).commit()
    for wanted in (False, True):
        reading = Reading(capture, options={"extended.headers.enabled": wanted})
        for record in reading.first(log).records:  # create, delete, tombstone
            headers = dict(record.headers)
            context = {n: v for n, v in headers.items() if n.startswith("__debezium.context.")}
            run = context.pop("__debezium.context.runId", None)
            assert (run is not None) is wanted
            assert context == (
                {
                    "__debezium.context.connectorLogicalName": b"c",
                    "__debezium.context.taskId": b"0",
                    "__debezium.context.connectorName": b"mysql",
                }
                if wanted
                else {}
            )


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_allowed_keys_of_a_statements_comment_are_headers_of_its_rows_alone(
    capture: Capture,
) -> None:
    text = f"delete from t /*traceparent='{TRACE}',user_id='J%C3%B6rg',secret='x'*/"
    row = b"\0" + bytes(4)
    log = Binlog().begin(1).add(29, b"\xffinsert into t").table([ID]).rows(0, 1, row)
    log.add(29, b"\xff" + text.encode()).rows(2, 1, row).commit()
    log.begin(2).table([ID]).rows(0, 1, row).commit()
    for extended in (False, True):
        options = {"context_keys": "traceparent, user_id", "extended.headers.enabled": extended}
        reading = Reading(capture, options=options)
        # A batch may end anywhere: the statement goes on in the next one.
        events = [*log.events]
        records = list(reading.read(events[0] + events[1], reading.start()).records)
        for event in events[2:]:
            records += reading.read(event).records
        whole = Reading(capture, options=options, ids=reading.ids).first(log).records
        assert [r.headers[-2:] for r in records if not extended] == [
            r.headers[-2:] for r in whole if not extended
        ]
        for record, has_context in zip(records, [False, True, True, False], strict=True):
            headers = dict(record.headers)
            assert "secret" not in headers
            assert ("__debezium.context.taskId" in headers) is extended
            assert headers.get("traceparent") == (TRACE.encode() if has_context else None)
            assert headers.get("user_id") == ("Jörg".encode() if has_context else None)
            assert reading.decoded(record.value) is None or (
                reading.decoded(record.value)["source"]["query"] is None
            )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("select 1", {}),
        ("/*a='1'*/ select 1", {"a": b"1"}),
        ("select '/*a=''2''*/' /*a='1'*/", {"a": b"1"}),
        ("select \"/*a='2'*/\", `/*a='2'*/`, '\\'/*a=''2''*/'", {}),
        ("select 1 -- /*a='2'*/\n", {}),
        ("select 1 # /*a='2'*/\n", {}),
        ("/*a='1'*/ select 1 /*a='2',b='3'*/", {"a": b"2", "b": b"3"}),
        ("select 1 /* not a='1' this */", {}),
        ("select 1 /*a='it\\'s'*/", {"a": b"it's"}),
        ("select 1 /*+ MAX_EXECUTION_TIME(1) */", {}),
        (f"select 1 /*a='{2000 * 'x'}'*/", {}),
    ],
)
def test_only_comments_of_the_right_form_hold_context(text: str, found: dict[str, bytes]) -> None:
    assert dict(context_of(text, {"a", "b"})) == found


def test_heartbeats_come_when_their_interval_is_over(capture: Capture) -> None:
    reading = Reading(capture, options={"heartbeat.interval.ms": 1000})
    now = [10**18]
    settings, _ = capture.settings.parse_settings(reading.options)
    decoder = capture.decoder.Decoder(reading.binder, settings, clock=lambda: now[0])
    batch = capture.batch.EventBatch

    def heartbeats(after_millis: int, start: Any = None) -> list[Any]:
        now[0] += after_millis * 1_000_000
        return list(decoder(batch(b"", start)).records)

    assert heartbeats(0, reading.start()) == []
    assert heartbeats(999) == []
    (record,) = heartbeats(1)
    assert (record.topic, record.place) == ("__debezium-heartbeat.c", 0)
    assert reading.decoded(record.key) == {"serverName": "c"}
    assert reading.decoded(record.value) == {"ts_ms": 10**12 + 1000}
    assert heartbeats(500) == []


@pytest.mark.parametrize(
    ("flavor", "kind", "prefix"), [("mysql", 29, b"\x0a"), ("mariadb", 160, b"")]
)
def test_the_statements_text_stands_in_its_rows_and_in_no_others(
    capture: Capture, flavor: str, kind: int, prefix: bytes
) -> None:
    row = b"\0" + bytes(4)
    log = Binlog(flavor).begin(1).add(kind, prefix + "insert 'ž'".encode()).table([ID])
    log.rows(0, 1, row).commit().begin(2).table([ID]).rows(0, 1, row).commit()
    for wanted, texts in ((True, ["insert 'ž'", None]), (False, [None, None])):
        reading = Reading(capture, options={"include.query": wanted})
        records = reading.first(log).records
        assert [reading.decoded(r.value)["source"]["query"] for r in records] == texts


def test_the_placeholder_of_what_a_row_image_leaves_out_is_a_setting(capture: Capture) -> None:
    columns = [ID, Col(BLOB, b"\1", nullable=True)]
    options = {"unavailable.value.placeholder": "(none)"}
    reading = Reading(capture, options=options, accept=("row_image_not_full",))
    log = Binlog().begin(1).table(columns).rows(0, 2, b"\0" + bytes(4), present=b"\x01").commit()
    (record,) = reading.first(log).records
    assert reading.decoded(record.value)["after"]["x"] == "(none)"
