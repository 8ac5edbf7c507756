"""Column defaults of the catalogue as Avro defaults, as Debezium writes them.

A default that can't be put into the column's Avro form is left out: it only decorates the
schema (invariant 6), and the server has filled it into the row already.
"""

from __future__ import annotations

import re
import struct
from datetime import date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from cdc.capture import opcodes
from cdc.capture import shapes as t
from cdc.capture.avro_out import Out, avro_string
from cdc.capture.decimals import decimal_text, unscaled_bytes
from cdc.capture.description import ColumnDescription
from cdc.capture.types import AvroType, Form, escape_label

_EPOCH = datetime(1970, 1, 1)
_DAY_MICROS = 86_400_000_000
_CONTEXT = Context(prec=100)
_NOW = re.compile(r"(current_timestamp|now|localtime(stamp)?)\b", re.IGNORECASE)


def default_of(column: t.Column, described: ColumnDescription, form: Form) -> Any:
    """The default in Avro's JSON form; None where there is none."""
    text = literal_of(described)
    if text is None:
        return None
    if _NOW.match(text):
        is_stamp = form.kind in (opcodes.TIMESTAMP, opcodes.OLD_TIMESTAMP)
        return "1970-01-01T00:00:00Z" if is_stamp and not column.nullable else None
    if "DEFAULT_GENERATED" in described.extra:  # an expression
        return None
    try:
        return _convert(column, form, text)
    except (ValueError, InvalidOperation, OverflowError):
        return None


def literal_of(described: ColumnDescription) -> str | None:
    """The default's text; MariaDB's catalogue quotes strings and writes NULL."""
    text = described.default
    if text is None or text.upper() == "NULL":
        return None
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'").replace("\\'", "'").replace("\\\\", "\\")
    return text


def _convert(column: t.Column, form: Form, text: str) -> Any:
    kind = form.kind
    if kind in (opcodes.SIGNED, opcodes.UNSIGNED, opcodes.YEAR):
        return int(Decimal(text))
    if kind in (opcodes.COPY, opcodes.FLOAT_AS_DOUBLE, opcodes.DECIMAL_DOUBLE):
        return float(text)
    if kind in (opcodes.DECIMAL, opcodes.DECIMAL_TEXT, opcodes.BIG_UNSIGNED):
        unscaled = int(Decimal(text).scaleb(column.scale, _CONTEXT).to_integral_value())
        if kind == opcodes.DECIMAL_TEXT:
            return decimal_text(unscaled, column.scale)
        return unscaled_bytes(unscaled).decode("latin-1")
    if kind == opcodes.BOOLEAN:
        return _bits(text) == 1
    if kind == opcodes.BITS:
        return _bits(text).to_bytes(form.size, "little").decode("latin-1")
    if kind in (opcodes.UTF8, opcodes.TEXT):
        return text
    if kind == opcodes.ENUM:
        return escape_label(text)
    if kind == opcodes.SET:
        return text
    if kind == opcodes.DATE:
        day = date.fromisoformat(text[:10])
        return f"{day}Z" if form.b == opcodes.ISO else (day - _EPOCH.date()).days
    if kind in (opcodes.DATETIME, opcodes.OLD_DATETIME):
        return _moment(datetime.fromisoformat(text), form.b)
    if kind in (opcodes.TIMESTAMP, opcodes.OLD_TIMESTAMP):
        return datetime.fromisoformat(text).isoformat() + "Z"
    if kind in (opcodes.TIME, opcodes.OLD_TIME):
        return _time(text, form.b)
    return None


def _moment(moment: datetime, unit: int) -> Any:
    """A DATETIME as `moments.put_moment` writes it."""
    if unit == opcodes.ISO:
        return _short(moment.isoformat()) + "Z"
    number = (moment - _EPOCH) // timedelta(microseconds=1) * unit // 1_000_000
    return number if -(1 << 63) <= number < 1 << 63 else None


def _short(iso: str) -> str:
    """ISO 8601 without zeros at the end of the fraction."""
    return iso.rstrip("0") if "." in iso else iso


def encode_default(avro: AvroType, default: Any) -> bytes:
    """A default of `default_of` as Avro bytes."""
    base = avro["type"] if isinstance(avro, dict) else avro
    out = Out(64)
    if base == "boolean":
        return b"\x01" if default else b"\x00"
    if base in ("int", "long"):
        out.put(default)
        return out.value()
    if base in ("float", "double"):
        return struct.pack("<f" if base == "float" else "<d", default)
    if base == "bytes":
        raw: bytes = default.encode("latin-1")
        out.put(len(raw))
        return out.value() + raw
    return avro_string(default)


def _bits(text: str) -> int:
    return int(text[2:-1] or "0", 2) if text.startswith("b'") else int(text)


def _time(text: str, unit: int) -> Any:
    """A TIME as `moments.put_time` writes it; None for one that isn't a time of day but must be."""
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = text.lstrip("-").split(":")
    micros = int(Decimal(seconds) * 1_000_000)
    micros = sign * ((int(hours) * 60 + int(minutes)) * 60_000_000 + micros)
    if unit == 0:
        return micros
    if unit == 1_000_000_000:
        return micros * 1000
    if not 0 <= micros <= _DAY_MICROS:
        return None
    if unit == opcodes.ISO:
        clock = (_EPOCH + timedelta(microseconds=micros)).time()
        return _short(clock.isoformat()) + "Z"
    return micros // 1000
