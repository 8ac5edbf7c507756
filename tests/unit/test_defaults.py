"""Defaults of columns as Debezium's 3.6.1 writes them into schemas, mode by mode.

The expected values are those that its own parser and converters give of the same DDL."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.capture import shapes as t
from cdc.capture.ddl_defaults import settled_default
from cdc.capture.defaults import default_of, encode_default
from cdc.capture.description import ColumnDescription, parse_descriptions
from cdc.capture.dialect import Dialect
from cdc.capture.settings import parse_settings
from cdc.capture.shapes import Column
from cdc.capture.sql_tokens import NotUnderstood
from cdc.capture.types import form_of

MODES = ("adaptive_time_microseconds", "connect", "microseconds", "nanoseconds", "isostring")
SHAPES = {
    "date": Column("x", t.DATE, False), "datetime": Column("x", t.DATETIME2, False),
    "datetime(6)": Column("x", t.DATETIME2, False, precision=6),
    "timestamp(3)": Column("x", t.TIMESTAMP2, False, precision=3),
    "timestamp": Column("x", t.TIMESTAMP2, False), "time": Column("x", t.TIME2, False),
    "binary(3)": Column("x", t.STRING, False, length=3, charset="binary"),
    "varbinary(9)": Column("x", t.VARCHAR, False, length=9, charset="binary"),
    "bit(9)": Column("x", t.BIT, False, length=9),
    "bigint unsigned": Column("x", t.LONGLONG, False, unsigned=True),
    "enum('a','b,c')": Column("x", t.ENUM, False, labels=("a", "b,c"), length=1),
    "varchar(20)": Column("x", t.VARCHAR, False, length=20, charset="utf8mb4"),
}  # fmt: skip


def default(column_type: str, text: str, nullable: bool = False, **options: str) -> Any:
    """The default in the schema; encoded, it is what null is published as."""
    settings, faults = parse_settings({k.replace("_", "."): v for k, v in options.items()})
    assert not faults
    shape = SHAPES[column_type]
    column = Column(**{name: getattr(shape, name) for name in Column.__slots__} | {
        "nullable": nullable
    })  # fmt: skip
    data_type = column_type.partition("(")[0].split()[0]
    described = ColumnDescription("x", data_type, column_type, nullable, text)
    form = form_of(column, described, settings)
    found = default_of(column, described, form)
    if found is not None:
        assert encode_default(form.avro, found)
    return found


ZERO = [("date", "0000-00-00"), ("date", "2001-00-05"), ("datetime", "0000-00-00 00:00:00"),
        ("datetime", "2001-00-05 10:00:00"), ("datetime(6)", "0000-00-00 00:00:00.000000"),
        ("timestamp", "0000-00-00 00:00:00")]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("column_type", "text"), ZERO)
def test_a_zero_date_is_the_epoch_where_null_cannot_be(
    column_type: str, text: str, mode: str
) -> None:
    epoch: Any = 0
    if mode == "isostring":
        epoch = "1970-01-01Z" if column_type == "date" else "1970-01-01T00:00:00Z"
    if column_type == "timestamp":
        epoch = "1970-01-01T00:00:00Z"
    assert default(column_type, text, time_precision_mode=mode) == epoch
    assert default(column_type, text, nullable=True, time_precision_mode=mode) is None


@pytest.mark.parametrize(("column_type", "nullable", "expected"), [
    ("timestamp", False, "1970-01-01T00:00:00Z"), ("timestamp", True, None),
    ("datetime", False, 0), ("datetime", True, 0), ("datetime(6)", True, 0),
])  # fmt: skip
def test_the_time_of_the_moment_is_the_epoch(
    column_type: str, nullable: bool, expected: Any
) -> None:
    for text in ("CURRENT_TIMESTAMP", "current_timestamp()", "CURRENT_TIMESTAMP(6)"):
        assert default(column_type, text, nullable) == expected


@pytest.mark.parametrize(("mode", "fixed", "varying"), [
    ("bytes", "ab\0", "xy"), ("base64", "YWIA", "eHk="), ("base64-url-safe", "YWIA", "eHk="),
    ("hex", "616200", "7879"),
])  # fmt: skip
def test_bytes_have_the_form_of_values(mode: str, fixed: str, varying: str) -> None:
    for text in ("'ab'", "0x616200", "'ab\\0'"):  # of DDL, of MySQL's and MariaDB's catalogue
        assert default("binary(3)", text, binary_handling_mode=mode) == fixed
    for text in ("'xy'", "0x7879", "x'7879'"):
        assert default("varbinary(9)", text, True, binary_handling_mode=mode) == varying
    assert default("varbinary(9)", "''", binary_handling_mode=mode) == ""
    assert default("varbinary(9)", "'0x41'") == "0x41"


def test_other_types() -> None:
    assert default("timestamp(3)", "2020-01-02 03:04:05.120") == "2020-01-02T03:04:05.120Z"
    assert default("timestamp", "'2020-01-02 03:04:05'", True) == "2020-01-02T03:04:05Z"
    assert default("date", "2001-02-30") == 11381  # a day that the month doesn't have
    assert default("enum('a','b,c')", "'b,c'") == "b,c"
    assert default("bit(9)", "b'101'") == "\5\0"
    assert default("bigint unsigned", "18446744073709551615") == (1 << 63) - 1
    assert default("varchar(20)", "'it''s \\\\ \\n'") == "it's \\ \n"
    assert default("varchar(20)", "'now'") == "now"
    assert default("varchar(20)", "'NULL'") == "NULL"
    assert default("varchar(20)", "NULL") is None


def test_mysqls_catalogue_gives_texts_without_quotes() -> None:
    row = {"TABLE_SCHEMA": "d", "TABLE_NAME": "t", "EXTRA": "", "IS_NULLABLE": "NO",
           "COLUMN_COMMENT": "", "SRS_ID": None, "COLUMN_NAME": "x", "ORDINAL_POSITION": 1,
           "DATA_TYPE": "varchar", "COLUMN_TYPE": "varchar(20)"}  # fmt: skip
    for text, given in (("'q'", "'''q'''"), ("NULL", "'NULL'"), ("a\\b", "'a\\\\b'"), ("", "")):
        known = parse_descriptions({"columns": [{**row, "COLUMN_DEFAULT": text}]})["d", "t"]
        assert known.columns[0].default == given
        assert default("varchar(20)", given) == text


IN_BERLIN = Dialect("mysql", time_zone="Europe/Berlin")


@pytest.mark.parametrize(("column_type", "written", "kept"), [
    ("int", "1.5", "2"), ("int", "'-7'", "-7"), ("decimal(5,2)", "1.005", "1.01"),
    ("decimal(65,30)", "1e30", "1" + "0" * 30 + "." + "0" * 30),
    ("date", "20200102", "'2020-01-02'"), ("date", "'20-1-2'", "'2020-01-02'"),
    ("date", "'2020-01-02 00:00:00'", "'2020-01-02'"), ("datetime", "0", "'0000-00-00 00:00:00'"),
    ("datetime(3)", "'2020.1.2 3:4'", "'2020-01-02 03:04:00.000'"),
    ("timestamp", "'2020-07-02 03:04:05'", "'2020-07-02 01:04:05'"),
    ("timestamp", "'0000-00-00 00:00:00'", "'0000-00-00 00:00:00'"),
    ("time", "'10:00'", "'10:00:00'"), ("time(3)", "'-1:2:3.5'", "'-01:02:03.500'"),
    ("year", "0", "0000"), ("year", "'0'", "2000"), ("year", "69", "2069"),
    ("year", "'70'", "1970"),
    ("bit(3)", "5", "b'101'"), ("bit(3)", "b'0101'", "b'101'"), ("varchar(9)", "7", "'7'"),
    ("varbinary(9)", "0x41", "0x41"), ("set('a','b')", "'a,b'", "'a,b'"),
    ("datetime", "CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"), ("int", "(1 + 1)", "(1 + 1)"),
])  # fmt: skip
def test_ddl_is_settled_as_the_server_settles_it(column_type: str, written: str, kept: str) -> None:
    data_type = column_type.partition("(")[0]
    assert settled_default(written, data_type, column_type, IN_BERLIN) == kept


@pytest.mark.parametrize(("column_type", "written"), [
    ("int", "0x41"), ("int", "'x'"), ("int", "b'1'"), ("varchar(9)", "0x41"),
    ("varchar(9)", "1.50"),
    ("datetime", "'2020-01-01 00:00:00.5'"), ("date", "'2020-01-02 10:00:00'"), ("date", "'now'"),
    ("time", "'1 10:00:00'"), ("enum('a','b')", "1"), ("enum('a','b')", "'A'"),
    ("set('a','b')", "'b,a'"), ("bit(8)", "'5'"), ("year", "'100'"), ("int", "1e999"),
    ("timestamp", "'2020-10-25 02:30:00'"),  # an hour that is there twice
    ("timestamp", "'2020-03-29 02:30:00'"),  # one that isn't there
    ("timestamp", "'2020-02-30 00:00:00'"),
])  # fmt: skip
def test_what_the_server_may_settle_in_another_way_is_not_understood(
    column_type: str, written: str
) -> None:
    with pytest.raises(NotUnderstood):
        settled_default(written, column_type.partition("(")[0], column_type, IN_BERLIN)


@pytest.mark.parametrize(
    "zone", ["", "SYSTEM", "Nowhere/At_All", "../../etc/passwd", "+25:00", "\0"]
)
def test_a_moment_of_an_unknown_time_zone_is_not_understood(zone: str) -> None:
    dialect = Dialect("mysql", time_zone=zone)
    with pytest.raises(NotUnderstood):
        settled_default("'2020-01-02 03:04:05'", "timestamp", "timestamp", dialect)
