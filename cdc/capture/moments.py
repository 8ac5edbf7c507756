# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Dates, times and moments of a row image, written in the form that the column's plan names.

A column's `b` is the unit: units a second, 0 for the type's own, ISO for text in ISO 8601.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.columns import ColumnPlan
    from cython.cimports.cdc.capture.opcodes import ISO
    from cython.cimports.cdc.capture.temporal import NO_DATE, days, write_date, write_two
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.columns import ColumnPlan
    from cdc.capture.opcodes import ISO
    from cdc.capture.temporal import NO_DATE, days, write_date, write_two

# Not of an enum: C makes that one unsigned, and then nothing is below the negative bound.
DAY_MICROS = cython.declare(cython.longlong, 86_400_000_000)
NANO_SECONDS_MAX = cython.declare(cython.longlong, 9_223_372_035)
"""And a fraction: what 64 bits of nanoseconds hold."""


@cython.cfunc
@cython.exceptval(-1)
def put_date(column: ColumnPlan, packed: cython.longlong, out: Out) -> cython.int:
    """A DATE, packed as year, month, day: days since 1970-01-01."""
    day: cython.longlong = days(packed >> 9, packed >> 5 & 15, packed & 31)
    if day == NO_DATE:
        column.substitute(out)
    elif column.b == ISO:
        out.varint(11)
        _iso_date(out, packed >> 9, packed >> 5 & 15, packed & 31)
        out.byte(0x5A)
    else:
        out.varint(day)
    return 0


@cython.cfunc
@cython.exceptval(-1)
def put_time(column: ColumnPlan, micros: cython.longlong, out: Out) -> cython.int:
    """A TIME: microseconds of any sign, or what of a day's time another unit can hold."""
    if column.b == 0:
        out.varint(micros)
    elif column.b == 1000000000:
        out.varint(micros * 1000)
    elif micros < 0 or micros > DAY_MICROS:
        column.substitute(out)
    elif column.b == ISO:
        micros %= DAY_MICROS
        out.varint(9 + _fraction_size(micros % 1000000))
        _iso_time(out, micros // 1000000, micros % 1000000)
    else:
        out.varint(micros // 1000)
    return 0


@cython.cfunc
@cython.exceptval(-1)
def put_moment(
    column: ColumnPlan, packed: cython.longlong, micros: cython.longlong, out: Out
) -> cython.int:
    """A DATETIME, packed as year*13+month, day, hour, minute, second; its clock read as UTC."""
    year_month: cython.longlong = packed >> 22
    day: cython.longlong = NO_DATE
    second: cython.longlong = (packed >> 12 & 31) * 3600 + (packed >> 6 & 63) * 60 + (packed & 63)
    if packed >= 0:
        day = days(year_month // 13, year_month % 13, packed >> 17 & 31)
    if day == NO_DATE:
        column.substitute(out)
    elif column.b == 1000:
        out.varint((second + day * 86400) * 1000 + micros // 1000)
    elif column.b == 1000000:
        out.varint((second + day * 86400) * 1000000 + micros)
    elif column.b == ISO:
        out.varint(20 + _fraction_size(micros))
        _iso_date(out, year_month // 13, year_month % 13, packed >> 17 & 31)
        out.byte(0x54)
        _iso_time(out, second, micros)
    else:
        second += day * 86400
        if second > NANO_SECONDS_MAX or second < -NANO_SECONDS_MAX:
            column.substitute(out)
        else:
            out.varint(second * 1000000000 + micros * 1000)
    return 0


@cython.cfunc
@cython.exceptval(-1)
def put_timestamp(
    column: ColumnPlan,
    seconds: cython.longlong,
    micros: cython.longlong,
    digits: cython.longlong,
    out: Out,
) -> cython.int:
    """A TIMESTAMP: ISO 8601 in UTC with the column's own number of fractional digits."""
    if seconds == 0:  # '0000-00-00 00:00:00'; where null can't be, it is the epoch
        if column.null_branch >= 0 or column.fails_on_substitution:
            column.substitute(out)
            return 0
        column.substitutions += 1
    out.varint(20 + (digits + 1 if digits else 0))
    write_date(out, seconds // 86400)
    out.byte(0x54)
    _clock(out, seconds % 86400)
    _fraction(out, micros, digits)
    out.byte(0x5A)
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _iso_date(
    out: Out, year: cython.longlong, month: cython.longlong, day: cython.longlong
) -> cython.void:
    write_two(out, year // 100)
    write_two(out, year % 100)
    out.byte(0x2D)
    write_two(out, month)
    out.byte(0x2D)
    write_two(out, day)


@cython.cfunc
@cython.exceptval(check=False)
def _iso_time(out: Out, second: cython.longlong, micros: cython.longlong) -> cython.void:
    """hh:mm:ss, the fraction without its trailing zeros, Z."""
    _clock(out, second)
    _fraction(out, micros, _fraction_size(micros) - 1)
    out.byte(0x5A)


@cython.cfunc
@cython.exceptval(check=False)
def _clock(out: Out, second: cython.longlong) -> cython.void:
    write_two(out, second // 3600)
    out.byte(0x3A)
    write_two(out, second // 60 % 60)
    out.byte(0x3A)
    write_two(out, second % 60)


@cython.cfunc
@cython.exceptval(check=False)
def _fraction(out: Out, micros: cython.longlong, digits: cython.longlong) -> cython.void:
    power: cython.longlong = 100000
    if digits <= 0:
        return
    out.byte(0x2E)
    while digits:
        out.byte(0x30 + micros // power % 10)
        power //= 10
        digits -= 1


@cython.cfunc
@cython.exceptval(check=False)
def _fraction_size(micros: cython.longlong) -> cython.longlong:
    """Characters of a fraction without trailing zeros, its point included."""
    size: cython.longlong = 7
    if micros == 0:
        return 0
    while micros % 10 == 0:
        micros //= 10
        size -= 1
    return size
