"""Values as mysql-replication gives them, in the form that a column's Avro type asks for.

Written against the schema and the library alone: nothing of capture's own way from a row's bytes
to Avro is used. Pure.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from cdc.capture import shapes as t
from cdc.reference import weaknesses

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_SRID_BYTES = 4
_INET4_BYTES = 4


class Missing(Enum):
    """Why the library has no value, where it isn't that the column is null."""

    NO_DATE = "a date that is none"
    ABSENT = "left out of the row image"


NoDate: Final = Missing.NO_DATE
Absent: Final = Missing.ABSENT


class Untold(Exception):
    """The library's value can't be trusted; the text says why, and never holds the value."""


class Substituted(Exception):
    """The format can't hold the value: null stands for it; where null can't be, the default does,
    else `instead`."""

    def __init__(self, instead: Any, *, before_default: bool = False) -> None:
        super().__init__()
        self.instead, self.before_default = instead, before_default


def datum(
    column: t.Column, avro: Any, value: Any, *, default: Any = None, shows_default: bool = False
) -> Any:
    """The value for a column whose Avro type, less null, is `avro`; Untold if it isn't sure.

    With `shows_default`, null becomes the default if there is one."""
    weakness = weaknesses.of_column(column)
    if weakness:
        raise Untold(weakness)
    if value is Absent:
        raise Untold(weaknesses.INCOMPLETE_IMAGE)
    if value is None:
        return default if shows_default else None
    parameters: Mapping[str, Any] = avro if isinstance(avro, Mapping) else {"type": avro}
    try:
        return _BY_TYPE[column.type](column, parameters, value)
    except Substituted as substituted:
        if column.nullable:
            return None
        is_own = default is None or substituted.before_default
        return substituted.instead if is_own else default


def _integer(column: t.Column, avro: Mapping[str, Any], value: int) -> Any:
    if avro["type"] == "boolean":
        return bool(value)
    if avro["type"] == "bytes":
        return _twos_complement(value)
    if avro["type"] == "long" and value >> 63 > 0:
        return value - (1 << 64)  # as Java's long has it
    return value


def _year(column: t.Column, avro: Mapping[str, Any], value: int) -> int:
    return 0 if value == 1900 else value  # YEARs begin with 1901: this is the year 0


def _float(column: t.Column, avro: Mapping[str, Any], value: float) -> float:
    return value


def _decimal(column: t.Column, avro: Mapping[str, Any], value: Decimal) -> Any:
    if avro["type"] == "double":
        return float(value)
    if avro["type"] == "string":
        return format(value, "f")
    with_room = Decimal(value).as_tuple()
    unscaled = int("".join(map(str, with_room.digits)) or "0")
    assert -int(with_room.exponent) == column.scale
    return _twos_complement(-unscaled if with_room.sign else unscaled)


def _twos_complement(number: int) -> bytes:
    """Big-endian, as short as can be."""
    bits = (number if number >= 0 else -1 - number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)


