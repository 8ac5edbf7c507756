"""Constants of a rule as values of a type; all values are in their plain form on the wire."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from cdc.codec.types import ValueType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PER_SECOND = {"millis": 10**3, "micros": 10**6, "nanos": 10**9}
INTEGER_BITS = {"int": 32, "year": 32, "long": 64}


def literal(value: Any, wanted: ValueType) -> Any:
    """The value as a field of this type; ValueError says what the type allows."""
    if value is None:
        if wanted.nullable:
            return None
        raise ValueError(f"null isn't allowed for {wanted}")
    convert = _LITERALS.get(wanted.kind)
    if convert is None:
        raise ValueError(f"a value of type {wanted.kind} can't be written as a constant")
    return convert(value, wanted)


def comparable(wanted: ValueType) -> Callable[[Any], Any] | None:
    """How a column's value becomes one that equals a `comparable_literal`; None: as it is."""
    if wanted.kind == "decimal":
        return unscaled
    if wanted.kind == "zoned-timestamp":
        return zoned_micros
    return None


def comparable_literal(value: Any, wanted: ValueType) -> Any:
    """A condition's constant for a column of this type, to be compared with `comparable`."""
    if value is None:
        return None
    if wanted.kind in ("int", "long") and isinstance(value, bool):
        value = int(value)  # TINYINT(1) is a number on the wire
    if wanted.kind == "zoned-timestamp":
        return _micros(value, "a date and time")
    constant = literal(value, wanted)
    return unscaled(constant) if wanted.kind == "decimal" else constant


def unscaled(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def decimal_bytes(number: int, wanted: ValueType) -> bytes:
    """An unscaled decimal, as short as Java writes it, or as long as the fixed is."""
    magnitude = number if number >= 0 else ~number
    size = wanted.size if wanted.avro == "fixed" else magnitude.bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True)


def decimal_text(data: bytes, scale: int) -> str:
    """A decimal as plain text with all digits of its scale: `-0.50`."""
    number = unscaled(data)
    digits = str(abs(number)).rjust(scale + 1, "0")
    whole, part = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{'-' if number < 0 else ''}{whole}{'.' if part else ''}{part}"


def zoned_micros(text: str) -> int:
    """Microseconds since 1970 of an ISO timestamp with a zone."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def _integer(value: Any, wanted: ValueType) -> int:
    bits = INTEGER_BITS[wanted.kind]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("allowed: a whole number")
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(f"allowed: a whole number of {bits} bits")
    return value


def _float(value: Any, wanted: ValueType) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("allowed: a number")
    if wanted.kind == "float":  # a FLOAT column holds the nearest number of 32 bits
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    return float(value)


def _boolean(value: Any, _: ValueType) -> bool:
    if not isinstance(value, bool):
        raise ValueError("allowed: true or false")
    return value


def _text(value: Any, _: ValueType) -> str:
    if not isinstance(value, str):
        raise ValueError("allowed: text; put it in quotes")
    return value


def _enum(value: Any, wanted: ValueType) -> str:
    text = _text(value, wanted)
    if wanted.symbols and text not in wanted.symbols:
        raise ValueError(f"allowed: {', '.join(wanted.symbols)}")
    return text


def _decimal(value: Any, wanted: ValueType) -> bytes:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise InvalidOperation
        # repr of a float is the shortest text that means it: what was written in the file.
        sign, digits, exponent = Decimal(
            repr(value) if isinstance(value, float) else value
        ).as_tuple()
    except InvalidOperation:
        raise ValueError("allowed: a decimal number") from None
    if not isinstance(exponent, int):
        raise ValueError("allowed: a decimal number")
    number = int("".join(map(str, digits)) or "0")
    shift = exponent + wanted.scale
    if shift < 0 and number % 10**-shift:
        raise ValueError(f"allowed: at most {wanted.scale} digits after the point")
    number = number * 10**shift if shift >= 0 else number // 10**-shift
    if wanted.precision and number >= 10**wanted.precision:
        raise ValueError(f"allowed: at most {wanted.precision} digits")
    return decimal_bytes(-number if sign else number, wanted)


def _date(value: Any, _: ValueType) -> int:
    try:
        return (date.fromisoformat(value) - EPOCH.date()).days
    except (TypeError, ValueError):
        raise ValueError("allowed: a date such as 2024-12-31") from None


def _timestamp(value: Any, wanted: ValueType) -> int:
    unit = PER_SECOND[wanted.kind.rpartition("-")[2]]
    micros = _micros(value, "a date and time such as 2024-12-31T23:59:59")
    if unit < 10**6 and micros % (10**6 // unit):
        raise ValueError("allowed: a date and time of whole milliseconds")
    return micros * unit // 10**6


def _micros(value: Any, allowed: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"allowed: {allowed}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def _uuid(value: Any, wanted: ValueType) -> str | bytes:
    try:
        parsed = UUID(value)
    except (TypeError, ValueError, AttributeError):
        raise ValueError("allowed: a UUID such as 01234567-89ab-cdef-0123-456789abcdef") from None
    return parsed.bytes if wanted.avro == "fixed" else str(parsed)


_LITERALS: dict[str, Callable[[Any, ValueType], Any]] = {
    **dict.fromkeys(INTEGER_BITS, _integer),
    **dict.fromkeys(("float", "double"), _float),
    **dict.fromkeys(("string", "json", "set"), _text),
    **{f"{local}timestamp-{unit}": _timestamp for local in ("", "local-") for unit in PER_SECOND},
    "boolean": _boolean,
    "enum": _enum,
    "decimal": _decimal,
    "date": _date,
    "uuid": _uuid,
}
