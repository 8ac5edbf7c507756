# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""MySQL's binary DECIMAL, of any precision, and what is written of it."""

from __future__ import annotations

import struct
from decimal import Context, Decimal

import cython

from cdc.dead_letters import UNREADABLE_VALUE
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.columns import ColumnPlan
    from cython.cimports.cdc.capture.opcodes import DECIMAL, DECIMAL_TEXT
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.columns import ColumnPlan
    from cdc.capture.opcodes import DECIMAL, DECIMAL_TEXT

    SMALL_DIGITS_MAX = 18  # that 64 bits hold
    DOUBLE_DIGITS_MAX = 15  # that a double holds, each, so that one division rounds right

_GROUP_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of a group of so many digits."""
_CONTEXT = Context(prec=100)
DIGITS_MAX = 65
"""The servers' own bound."""


def decimal_bytes(precision: int, scale: int) -> int:
    """Bytes of a DECIMAL: 9 digits in 4 bytes, odd digits at both ends."""
    whole = precision - scale
    odd = _GROUP_BYTES[whole % 9] + _GROUP_BYTES[scale % 9]
    return whole // 9 * 4 + scale // 9 * 4 + odd


def decimal_unscaled(data: bytes, precision: int, scale: int) -> int:
    """The value times 10 ** scale; a negative one is stored as complement, the sign inverted."""
    if (
        scale > precision
        or precision > DIGITS_MAX
        or len(data) < max(decimal_bytes(precision, scale), 1)
    ):
        raise DecodeError(
            f"a DECIMAL({precision},{scale}) of {len(data)} bytes can't be read",
            hint="the binlog is damaged; check the source's disk",
            kind=UNREADABLE_VALUE,
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
                kind=UNREADABLE_VALUE,
            )
        value = value * 10**digits + group
        at += size
    return -value if negative else value


def decimal_text(unscaled: int, scale: int) -> str:
    """Plain digits with the scale's number of decimals."""
    return format(Decimal(unscaled).scaleb(-scale, _CONTEXT), "f")


def unscaled_bytes(unscaled: int) -> bytes:
    """Two's complement, big-endian, as short as can be: Avro's decimal."""
    size = ((unscaled if unscaled >= 0 else ~unscaled).bit_length() >> 3) + 1
    return unscaled.to_bytes(size, "big", signed=True)


@cython.cfunc
@cython.exceptval(-1)
def put_decimal(
    column: ColumnPlan, data: cython.p_const_uchar, at: cython.Py_ssize_t, out: Out
) -> cython.int:
    """A DECIMAL as its opcode says: unscaled bytes, text, or a double."""
    small: cython.longlong
    if column.a > SMALL_DIGITS_MAX:
        return _put_large(column, _bytes(data, at, column.size), out)
    small = _small_unscaled(column, data, at)
    if column.kind == DECIMAL:
        put_unscaled(small, out)
    elif column.kind == DECIMAL_TEXT:
        _put_digits(small, column.b, out)
    elif column.a <= DOUBLE_DIGITS_MAX:
        out.write(struct.pack("<d", small / 10**column.b))
    else:
        out.write(struct.pack("<d", float(decimal_text(small, column.b))))
    return 0


def _put_large(column: ColumnPlan, data: bytes, out: Out) -> int:
    unscaled = decimal_unscaled(data, column.a, column.b)
    if column.kind == DECIMAL:
        body = unscaled_bytes(unscaled)
        out.put(len(body))
        out.write(body)
    elif column.kind == DECIMAL_TEXT:
        out.text(decimal_text(unscaled, column.b))
    else:
        out.write(struct.pack("<d", float(decimal_text(unscaled, column.b))))
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def put_unscaled(value: cython.longlong, out: Out) -> cython.void:
    """Two's complement, big-endian, as short as can be, its length in front."""
    rest: cython.longlong = value
    size: cython.int = 1
    while rest > 127 or rest < -128:
        rest >>= 8
        size += 1
    out.varint(size)
    while size:
        size -= 1
        out.byte((value >> (8 * size)) & 0xFF)


@cython.cfunc
@cython.exceptval(check=False)
def _put_digits(value: cython.longlong, scale: cython.longlong, out: Out) -> cython.void:
    """Plain digits with the scale's number of decimals, at least one digit before the point."""
    positive: cython.longlong = -value if value < 0 else value
    count: cython.longlong = scale + 1
    i: cython.longlong
    while count < SMALL_DIGITS_MAX and positive >= _power(count):
        count += 1
    out.varint(count + (1 if scale else 0) + (1 if value < 0 else 0))
    if value < 0:
        out.byte(0x2D)
    for i in range(count):
        if i == count - scale:
            out.byte(0x2E)
        out.byte(0x30 + positive // _power(count - 1 - i) % 10)


@cython.cfunc
@cython.exceptval(-1, check=True)
def _small_unscaled(
    column: ColumnPlan, data: cython.p_const_uchar, at: cython.Py_ssize_t
) -> cython.longlong:
    """The value times 10 ** scale, of up to 18 digits."""
    value: cython.longlong = 0
    whole: cython.longlong = column.a - column.b
    mask: cython.int = 0 if data[at] & 0x80 else 0xFF
    begin: cython.Py_ssize_t = at
    _: cython.longlong
    # The odd digits stand before the whole groups on the left, after them on the right.
    value = _digits(column, data, at, begin, whole % 9, mask, value)
    at += (whole % 9 + 1) // 2
    for _ in range(whole // 9):
        value = _digits(column, data, at, begin, 9, mask, value)
        at += 4
    for _ in range(column.b // 9):
        value = _digits(column, data, at, begin, 9, mask, value)
        at += 4
    value = _digits(column, data, at, begin, column.b % 9, mask, value)
    return -value if mask else value


@cython.cfunc
@cython.exceptval(-1, check=True)
def _digits(
    column: ColumnPlan,
    data: cython.p_const_uchar,
    at: cython.Py_ssize_t,
    begin: cython.Py_ssize_t,
    digits: cython.longlong,
    mask: cython.int,
    value: cython.longlong,
) -> cython.longlong:
    """`value` with a group of up to 9 decimal digits behind it; the first byte holds the sign."""
    group: cython.longlong = 0
    i: cython.Py_ssize_t
    power: cython.longlong = _power(digits)
    for i in range(at, at + (digits + 1) // 2 - (digits == 9)):
        group = group << 8 | (data[i] ^ mask ^ (0x80 if i == begin else 0))
    if group >= power:
        raise DecodeError(
            f"column {column.name} of {column.owner} holds {group} where {digits} decimal digits"
            " should be",
            hint="the binlog is damaged; check the source's disk",
            kind=UNREADABLE_VALUE,
        )
    return value * power + group


@cython.cfunc
@cython.exceptval(check=False)
def _power(exponent: cython.longlong) -> cython.longlong:
    value: cython.longlong = 1
    while exponent > 0:
        value *= 10
        exponent -= 1
    return value


@cython.cfunc
def _bytes(data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> bytes:
    if cython.compiled:
        return PyBytes_FromStringAndSize(cython.cast(cython.p_const_char, data) + at, size)
    return bytes(data[at : at + size])
