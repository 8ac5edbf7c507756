"""The table of column types: how each is read from a row image and what it is in Avro.

What else a new type touches stands in CONTRIBUTING.md. Names and forms are Debezium's (MySQL
connector 3.6).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cdc.capture import opcodes
from cdc.capture import shapes as t
from cdc.capture.addresses import LOGICAL
from cdc.capture.avro_out import avro_string
from cdc.capture.charsets import decoder_of, is_utf8
from cdc.capture.decimals import decimal_bytes
from cdc.capture.description import ColumnDescription
from cdc.capture.settings import ChangeEventSettings
from cdc.errors import DecodeError

AvroType = str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How one column goes from row image to Avro."""

    kind: int
    """An opcode of `values.py`."""
    avro: AvroType
    """The Avro type, without null and default."""
    size: int = 0
    """Bytes in the row image, or of the length prefix in front of it."""
    a: int = 0
    b: int = 0
    """Two numbers whose meaning the opcode gives."""
    table: Any = None
    """What the opcode looks values up in."""
    fallback: bytes = b"\0"
    """In a NOT NULL column without a default: what stands for a value that Avro can't hold."""


def form_of(
    column: t.Column, described: ColumnDescription | None, settings: ChangeEventSettings
) -> Form:
    """The form of a column; the description only says which of two equal encodings is meant."""
    return _FORMS[column.type](column, described, settings)


def named(avro: str, name: str, **more: Any) -> dict[str, Any]:
    """An Avro type with a Connect schema name, version 1."""
    return {"type": avro, "connect.version": 1, "connect.name": name, **more}


_INT16: AvroType = {"type": "int", "connect.type": "int16"}

_INT8: AvroType = {"type": "int", "connect.type": "int8"}

_Maker = Callable[[t.Column, ColumnDescription | None, ChangeEventSettings], Form]


