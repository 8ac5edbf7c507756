"""Column defaults of the catalogue as Avro defaults, as Debezium writes them.

A default that can't be put into the column's Avro form is left out: it only decorates the
schema (invariant 6), and the server has filled it into the row already.
"""

from __future__ import annotations

import re
import struct
from calendar import monthrange
from datetime import datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from cdc.capture import opcodes
from cdc.capture import shapes as t
from cdc.capture.addresses import LOGICAL
from cdc.capture.avro_out import Out, avro_string
from cdc.capture.decimals import decimal_text, unscaled_bytes
from cdc.capture.description import ColumnDescription
from cdc.capture.types import AvroType, Form

_EPOCH = datetime(1970, 1, 1)
_DAY_MICROS = 86_400_000_000
_LONG_MAX = (1 << 63) - 1
_CONTEXT = Context(prec=100)
_NOW = re.compile(r"(current_timestamp|now|localtime(stamp)?)(\(\d?\))?", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_DAYS_MAX = 31
NOW_SHOWN = "1970-01-01 00:00:00"
"""What stands for the time of the moment."""
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_TEMPORAL = frozenset(
    {opcodes.DATE, opcodes.DATETIME, opcodes.OLD_DATETIME, opcodes.TIMESTAMP,
     opcodes.OLD_TIMESTAMP}
)  # fmt: skip


def default_of(column: t.Column, described: ColumnDescription, form: Form) -> Any:
    """The default in Avro's JSON form; None where there is none."""
    text = literal_of(described)
    if text is None:
        return None
    if is_now(described):
        text = NOW_SHOWN
    elif "DEFAULT_GENERATED" in described.extra:  # an expression
        return None
    try:
        if form.kind in (opcodes.BYTES, opcodes.COMPRESSED_BYTES):
            return _bytes(described, form, text)
        if form.kind in _TEMPORAL:
            return _date(column, form, text)
        return _convert(column, form, text)
    except (ValueError, InvalidOperation, OverflowError):
        return None


def literal_of(described: ColumnDescription) -> str | None:
    """The default's text; MariaDB's catalogue quotes strings and writes NULL."""
    text = described.default
    if text is None or text.upper() == "NULL":
        return None
    if len(text) > 1 and text[0] == text[-1] == "'":
        return _ESCAPE.sub(_unescaped, text[1:-1])
    return text


def is_now(described: ColumnDescription) -> bool:
    """Whether the default is the time of the moment."""
    return _NOW.fullmatch(described.default or "") is not None


def _unescaped(found: re.Match[str]) -> str:
    return "'" if found[1] is None else _ESCAPED.get(found[1], found[1])


def _bytes(described: ColumnDescription, form: Form, text: str) -> str:
    """Bytes as text, in Avro's JSON form or in that of `binary.handling.mode`."""
    if described.data_type in LOGICAL:
        return text
    if described.default == text and text[:2].lower() in ("0x", "x'"):  # MySQL's, MariaDB 11's
        digits = text[2:].rstrip("'")
        raw = bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))
    else:
        raw = text.encode()
    raw = raw.ljust(form.a, b"\0")  # as BINARY is kept
    return (form.table(raw) if form.table else raw).decode("latin-1")


def _date(column: t.Column, form: Form, text: str) -> Any:
    """A date that isn't one, such as 0000-00-00, is the epoch where null can't be."""
    moment = _in_calendar(text)
    if moment is None:
        if column.nullable:
            return None
        moment = _EPOCH
    if form.kind in (opcodes.TIMESTAMP, opcodes.OLD_TIMESTAMP):
        if moment == _EPOCH:
            return None if column.nullable else "1970-01-01T00:00:00Z"
        size = 20 + column.precision if column.precision else 19
        return f"{moment.isoformat(timespec='microseconds')[:size]}Z"
    if form.kind != opcodes.DATE:
        return _moment(moment, form.b)
    day = moment.date()
    return f"{day}Z" if form.b == opcodes.ISO else (day - _EPOCH.date()).days


def _in_calendar(text: str) -> datetime | None:
    """The moment; of a day that its month doesn't have, on the month's last one."""
    found = _DAY.match(text)
    if not found:
        return None
    year, month, day = map(int, found.groups())
    try:
        day = min(day, monthrange(year, month)[1]) if day <= _DAYS_MAX else day
        moment = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}{text[found.end() :]}")
    except ValueError:
        return None
    return moment.replace(tzinfo=None)


def _convert(column: t.Column, form: Form, text: str) -> Any:
    kind = form.kind
    if kind in (opcodes.SIGNED, opcodes.UNSIGNED, opcodes.YEAR):
        return min(int(Decimal(text)), _LONG_MAX)
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
    if kind in (opcodes.UTF8, opcodes.TEXT, opcodes.ENUM, opcodes.SET):
        return text  # a label's commas, too, stand as they are, unlike a value's
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
    text = text.removeprefix(f"{_EPOCH.date()} ")
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
