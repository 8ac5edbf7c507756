"""MySQL's binary DECIMAL, of any precision."""

from __future__ import annotations

from decimal import Context, Decimal

from cdc.errors import DecodeError

_GROUP_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of a group of so many digits."""
_CONTEXT = Context(prec=100)


def decimal_bytes(precision: int, scale: int) -> int:
    """Bytes of a DECIMAL: 9 digits in 4 bytes, odd digits at both ends."""
    whole = precision - scale
    odd = _GROUP_BYTES[whole % 9] + _GROUP_BYTES[scale % 9]
    return whole // 9 * 4 + scale // 9 * 4 + odd


def decimal_unscaled(data: bytes, precision: int, scale: int) -> int:
    """The value times 10 ** scale; a negative one is stored as complement, the sign inverted."""
    if scale > precision or len(data) < max(decimal_bytes(precision, scale), 1):
        raise DecodeError(
            f"a DECIMAL({precision},{scale}) of {len(data)} bytes can't be read",
            hint="the binlog is damaged; check the source's disk",
        )
    negative = not data[0] & 0x80
    if negative:
        data = bytes(byte ^ 0xFF for byte in data)
    data = bytes([data[0] ^ 0x80]) + data[1:]
    whole = precision - scale
    value, at = 0, 0
    for digits in (whole % 9, *[9] * (whole // 9), *[9] * (scale // 9), scale % 9):
        size = _GROUP_BYTES[digits]
        group = int.from_bytes(data[at : at + size], "big")
        if group >= 10**digits:
            raise DecodeError(
                f"a DECIMAL({precision},{scale}) holds {group} where {digits} digits should be",
                hint="the binlog is damaged; check the source's disk",
            )
        value = value * 10**digits + group
        at += size
    return -value if negative else value


def decimal_text(unscaled: int, scale: int) -> str:
    """Plain digits with the scale's number of decimals."""
    return format(Decimal(unscaled).scaleb(-scale, _CONTEXT), "f")