def _bit(column: t.Column, avro: Mapping[str, Any], value: str) -> Any:
    if avro["type"] == "boolean":
        return value == "1"
    return int(value, 2).to_bytes((len(value) + 7) // 8, "little")


def _date(column: t.Column, avro: Mapping[str, Any], value: Any) -> Any:
    _refuse_form(avro, "int")
    if value is NoDate:
        raise Substituted(0)
    return (value - date(1970, 1, 1)).days


def _datetime(column: t.Column, avro: Mapping[str, Any], value: Any) -> Any:
    _refuse_form(avro, "long")
    if value is NoDate:
        raise Substituted(0)
    micros = (value - _EPOCH) // _MICROSECOND
    return _in_units(avro, micros)


def _time(column: t.Column, avro: Mapping[str, Any], value: timedelta) -> Any:
    if value < timedelta(0) and value.microseconds:
        raise Untold("the fraction of a negative TIME comes wrong")
    if avro["type"] not in ("int", "long"):
        raise Untold(f"a TIME as Avro {avro['type']} is not among what it writes")
    is_of_a_day = avro["connect.name"] == "org.apache.kafka.connect.data.Time"
    if is_of_a_day and not timedelta(0) <= value <= timedelta(days=1):
        raise Substituted(0)
    return _in_units(avro, value // _MICROSECOND)


_UNITS = {
    "io.debezium.time.MicroTime": (1, 1),
    "io.debezium.time.NanoTime": (1000, 1),
    "io.debezium.time.Timestamp": (1, 1000),
    "io.debezium.time.MicroTimestamp": (1, 1),
    "io.debezium.time.NanoTimestamp": (1000, 1),
    "org.apache.kafka.connect.data.Timestamp": (1, 1000),
    "org.apache.kafka.connect.data.Time": (1, 1000),
}
"""Connect schema name → how microseconds become its unit."""


def _in_units(avro: Mapping[str, Any], micros: int) -> int:
    times, per = _UNITS[avro["connect.name"]]
    return micros * times // per


def _timestamp(column: t.Column, avro: Mapping[str, Any], value: datetime) -> Any:
    _refuse_form(avro, "string")
    if value < _EPOCH:
        raise Untold("a TIMESTAMP after 2038 comes as one of the past")
    digits = column.precision
    fraction = f".{value.microsecond:06d}"[: digits + 1] if digits else ""
    text = f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    if value == _EPOCH:  # TIMESTAMPs begin a second later: this is the date that is none
        raise Substituted(text, before_default=True)
    return text


def _text(column: t.Column, avro: Mapping[str, Any], value: Any) -> Any:
    if column.charset not in ("binary", ""):
        if not isinstance(value, str):
            raise Untold(f"text in {column.charset} comes as bytes")
        return value
    if value == "":
        value = b""  # nothing decodes as nothing in any character set, even in none
    if not isinstance(value, bytes):
        raise Untold("bytes come as text")
    if column.type == t.STRING:
        value = value.ljust(column.length, b"\0")  # the binlog cuts trailing zeros off
    if avro["type"] == "string" and column.length == _INET4_BYTES:
        return ".".join(map(str, value))
    if avro.get("connect.name") == "io.debezium.data.Uuid":
        return str(uuid.UUID(bytes=value))
    _refuse_form(avro, "bytes")
    return value


def _enum(column: t.Column, avro: Mapping[str, Any], value: str) -> str:
    return value.replace(",", "\\,")  # as Debezium escapes labels


def _set(column: t.Column, avro: Mapping[str, Any], value: frozenset[str]) -> str:
    return ",".join(label.replace(",", "\\,") for label in column.labels if label in value)


def _geometry(column: t.Column, avro: Mapping[str, Any], value: bytes) -> Any:
    srid, wkb = int.from_bytes(value[:_SRID_BYTES], "little"), value[_SRID_BYTES:]
    whole = {"wkb": wkb, "srid": srid or None}
    if avro["name"] != "Point":
        return whole
    x, y = struct.unpack("<dd", wkb[5:21])
    return {"x": x, "y": y, **whole}


def _refuse_form(avro: Mapping[str, Any], wanted: str) -> None:
    if avro["type"] != wanted:
        raise Untold(f"a value as Avro {avro['type']} is not among what it writes")


_BY_TYPE: dict[int, Callable[[t.Column, Mapping[str, Any], Any], Any]] = {
    t.TINY: _integer,
    t.SHORT: _integer,
    t.INT24: _integer,
    t.LONG: _integer,
    t.LONGLONG: _integer,
    t.YEAR: _year,
    t.FLOAT: _float,
    t.DOUBLE: _float,
    t.NEWDECIMAL: _decimal,
    t.BIT: _bit,
    t.DATE: _date,
    t.DATETIME2: _datetime,
    t.TIME2: _time,
    t.TIMESTAMP2: _timestamp,
    t.STRING: _text,
    t.VAR_STRING: _text,
    t.VARCHAR: _text,
    t.BLOB: _text,
    t.ENUM: _enum,
    t.SET: _set,
    t.GEOMETRY: _geometry,
}
