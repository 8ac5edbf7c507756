# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Row images to Avro: a table's columns as a plan of opcodes, one pass, no object per column.

One source, two forms: plain Python as it stands, or compiled by Cython (types in rows.pxd).
Where the compiled form needs a pointer, the plain form has the bytes themselves; the few
places that differ ask `cython.compiled`. Every read is checked against the image's end first:
the bytes may be hostile.
"""

from __future__ import annotations

import struct
from typing import Any

import cython

from cdc.capture.avro_out import avro_string
from cdc.capture.decimals import decimal_unscaled
from cdc.capture.variable import variable_value
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.opcodes import (
        BITS,
        BOOLEAN,
        COPY,
        DATE,
        DATETIME,
        DECIMAL,
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
        NO_DATE,
        days,
        fraction_micros,
        old_datetime_packed,
        old_time_micros,
        time_micros,
        write_date,
        write_two,
    )
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.opcodes import (
        BITS,
        BOOLEAN,
        COPY,
        DATE,
        DATETIME,
        DECIMAL,
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
        NO_DATE,
        days,
        fraction_micros,
        old_datetime_packed,
        old_time_micros,
        time_micros,
        write_date,
        write_two,
    )

MEMO_MAX = 4096
"""Distinct SET values kept as bytes, per column."""
KEY_COLUMNS_MAX = 64
UNAVAILABLE = b"__debezium_unavailable_value"
"""Debezium's word for a value that the row image doesn't hold."""


@cython.cclass
class ColumnPlan:
    """One column's opcode with all it needs."""

    def __init__(
        self,
        name: str,
        kind: int,
        size: int,
        a: int,
        b: int,
        table: Any,
        *,
        null_branch: int,
        value_branch: int,
        key_slot: int = -1,
        bulky: bool = False,
        null_value: bytes | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.size = size
        self.a = a
        self.b = b
        self.table = table
        self.null_branch = null_branch
        """Index of null in the union; -1: the column is not a union."""
        self.value_branch = value_branch
        self.key_slot = key_slot
        """Place in the record's key; -1: not part of it."""
        self.bulky = bulky
        """True where a row image without the column may say so (`binlog_row_image=NOBLOB`)."""
        self.null_value = null_value
        """The default, branch and all, that is written for null (`replace.null.with.default`)."""
        self.substitutions = 0
        """Values that the format can't hold, written as documented and counted (invariant 2)."""
        self.memo = dict[int, bytes]()


@cython.cclass
class RowPlan:
    """Turns row images of one shape into Avro record bodies and keys."""

    def __init__(self, table: str, columns: list[ColumnPlan]) -> None:
        self.table = table
        self.columns = columns
        self.count = len(columns)
        self.key_count = sum(column.key_slot >= 0 for column in columns)
        if self.key_count > KEY_COLUMNS_MAX:
            raise DecodeError(
                f"the key of {table} has {self.key_count} columns, {KEY_COLUMNS_MAX} are possible",
                hint="name fewer columns in message.key.columns",
            )
        if not cython.compiled:
            self.key_start = [0] * KEY_COLUMNS_MAX
            self.key_end = [0] * KEY_COLUMNS_MAX

    @cython.cfunc
    @cython.exceptval(-1)
    def image(
        self,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.p_const_uchar,
        present_at: cython.Py_ssize_t,
        out: Out,
    ) -> cython.Py_ssize_t:
        """Write the image that begins at `at` as an Avro record body; return where it ends.

        `present` holds the columns-present bitmap from `present_at` on; the null bitmap in the
        image has one bit for each column present."""
        i: cython.Py_ssize_t
        nth: cython.Py_ssize_t = 0
        nulls: cython.Py_ssize_t = at
        column: ColumnPlan
        for i in range(self.count):
            nth += (present[present_at + (i >> 3)] >> (i & 7)) & 1
        at += (nth + 7) >> 3
        if at > end:
            raise self._short(at, end)
        nth = 0
        for i in range(self.count):
            column = cython.cast(ColumnPlan, self.columns[i])
            out.reserve(0)
            if column.key_slot >= 0:
                self.key_start[column.key_slot] = out.n
            if not (present[present_at + (i >> 3)] >> (i & 7)) & 1:
                self._absent(column, out)
            elif (data[nulls + (nth >> 3)] >> (nth & 7)) & 1:
                nth += 1
                if column.null_branch < 0:
                    raise DecodeError(
                        f"column {column.name} of {self.table} is NOT NULL, but null in a row",
                        hint="the binlog contradicts its own table map; check the source",
                    )
                if column.null_value is None:
                    out.byte(2 * column.null_branch)
                else:
                    out.write(column.null_value)
                    column.substitutions += 1
            else:
                nth += 1
                if column.null_branch >= 0:
                    out.byte(2 * column.value_branch)
                at = _value(self, column, data, at, end, out)
            if column.key_slot >= 0:
                self.key_end[column.key_slot] = out.n
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def skip(
        self,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.p_const_uchar,
        present_at: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Where the image that begins at `at` ends, without reading its values."""
        i: cython.Py_ssize_t
        nth: cython.Py_ssize_t = 0
        nulls: cython.Py_ssize_t = at
        length: cython.Py_ssize_t
        column: ColumnPlan
        for i in range(self.count):
            nth += (present[present_at + (i >> 3)] >> (i & 7)) & 1
        at += (nth + 7) >> 3
        nth = 0
        for i in range(self.count):
            if at > end:
                raise self._short(at, end)
            if not (present[present_at + (i >> 3)] >> (i & 7)) & 1:
                continue
            column = cython.cast(ColumnPlan, self.columns[i])
            if not (data[nulls + (nth >> 3)] >> (nth & 7)) & 1:
                if column.kind >= UTF8 and column.kind != ENUM and column.kind != SET:
                    if at + column.size > end:
                        raise self._short(at + column.size, end)
                    length = _little(data, at, column.size)
                    at += column.size
                    if length < 0 or length > end - at:
                        raise self._short(at + length, end)
                    at += length
                else:
                    at += column.size
            nth += 1
        if at > end:
            raise self._short(at, end)
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def key(self, values: Out, out: Out) -> cython.int:
        """Write the key of the image that `values` holds: its columns' bytes, in key order."""
        slot: cython.Py_ssize_t
        size: cython.Py_ssize_t
        for slot in range(self.key_count):
            size = self.key_end[slot] - self.key_start[slot]
            out.reserve(size)
            out.copy(values.p, self.key_start[slot], size)
        return 0

    def _short(self, wanted: int, end: int) -> DecodeError:
        return DecodeError(
            f"a row of {self.table} runs {wanted - end} bytes past the end of its event",
            hint="the binlog is damaged, or holds a column type that is read wrongly",
        )

    def _undecodable(self, column: ColumnPlan, value: bytes) -> DecodeError:
        """The error for text that its character set doesn't know."""
        decode = column.table or bytes.decode
        try:
            decode(value)
            start = 0
        except UnicodeError as error:
            start = getattr(error, "start", 0)
        return DecodeError(
            f"column {column.name} of {self.table} holds bytes that its character set"
            f" doesn't know (at byte {start} of {len(value)})",
            hint="correct the row at the source, or leave the column out",
        )

    def _absent(self, column: ColumnPlan, out: Out) -> None:
        """A column that the row image leaves out."""
        if column.bulky:
            if column.null_branch >= 0:
                out.put(column.value_branch)
            out.put(len(UNAVAILABLE))
            out.write(UNAVAILABLE)
        elif column.null_branch >= 0 and column.key_slot < 0:
            out.put(column.null_branch)
        else:
            raise DecodeError(
                f"a row of {self.table} comes without its column {column.name}",
                hint="a session wrote it with binlog_row_image other than FULL; set it to FULL"
                " everywhere, then begin after this place",
            )
        column.substitutions += 1


@cython.cfunc
def _value(
    plan: RowPlan,
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
        raise plan._short(at + size, end)
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
            raise plan._short(at + length, end)
        if not _is_utf8(data, at, length):
            raise plan._undecodable(column, _bytes(data, at, length))
        out.reserve(length)
        out.varint(length)
        out.copy(data, at, length)
        return at + length
    elif kind == DECIMAL:
        _decimal(plan, column, data, at, out)
    elif kind == DATETIME:
        micros = fraction_micros(_big(data, at + 5, size - 5), column.a)
        _moment(plan, column, _big(data, at, 5) - 0x8000000000, micros, out)
    elif kind == TIMESTAMP:
        micros = fraction_micros(_big(data, at + 4, size - 4), column.a)
        _timestamp(plan, column, _big(data, at, 4), micros, column.a, out)
    elif kind == ENUM:
        _enum(plan, column, _little(data, at, size), out)
    elif kind == DATE:
        _date(plan, column, _little(data, at, 3), out)
    elif kind == TIME:
        out.varint(time_micros(_big(data, at, size), size, column.a))
    elif kind == YEAR:
        out.varint(1900 + data[at] if data[at] else 0)
    elif kind == BOOLEAN:
        out.byte(data[at] & 1)
    elif kind == BITS:
        out.varint(size)
        for i in range(size):
            out.byte(data[at + size - 1 - i])
    elif kind == FLOAT_AS_DOUBLE:
        out.write(struct.pack("<d", struct.unpack("<f", _bytes(data, at, 4))[0]))
    elif kind == SET:
        _set(plan, column, _little(data, at, size), out)
    elif kind == OLD_TIMESTAMP:
        _timestamp(plan, column, _little(data, at, 4), 0, 0, out)
    elif kind == OLD_DATETIME:
        _moment(plan, column, old_datetime_packed(_little(data, at, 8)), 0, out)
    elif kind == OLD_TIME:
        out.varint(old_time_micros(_signed(data, at, 3)))
    else:
        length = _little(data, at, size)
        at += size
        if length < 0 or length > end - at:
            raise plan._short(at + length, end)
        _variable(plan, column, _bytes(data, at, length), out)
        return at + length
    return at + size


@cython.cfunc
def _decimal(
    plan: RowPlan,
    column: ColumnPlan,
    data: cython.p_const_uchar,
    at: cython.Py_ssize_t,
    out: Out,
) -> cython.int:
    """Unscaled value, two's complement, big-endian, as short as can be."""
    if column.a > 18:
        big = decimal_unscaled(_bytes(data, at, column.size), column.a, column.b)
        body = big.to_bytes(((big if big >= 0 else ~big).bit_length() >> 3) + 1, "big", signed=True)
        out.put(len(body))
        out.write(body)
        return 0
    value: cython.longlong = 0
    rest: cython.longlong
    whole: cython.longlong = column.a - column.b
    mask: cython.int = 0 if data[at] & 0x80 else 0xFF
    begin: cython.Py_ssize_t = at
    i: cython.int
    _: cython.longlong
    # The odd digits stand before the whole groups on the left, after them on the right.
    value = _digits(plan, column, data, at, begin, whole % 9, mask, value)
    at += (whole % 9 + 1) // 2
    for _ in range(whole // 9):
        value = _digits(plan, column, data, at, begin, 9, mask, value)
        at += 4
    for _ in range(column.b // 9):
        value = _digits(plan, column, data, at, begin, 9, mask, value)
        at += 4
    value = _digits(plan, column, data, at, begin, column.b % 9, mask, value)
    if mask:
        value = -value
    rest = value
    i = 1
    while rest > 127 or rest < -128:
        rest >>= 8
        i += 1
    out.varint(i)
    while i:
        i -= 1
        out.byte((value >> (8 * i)) & 0xFF)
    return 0


@cython.cfunc
def _digits(
    plan: RowPlan,
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
            f"column {column.name} of {plan.table} holds {group} where {digits} decimal digits"
            " should be",
            hint="the binlog is damaged; check the source's disk",
        )
    return value * power + group


@cython.cfunc
def _substitute(column: ColumnPlan, out: Out) -> cython.bint:
    """Null in place of a value that the format can't hold; False where null can't be."""
    column.substitutions += 1
    if column.null_branch < 0:
        return False
    out.n -= 1  # the branch that was written for a value, always one byte
    out.byte(2 * column.null_branch)
    return True


@cython.cfunc
def _date(plan: RowPlan, column: ColumnPlan, packed: cython.longlong, out: Out) -> cython.int:
    day: cython.longlong = days(packed >> 9, packed >> 5 & 15, packed & 31)
    if day == NO_DATE:
        if not _substitute(column, out):
            out.byte(0)
    else:
        out.varint(day)
    return 0


@cython.cfunc
def _moment(
    plan: RowPlan, column: ColumnPlan, packed: cython.longlong, micros: cython.longlong, out: Out
) -> cython.int:
    """A DATETIME, packed as year*13+month, day, hour, minute, second."""
    year_month: cython.longlong = packed >> 22
    day: cython.longlong = NO_DATE
    seconds: cython.longlong
    if packed >= 0:
        day = days(year_month // 13, year_month % 13, packed >> 17 & 31)
    if day == NO_DATE:
        if not _substitute(column, out):
            out.byte(0)
        return 0
    seconds = (packed >> 12 & 31) * 3600 + (packed >> 6 & 63) * 60 + (packed & 63)
    seconds += day * 86400
    out.varint(seconds * column.b + (micros if column.b == 1000000 else micros // 1000))
    return 0


@cython.cfunc
def _timestamp(
    plan: RowPlan,
    column: ColumnPlan,
    seconds: cython.longlong,
    micros: cython.longlong,
    digits: cython.longlong,
    out: Out,
) -> cython.int:
    """ISO 8601 in UTC with the column's own number of fractional digits."""
    i: cython.longlong
    second: cython.longlong = seconds % 86400
    if seconds == 0 and _substitute(column, out):  # '0000-00-00 00:00:00'
        return 0
    out.varint(20 + (digits + 1 if digits else 0))
    write_date(out, seconds // 86400)
    out.byte(0x54)
    write_two(out, second // 3600)
    out.byte(0x3A)
    write_two(out, second // 60 % 60)
    out.byte(0x3A)
    write_two(out, second % 60)
    if digits:
        out.byte(0x2E)
        i = 100000
        while digits:
            out.byte(0x30 + micros // i % 10)
            i //= 10
            digits -= 1
    out.byte(0x5A)
    return 0


@cython.cfunc
def _enum(plan: RowPlan, column: ColumnPlan, index: cython.longlong, out: Out) -> cython.int:
    labels: list[bytes] = column.table
    if index >= len(labels):
        raise DecodeError(
            f"column {column.name} of {plan.table} holds ENUM index {index},"
            f" {len(labels) - 1} labels are known",
            hint="set binlog_row_metadata=FULL, which sends the labels",
        )
    out.write(labels[index])
    return 0


def _set(plan: RowPlan, column: ColumnPlan, bits: int, out: Out) -> None:
    bits &= 0xFFFFFFFFFFFFFFFF
    value = column.memo.get(bits)
    if value is None:
        if bits >> len(column.table):
            raise DecodeError(
                f"column {column.name} of {plan.table} holds SET bits {bits:#x},"
                f" {len(column.table)} labels are known",
                hint="set binlog_row_metadata=FULL, which sends the labels",
            )
        chosen = [label for i, label in enumerate(column.table) if bits >> i & 1]
        value = avro_string(",".join(chosen))
        if len(column.memo) < MEMO_MAX:
            column.memo[bits] = value
    out.write(value)


def _variable(plan: RowPlan, column: ColumnPlan, value: bytes, out: Out) -> None:
    """A value of variable size that needs more than a copy."""
    try:
        encoded = variable_value(column.kind, value, column.a, column.table)
    except UnicodeError:
        raise plan._undecodable(column, value) from None
    except DecodeError as error:
        raise DecodeError(
            f"column {column.name} of {plan.table}: {error.message}", hint=error.hint
        ) from error
    if encoded is not None:
        out.write(encoded)
    elif _substitute(column, out):
        return
    elif column.kind == JSON:
        out.write(avro_string("null"))  # JSON's own
    else:
        raise DecodeError(
            f"column {column.name} of {plan.table} is NOT NULL, but holds no value ({len(value)}"
            " bytes)",
            hint="correct the row at the source, or leave the column out",
        )


@cython.cfunc
@cython.exceptval(check=False)
def _power(exponent: cython.longlong) -> cython.longlong:
    value: cython.longlong = 1
    while exponent > 0:
        value *= 10
        exponent -= 1
    return value


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
    if size < 8 and value >> (8 * size - 1):
        value -= cython.cast(cython.longlong, 1) << (8 * size)
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
