# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""One value of a row image to Avro, as its column's opcode says; no object for most of them.

Where the compiled form needs a pointer, the plain form has the bytes themselves; the few
places that differ ask `cython.compiled`. Every read is checked against the image's end first:
the bytes may be hostile.
"""

from __future__ import annotations

import struct

import cython

from cdc.capture.avro_out import avro_string
from cdc.capture.variable import replaced_text, variable_value
from cdc.dead_letters import UNREADABLE_VALUE
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.columns import ColumnPlan
    from cython.cimports.cdc.capture.decimals import put_decimal, put_unscaled
    from cython.cimports.cdc.capture.moments import put_date, put_moment, put_time, put_timestamp
    from cython.cimports.cdc.capture.opcodes import (
        BIG_UNSIGNED,
        BITS,
        BOOLEAN,
        COPY,
        DATE,
        DATETIME,
        DECIMAL,
        DECIMAL_DOUBLE,
        ENUM,
        FLOAT_AS_DOUBLE,
        JSON,
        OLD_DATETIME,
        OLD_TIME,
        OLD_TIMESTAMP,
        SET,
        SIGNED,
        TIME,
        TIMESTAMP,
        UNSIGNED,
        UTF8,
        YEAR,
    )
    from cython.cimports.cdc.capture.temporal import (
        fraction_micros,
        old_datetime_packed,
        old_time_micros,
        time_micros,
    )
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.columns import ColumnPlan
    from cdc.capture.decimals import put_decimal, put_unscaled
    from cdc.capture.moments import put_date, put_moment, put_time, put_timestamp
    from cdc.capture.opcodes import (
        BIG_UNSIGNED,
        BITS,
        BOOLEAN,
        COPY,
        DATE,
        DATETIME,
        DECIMAL,
        DECIMAL_DOUBLE,
        ENUM,
        FLOAT_AS_DOUBLE,
        JSON,
        OLD_DATETIME,
        OLD_TIME,
        OLD_TIMESTAMP,
        SET,
        SIGNED,
        TIME,
        TIMESTAMP,
        UNSIGNED,
        UTF8,
        YEAR,
    )
    from cdc.capture.temporal import (
        fraction_micros,
        old_datetime_packed,
        old_time_micros,
        time_micros,
    )

MEMO_MAX = 4096
"""Distinct SET values kept as bytes, per column."""


@cython.cfunc
@cython.exceptval(-1)
def put_value(
    column: ColumnPlan,
    data: cython.p_const_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    out: Out,
) -> cython.Py_ssize_t:
    """Write one value that is there; return where it ends."""
    kind: cython.int = column.kind
    size: cython.Py_ssize_t = column.size
    length: cython.Py_ssize_t
    micros: cython.longlong
    if at + size > end:
        raise column.short(at + size, end)
    if kind == SIGNED:
        out.varint(_signed(data, at, size))
    elif kind == UNSIGNED:
        out.varint(_little(data, at, size))
    elif kind == COPY:
        out.copy(data, at, size)
    elif kind == UTF8:
        length = _little(data, at, size)
        at += size
        if length < 0 or length > end - at:
            raise column.short(at + length, end)
        if not _is_utf8(data, at, length):
            _replace(column, _bytes(data, at, length), out)
            return at + length
        out.reserve(length)
        out.varint(length)
        out.copy(data, at, length)
        return at + length
    elif DECIMAL <= kind <= DECIMAL_DOUBLE:
        put_decimal(column, data, at, out)
    elif kind == DATETIME:
        micros = fraction_micros(_big(data, at + 5, size - 5), column.a)
        put_moment(column, _big(data, at, 5) - 0x8000000000, micros, out)
    elif kind == TIMESTAMP:
        micros = fraction_micros(_big(data, at + 4, size - 4), column.a)
        put_timestamp(column, _big(data, at, 4), micros, column.a, out)
    elif kind == ENUM:
        _enum(column, _little(data, at, size), out)
    elif kind == DATE:
        put_date(column, _little(data, at, 3), out)
    elif kind == TIME:
        put_time(column, time_micros(_big(data, at, size), size, column.a), out)
    elif kind == YEAR:
        out.varint(1900 + data[at] if data[at] else 0)
    elif kind == BOOLEAN:
        out.byte(data[at] & 1)
    elif kind == BITS:
        out.varint(size)
        for i in range(size):
            out.byte(data[at + size - 1 - i])
    elif kind == BIG_UNSIGNED:
        _big_unsigned(_little(data, at, 8), out)
    elif kind == FLOAT_AS_DOUBLE:
        out.write(struct.pack("<d", struct.unpack("<f", _bytes(data, at, 4))[0]))
    elif kind == SET:
        _set(column, _little(data, at, size), out)
    elif kind == OLD_TIMESTAMP:
        put_timestamp(column, _little(data, at, 4), 0, 0, out)
    elif kind == OLD_DATETIME:
        _old_datetime(column, _little(data, at, 8), out)
    elif kind == OLD_TIME:
        _old_time(column, _signed(data, at, 3), out)
    else:
        length = _little(data, at, size)
        at += size
        if length < 0 or length > end - at:
            raise column.short(at + length, end)
        _variable(column, _bytes(data, at, length), out)
        return at + length
    return at + size


@cython.cfunc
@cython.exceptval(-1)
def _old_datetime(column: ColumnPlan, number: cython.longlong, out: Out) -> cython.int:
    packed: cython.longlong = old_datetime_packed(number)
    if packed < 0:
        raise _not_of_before_5_6(column, number)
    put_moment(column, packed, 0, out)
    return 0


@cython.cfunc
@cython.exceptval(-1)
def _old_time(column: ColumnPlan, number: cython.longlong, out: Out) -> cython.int:
    positive: cython.longlong = -number if number < 0 else number
    if positive % 100 > 59 or positive // 100 % 100 > 59:
        raise _not_of_before_5_6(column, number)
    put_time(column, old_time_micros(number), out)
    return 0


def _not_of_before_5_6(column: ColumnPlan, number: int) -> DecodeError:
    return DecodeError(
        f"column {column.name} of {column.owner} holds {number}, which the format of before MySQL"
        " 5.6 doesn't know",
        hint="has it fractional seconds in MariaDB's format of before 10.1? set"
        " mysql56_temporal_format=ON and ALTER TABLE … FORCE, then begin after that",
        kind=UNREADABLE_VALUE,
    )


@cython.cfunc
@cython.exceptval(-1)
def step_over(
    column: ColumnPlan, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Where the value that begins at `at` ends, without reading it."""
    length: cython.Py_ssize_t
    if at + column.size > end:
        raise column.short(at + column.size, end)
    if not column.is_prefixed:
        return at + column.size
    length = _little(data, at, column.size)
    at += column.size
    if length < 0 or length > end - at:
        raise column.short(at + length, end)
    return at + length


