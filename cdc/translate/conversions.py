"""From a column's type to an official field's: unchanged, exact, or not at all.

Values are in their plain form on the wire (a decimal is bytes, a timestamp an integer). A
conversion that is exact only for some values refuses the others at run time: nothing is ever
rounded, cut or guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cdc.codec.types import ValueType
from cdc.translate.literals import PER_SECOND, decimal_bytes, decimal_text, unscaled, zoned_micros

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a value that isn't null is converted; `apply` None passes it unchanged."""

    apply: Callable[[Any], Any] | None = None
    caution: str = ""
    """Which values are refused at run time, for a warning at check time."""


Builder = Callable[[ValueType, ValueType], Conversion | None]

UNCHANGED = Conversion()


def conversion(source: ValueType, target: ValueType) -> Conversion | None:
    """The exact conversion between two types, nulls aside; None if there is none."""
    builder = _BUILDERS.get((source.kind, target.kind))
    return builder(source, target) if builder else None


def targets_of(source: ValueType) -> list[str]:
    """The kinds of official fields that a column of this type can fill."""
    return sorted({target for kind, target in _BUILDERS if kind == source.kind})


def _unchanged(_: ValueType, __: ValueType) -> Conversion:
    return UNCHANGED


def _to_float(_: ValueType, __: ValueType) -> Conversion:
    return Conversion(float)


def _to_text(_: ValueType, __: ValueType) -> Conversion:
    return Conversion(str)


def _int_to_boolean(_: ValueType, __: ValueType) -> Conversion:
    def apply(value: int) -> bool:
        if value not in (0, 1):
            raise ValueError("a number other than 0 and 1 is no boolean")
        return value == 1

    return Conversion(apply)


def _int_to_decimal(_: ValueType, target: ValueType) -> Conversion:
    def apply(value: int) -> bytes:
        return _decimal_within(value * 10**target.scale, target)

    return Conversion(apply)


def _decimal_to_decimal(source: ValueType, target: ValueType) -> Conversion | None:
    more = target.scale - source.scale
    if more < 0 or target.precision - target.scale < source.precision - source.scale:
        return None
    if more == 0 and source.avro == target.avro == "bytes":
        return UNCHANGED
    return Conversion(lambda data: _decimal_within(unscaled(data) * 10**more, target))


def _decimal_to_text(source: ValueType, _: ValueType) -> Conversion:
    return Conversion(lambda data: decimal_text(data, source.scale))


def _decimal_within(number: int, target: ValueType) -> bytes:
    if abs(number) >= 10**target.precision:
        raise ValueError(f"a number of more than {target.precision} digits")
    return decimal_bytes(number, target)


def _time_unit(source: ValueType, target: ValueType) -> Conversion:
    """Between units of a moment or a time of day."""
    per_second = PER_SECOND[source.kind.rpartition("-")[2]]
    wanted = PER_SECOND[target.kind.rpartition("-")[2]]
    return _rescaled(per_second, wanted)


def _rescaled(per_second: int, wanted: int) -> Conversion:
    if wanted == per_second:
        return UNCHANGED
    if wanted > per_second:
        factor = wanted // per_second
        return Conversion(lambda value: value * factor)
    divisor = per_second // wanted

    def apply(value: int) -> int:
        whole, rest = divmod(value, divisor)
        if rest:
            raise ValueError("a time with more digits than the field's unit has")
        return whole

    return Conversion(apply, "a time with more digits than the field's unit has is refused")


def _time_of_day(source: ValueType, target: ValueType) -> Conversion:
    unit = _time_unit(source, target)
    day = SECONDS_PER_DAY * PER_SECOND[target.kind.rpartition("-")[2]]

    def apply(value: int) -> int:
        value = unit.apply(value) if unit.apply else value
        if not 0 <= value < day:
            raise ValueError("a TIME below zero or of a day and more is no time of day")
        return value

    # MySQL's TIME is a duration between -838 and 838 hours.
    return Conversion(apply, unit.caution or "a TIME that is no time of day is refused")


def _zoned_to_timestamp(_: ValueType, target: ValueType) -> Conversion:
    from_micros = _rescaled(10**6, PER_SECOND[target.kind.rpartition("-")[2]])
    rescale = from_micros.apply

    def apply(text: str) -> int:
        micros = zoned_micros(text)
        return int(rescale(micros)) if rescale else micros

    return Conversion(apply, from_micros.caution)


def _text_to_enum(source: ValueType, target: ValueType) -> Conversion:
    symbols = frozenset(target.symbols)

    def apply(value: str) -> str:
        if value not in symbols:
            raise ValueError(f"a text that isn't one of {', '.join(target.symbols)}")
        return value

    others = [symbol for symbol in source.symbols if symbol not in symbols]
    if source.symbols and not others:
        return Conversion(apply)
    refused = ", ".join(others) if others else "any other text"
    return Conversion(apply, f"a row with {refused} is refused")


def _text_to_uuid(_: ValueType, target: ValueType) -> Conversion:
    def apply(value: str) -> str | bytes:
        parsed = UUID(value)
        return parsed.bytes if target.avro == "fixed" else str(parsed)

    return Conversion(apply, "a text that is no UUID is refused")


def _bytes_to_uuid(_: ValueType, target: ValueType) -> Conversion:
    def apply(value: bytes) -> str | bytes:
        parsed = UUID(bytes=value)
        return parsed.bytes if target.avro == "fixed" else str(parsed)

    return Conversion(apply, "bytes that aren't 16 long are refused")


_TEXTS = ("string", "enum", "set", "json", "zoned-timestamp")
_TIMESTAMPS = [f"{local}timestamp-{unit}" for local in ("", "local-") for unit in PER_SECOND]

_BUILDERS: dict[tuple[str, str], Builder] = {
    **{(kind, kind): _unchanged for kind in ("boolean", "int", "long", "float", "double")},
    **{(kind, "string"): _unchanged for kind in _TEXTS},
    ("bytes", "bytes"): _unchanged,
    ("bits", "bytes"): _unchanged,
    # Numbers.
    ("int", "long"): _unchanged,
    ("year", "int"): _unchanged,
    ("year", "long"): _unchanged,
    ("int", "double"): _to_float,
    ("float", "double"): _unchanged,
    ("int", "boolean"): _int_to_boolean,
    ("int", "decimal"): _int_to_decimal,
    ("long", "decimal"): _int_to_decimal,
    ("int", "string"): _to_text,
    ("long", "string"): _to_text,
    ("decimal", "decimal"): _decimal_to_decimal,
    ("decimal", "string"): _decimal_to_text,
    # Dates and times. DATETIME has no zone; where a field is a moment, it is read as UTC, as
    # Debezium reads it.
    ("date", "date"): _unchanged,
    ("date", "int"): _unchanged,
    **{(source, target): _time_unit for source in _TIMESTAMPS for target in _TIMESTAMPS},
    **{(source, "long"): _unchanged for source in _TIMESTAMPS},
    **{("zoned-timestamp", f"timestamp-{unit}"): _zoned_to_timestamp for unit in PER_SECOND},
    **{
        (f"time-{source}", f"time-{target}"): _time_of_day
        for source in PER_SECOND
        for target in ("millis", "micros")
    },
    ("time-micros", "long"): _unchanged,
    ("time-nanos", "long"): _unchanged,
    ("time-millis", "int"): _unchanged,
    # Words.
    ("string", "enum"): _text_to_enum,
    ("enum", "enum"): _text_to_enum,
    ("string", "uuid"): _text_to_uuid,
    ("uuid", "uuid"): _text_to_uuid,
    ("bytes", "uuid"): _bytes_to_uuid,
}