def _integer(size: int, signed: AvroType, unsigned: AvroType) -> _Maker:
    def form(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
        if column.unsigned:
            return Form(opcodes.UNSIGNED, unsigned, size)
        return Form(opcodes.SIGNED, signed, size)

    return form


def _float(column: t.Column, described: ColumnDescription | None, _: ChangeEventSettings) -> Form:
    if column.length == 8 or column.type == t.DOUBLE:
        return Form(opcodes.COPY, "double", 8)
    if described and "," in described.column_type:  # FLOAT(M,D) is a double to Connect
        return Form(opcodes.FLOAT_AS_DOUBLE, "double", 4)
    return Form(opcodes.COPY, "float", 4)


def _tiny(column: t.Column, _: ColumnDescription | None, settings: ChangeEventSettings) -> Form:
    if column.unsigned:
        return Form(opcodes.UNSIGNED, _INT16, 1)
    return Form(opcodes.SIGNED, _INT8 if settings.compat == "debezium-3.7" else _INT16, 1)


def _big(column: t.Column, _: ColumnDescription | None, settings: ChangeEventSettings) -> Form:
    if not column.unsigned:
        return Form(opcodes.SIGNED, "long", 8)
    if settings.bigint_unsigned_handling_mode == "precise":
        return Form(opcodes.BIG_UNSIGNED, _decimal_type(20, 0), 8)
    return Form(opcodes.UNSIGNED, "long", 8)


def _decimal_type(precision: int, scale: int) -> AvroType:
    parameters = {"scale": str(scale), "connect.decimal.precision": str(precision)}
    return named(
        "bytes",
        "org.apache.kafka.connect.data.Decimal",
        scale=scale,
        precision=precision,
        logicalType="decimal",
        **{"connect.parameters": parameters},
    )


def _decimal(column: t.Column, _: ColumnDescription | None, settings: ChangeEventSettings) -> Form:
    precision, scale = column.precision, column.scale
    kind, avro = {
        "precise": (opcodes.DECIMAL, _decimal_type(precision, scale)),
        "string": (opcodes.DECIMAL_TEXT, "string"),
        "double": (opcodes.DECIMAL_DOUBLE, "double"),
    }[settings.decimal_handling_mode]
    return Form(kind, avro, decimal_bytes(precision, scale), precision, scale)


def _bit(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
    if column.length == 1:
        return Form(opcodes.BOOLEAN, "boolean", 1)
    avro = named(
        "bytes", "io.debezium.data.Bits", **{"connect.parameters": {"length": str(column.length)}}
    )
    return Form(opcodes.BITS, avro, (column.length + 7) // 8)


def _year(_: t.Column, __: ColumnDescription | None, ___: ChangeEventSettings) -> Form:
    return Form(opcodes.YEAR, named("int", "io.debezium.time.Year"), 1)


_CONNECT_DATE = named("int", "org.apache.kafka.connect.data.Date", logicalType="date")
_CONNECT_TIME = named("int", "org.apache.kafka.connect.data.Time", logicalType="time-millis")
_CONNECT_TIMESTAMP = named(
    "long", "org.apache.kafka.connect.data.Timestamp", logicalType="timestamp-millis"
)
_MILLIS, _MICROS, _NANOS = 1_000, 1_000_000, 1_000_000_000


def _iso(name: str, epoch: str) -> tuple[AvroType, int, bytes]:
    return named("string", f"io.debezium.time.{name}"), opcodes.ISO, avro_string(epoch)


def _date(_: t.Column, __: ColumnDescription | None, settings: ChangeEventSettings) -> Form:
    avro, unit, fallback = {
        "connect": (_CONNECT_DATE, 0, b"\0"),
        "isostring": _iso("IsoDate", "1970-01-01Z"),
    }.get(settings.time_precision_mode, (named("int", "io.debezium.time.Date"), 0, b"\0"))
    return Form(opcodes.DATE, avro, 3, b=unit, fallback=fallback)


def _fraction_bytes(digits: int) -> int:
    return (digits + 1) // 2


def _refuse_old_fraction(described: ColumnDescription | None) -> None:
    """MariaDB's fractions of before 10.1 (`mysql56_temporal_format=OFF`) have sizes of their own,
    which TABLE_MAP leaves out: what stands behind them would be read wrongly."""
    if described and "(" in described.column_type:
        raise DecodeError(
            f"column {described.name}, {described.column_type}, has the format of before MariaDB"
            " 10.1, whose size the binlog doesn't say",
            hint="set mysql56_temporal_format=ON and ALTER TABLE … FORCE, then begin after that",
        )


def _time(
    column: t.Column, described: ColumnDescription | None, settings: ChangeEventSettings
) -> Form:
    avro, unit, fallback = {
        "connect": (_CONNECT_TIME, _MILLIS, b"\0"),
        "isostring": _iso("IsoTime", "00:00:00Z"),
        "nanoseconds": (named("long", "io.debezium.time.NanoTime"), _NANOS, b"\0"),
    }.get(settings.time_precision_mode, (named("long", "io.debezium.time.MicroTime"), 0, b"\0"))
    if column.type == t.TIME:
        _refuse_old_fraction(described)
        return Form(opcodes.OLD_TIME, avro, 3, b=unit, fallback=fallback)
    size = 3 + _fraction_bytes(column.precision)
    return Form(opcodes.TIME, avro, size, column.precision, unit, fallback=fallback)


def _datetime(
    column: t.Column, described: ColumnDescription | None, settings: ChangeEventSettings
) -> Form:
    mode = settings.time_precision_mode
    if mode == "adaptive_time_microseconds":
        mode = "microseconds" if column.precision > 3 else "milliseconds"
    avro, unit, fallback = {
        "milliseconds": (named("long", "io.debezium.time.Timestamp"), _MILLIS, b"\0"),
        "microseconds": (named("long", "io.debezium.time.MicroTimestamp"), _MICROS, b"\0"),
        "nanoseconds": (named("long", "io.debezium.time.NanoTimestamp"), _NANOS, b"\0"),
        "connect": (_CONNECT_TIMESTAMP, _MILLIS, b"\0"),
        "isostring": _iso("IsoTimestamp", "1970-01-01T00:00:00Z"),
    }[mode]
    if column.type == t.DATETIME:
        _refuse_old_fraction(described)
        return Form(opcodes.OLD_DATETIME, avro, 8, b=unit, fallback=fallback)
    size = 5 + _fraction_bytes(column.precision)
    return Form(opcodes.DATETIME, avro, size, column.precision, unit, fallback=fallback)


def _timestamp(
    column: t.Column, described: ColumnDescription | None, _: ChangeEventSettings
) -> Form:
    avro = named("string", "io.debezium.time.ZonedTimestamp")
    if column.type == t.TIMESTAMP:
        _refuse_old_fraction(described)
        return Form(opcodes.OLD_TIMESTAMP, avro, 4)
    size = 4 + _fraction_bytes(column.precision)
    return Form(opcodes.TIMESTAMP, avro, size, column.precision)


_TEXT_OF_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64-url-safe": base64.urlsafe_b64encode,
    "hex": binascii.hexlify,
}

_FLOATS = named("array", "io.debezium.data.FloatVector", items="float")


def _string(
    column: t.Column, described: ColumnDescription | None, settings: ChangeEventSettings
) -> Form:
    avro: AvroType
    fixed = column.type == t.STRING
    if column.type in (t.BLOB, t.TINY_BLOB, t.MEDIUM_BLOB, t.LONG_BLOB, t.BLOB_COMPRESSED):
        prefix = column.length
    else:
        prefix = 1 if column.length < 256 else 2
    compressed = column.type in (t.BLOB_COMPRESSED, t.VARCHAR_COMPRESSED)
    logical = LOGICAL.get(described.data_type if described else column.logical)
    if logical and fixed and column.length == logical[0]:
        return Form(opcodes.BYTES, logical[1], prefix, column.length, table=logical[2])
    if column.charset in ("binary", ""):
        # MariaDB's VECTOR is VARBINARY in TABLE_MAP.
        if described and described.data_type == "vector":
            return Form(opcodes.VECTOR, _FLOATS, prefix)
        convert = _TEXT_OF_BYTES.get(settings.binary_handling_mode)
        avro = "string" if convert else "bytes"
        if compressed:
            return Form(opcodes.COMPRESSED_BYTES, avro, prefix, table=convert)
        return Form(opcodes.BYTES, avro, prefix, column.length if fixed else 0, table=convert)
    avro = "string"
    # MariaDB's JSON is LONGTEXT with a check; only the catalogue can tell.
    if described and described.data_type == "json":
        avro = named("string", "io.debezium.data.Json")
    if compressed:
        return Form(opcodes.COMPRESSED_TEXT, avro, prefix, table=decoder_of(column.charset))
    if is_utf8(column.charset):
        return Form(opcodes.UTF8, avro, prefix)
    return Form(opcodes.TEXT, avro, prefix, table=decoder_of(column.charset))


def escape_label(label: str) -> str:
    """A label as Debezium writes it: its commas escaped, since lists are joined by commas."""
    return label.replace(",", "\\,")


def _enum(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
    labels = [escape_label(label) for label in column.labels]
    avro = named(
        "string", "io.debezium.data.Enum", **{"connect.parameters": {"allowed": ",".join(labels)}}
    )
    table = [avro_string("")] + [avro_string(label) for label in labels]
    return Form(opcodes.ENUM, avro, column.length, table=table)


def _set(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
    labels = [escape_label(label) for label in column.labels]
    avro = named(
        "string",
        "io.debezium.data.EnumSet",
        **{"connect.parameters": {"allowed": ",".join(labels)}},
    )
    return Form(opcodes.SET, avro, column.length, table=labels)


def _json(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
    avro = named("string", "io.debezium.data.Json")
    return Form(opcodes.JSON, avro, column.length, fallback=avro_string("null"))  # JSON's own


_WKB_POINT = 1


def _geometry(column: t.Column, _: ColumnDescription | None, settings: ChangeEventSettings) -> Form:
    if column.geometry_type == _WKB_POINT:
        return Form(opcodes.POINT, dict(_POINT), column.length)
    if settings.compat == "debezium-3.7":
        return Form(opcodes.GEOMETRY, dict(_GEOMETRY_2), column.length, a=1)
    return Form(opcodes.GEOMETRY, dict(_GEOMETRY), column.length)


def _geometry_record(
    name: str, doc: str, fields: list[dict[str, Any]], version: int = 1
) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "io.debezium.data.geometry",
        "fields": fields,
        "connect.doc": doc,
        "connect.version": version,
        "connect.name": f"io.debezium.data.geometry.{name}",
    }


_SRID = {"name": "srid", "type": ["null", "int"], "default": None}
_WKB = {"name": "wkb", "type": "bytes"}
_EXTENSIONS = {
    "name": "extensions",
    "type": ["null", {"type": "map", "values": "string"}],
    "default": None,
}
_GEOMETRY = _geometry_record("Geometry", "Geometry", [_WKB, _SRID])
_GEOMETRY_2 = _geometry_record("Geometry", "Geometry", [_WKB, _SRID, _EXTENSIONS], version=2)
_POINT = _geometry_record(
    "Point",
    "Geometry (POINT)",
    [
        {"name": "x", "type": "double"},
        {"name": "y", "type": "double"},
        {"name": "wkb", "type": ["null", "bytes"], "default": None},
        _SRID,
    ],
)


def _vector(column: t.Column, _: ColumnDescription | None, __: ChangeEventSettings) -> Form:
    return Form(opcodes.VECTOR, _FLOATS, column.length)


_FORMS: dict[int, _Maker] = {
    t.TINY: _tiny,
    t.SHORT: _integer(2, _INT16, "int"),
    t.INT24: _integer(3, "int", "int"),
    t.LONG: _integer(4, "int", "long"),
    t.LONGLONG: _big,
    t.FLOAT: _float,
    t.DOUBLE: _float,
    t.NEWDECIMAL: _decimal,
    t.BIT: _bit,
    t.YEAR: _year,
    t.DATE: _date,
    t.NEWDATE: _date,
    t.TIME: _time,
    t.TIME2: _time,
    t.DATETIME: _datetime,
    t.DATETIME2: _datetime,
    t.TIMESTAMP: _timestamp,
    t.TIMESTAMP2: _timestamp,
    t.STRING: _string,
    t.VAR_STRING: _string,
    t.VARCHAR: _string,
    t.TINY_BLOB: _string,
    t.BLOB: _string,
    t.MEDIUM_BLOB: _string,
    t.LONG_BLOB: _string,
    t.VARCHAR_COMPRESSED: _string,
    t.BLOB_COMPRESSED: _string,
    t.ENUM: _enum,
    t.SET: _set,
    t.JSON: _json,
    t.GEOMETRY: _geometry,
    t.VECTOR: _vector,
}