@cython.cfunc
@cython.exceptval(-1)
def _enum(column: ColumnPlan, index: cython.longlong, out: Out) -> cython.int:
    labels: list[bytes] = column.table
    if index >= len(labels):
        raise DecodeError(
            f"column {column.name} of {column.owner} holds ENUM index {index},"
            f" {len(labels) - 1} labels are known",
            hint="set binlog_row_metadata=FULL, which sends the labels",
            kind=UNREADABLE_VALUE,
        )
    out.write(labels[index])
    return 0


def _set(column: ColumnPlan, bits: int, out: Out) -> None:
    bits &= 0xFFFFFFFFFFFFFFFF
    known = column.memo.get(bits)
    if known is None:
        if bits >> len(column.table):
            raise DecodeError(
                f"column {column.name} of {column.owner} holds SET bits {bits:#x},"
                f" {len(column.table)} labels are known",
                hint="set binlog_row_metadata=FULL, which sends the labels",
                kind=UNREADABLE_VALUE,
            )
        chosen = [label for i, label in enumerate(column.table) if bits >> i & 1]
        known = avro_string(",".join(chosen))
        if len(column.memo) < MEMO_MAX:
            column.memo[bits] = known
    out.write(known)


@cython.cfunc
@cython.exceptval(check=False)
def _big_unsigned(number: cython.longlong, out: Out) -> cython.void:
    """64 bits without a sign as a decimal of scale 0; nine bytes beyond 63 bits."""
    i: cython.int
    if number >= 0:
        put_unscaled(number, out)
        return
    out.varint(9)
    out.byte(0)
    for i in range(8):
        out.byte((number >> (56 - 8 * i)) & 0xFF)


def _variable(column: ColumnPlan, data: bytes, out: Out) -> None:
    """A value of variable size that needs more than a copy."""
    try:
        encoded = variable_value(column.kind, data, column.a, column.table)
    except UnicodeError:
        _replace(column, data, out)
        return
    except DecodeError as error:
        raise DecodeError(
            f"column {column.name} of {column.owner}: {error.message}",
            hint=error.hint,
            kind=UNREADABLE_VALUE,
        ) from error
    if encoded is not None:
        out.write(encoded)
    elif column.null_branch >= 0 or column.kind == JSON:
        column.substitute(out)
    else:
        raise DecodeError(
            f"column {column.name} of {column.owner} is NOT NULL, but holds no value ({len(data)}"
            " bytes)",
            hint="correct the row at the source, or leave the column out",
            kind=UNREADABLE_VALUE,
        )


def _replace(column: ColumnPlan, data: bytes, out: Out) -> None:
    """Text that its character set doesn't know: U+FFFD in place of the bytes, or an error."""
    if not column.replaces_text:
        raise column.undecodable(data) from None
    column.substitutions += 1
    out.write(avro_string(replaced_text(column.kind, data, column.table)))


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _little(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.longlong:
    """Little-endian, unsigned; 8 bytes beyond 63 bits wrap to negative, as Java's long does."""
    if not cython.compiled:
        value = int.from_bytes(data[at : at + size], "little")
        return value - (1 << 64) if value >> 63 else value
    u: cython.ulonglong = 0
    i: cython.Py_ssize_t
    for i in range(size):
        u |= cython.cast(cython.ulonglong, data[at + i]) << (8 * i)
    return cython.cast(cython.longlong, u)


@cython.cfunc
@cython.exceptval(check=False)
def _is_utf8(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t
) -> cython.bint:
    """True for well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF."""
    if not cython.compiled:
        try:
            bytes(data[at : at + length]).decode()
        except UnicodeDecodeError:
            return False
        return True
    i: cython.Py_ssize_t = at
    end: cython.Py_ssize_t = at + length
    more: cython.int
    first: cython.uchar
    second: cython.uchar
    while i < end:
        first = data[i]
        i += 1
        if first < 0x80:
            continue
        if first < 0xC2 or first > 0xF4:
            return False
        more = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        if end - i < more:
            return False
        second = data[i]
        if (
            (first == 0xE0 and second < 0xA0)
            or (first == 0xED and second > 0x9F)
            or (first == 0xF0 and second < 0x90)
            or (first == 0xF4 and second > 0x8F)
        ):
            return False
        while more:
            if data[i] & 0xC0 != 0x80:
                return False
            i += 1
            more -= 1
    return True


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _signed(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.longlong:
    value: cython.longlong = _little(data, at, size)
    one: cython.longlong = 1
    if size < 8 and value >> (8 * size - 1):
        value -= one << (8 * size)
    return value


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _big(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.longlong:
    value: cython.longlong = 0
    i: cython.Py_ssize_t
    for i in range(size):
        value = value << 8 | data[at + i]
    return value


@cython.cfunc
def _bytes(data: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> bytes:
    if cython.compiled:
        return PyBytes_FromStringAndSize(cython.cast(cython.p_const_char, data) + at, size)
    return bytes(data[at : at + size])
