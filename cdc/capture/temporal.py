# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""MySQL's packed dates and times as counts of days, seconds and microseconds."""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
else:
    from cdc.capture.avro_out import Out

    NO_DATE = -(1 << 30)  # far before any date; a C constant in temporal.pxd


@cython.cfunc
@cython.exceptval(check=False)
def fraction_micros(number: cython.longlong, digits: cython.longlong) -> cython.longlong:
    """Microseconds of a fraction as it is stored: two decimal digits a byte."""
    if digits <= 2:
        return number * 10000
    if digits <= 4:
        return number * 100
    return number


@cython.cfunc
@cython.exceptval(check=False)
def time_micros(
    stored: cython.longlong, size: cython.longlong, digits: cython.longlong
) -> cython.longlong:
    """A TIME of `size` bytes: whole part and fraction in one number, biased to sort as bytes."""
    one: cython.longlong = 1  # a literal would be an int in C
    bits: cython.longlong = 8 * (size - 3)
    packed: cython.longlong = stored - (one << (bits + 23))
    negative: cython.bint = packed < 0
    whole: cython.longlong
    fraction: cython.longlong
    if negative:
        packed = -packed
    whole = packed >> bits
    fraction = packed & ((one << bits) - 1)
    whole = ((whole >> 12 & 1023) * 3600 + (whole >> 6 & 63) * 60 + (whole & 63)) * 1000000
    whole += fraction_micros(fraction, digits)
    return -whole if negative else whole


@cython.cfunc
@cython.exceptval(check=False)
def old_time_micros(number: cython.longlong) -> cython.longlong:
    """The format before 5.6: hhmmss as a decimal number."""
    positive: cython.longlong = -number if number < 0 else number
    seconds: cython.longlong = (
        positive // 10000 * 3600 + positive // 100 % 100 * 60 + positive % 100
    )
    return (-seconds if number < 0 else seconds) * 1000000


@cython.cfunc
@cython.exceptval(check=False)
def old_datetime_packed(number: cython.longlong) -> cython.longlong:
    """The format before 5.6, YYYYMMDDhhmmss as a decimal number, packed as today's; -1 if none."""
    if number < 0 or number > 99991231235959:
        return -1
    date: cython.longlong = number // 1000000
    time: cython.longlong = number % 1000000
    packed: cython.longlong = date // 10000 * 13 + date // 100 % 100
    if date // 100 % 100 > 12 or date % 100 > 31:
        return -1
    if time // 10000 > 23 or time // 100 % 100 > 59 or time % 100 > 59:
        return -1
    packed = packed << 5 | date % 100
    return packed << 17 | time // 10000 << 12 | time // 100 % 100 << 6 | time % 100


@cython.cfunc
@cython.exceptval(check=False)
def days(year: cython.longlong, month: cython.longlong, day: cython.longlong) -> cython.longlong:
    """Days since 1970-01-01 of a proleptic Gregorian date; NO_DATE for what is no date."""
    if month < 1 or month > 12 or day < 1 or day > 31:
        return NO_DATE
    if day > 28:
        if month == 2:
            if day > 29 or year % 4 or (year % 100 == 0 and year % 400):
                return NO_DATE
        elif day == 31 and (month == 4 or month == 6 or month == 9 or month == 11):
            return NO_DATE
    # Years that begin in March have their leap day at the end; 400 years are 146,097 days.
    era: cython.longlong
    if month <= 2:
        year -= 1
        month += 12
    era = (year if year >= 0 else year - 399) // 400
    year -= era * 400
    return (
        era * 146097
        + year * 365
        + year // 4
        - year // 100
        + (153 * (month - 3) + 2) // 5
        + (day - 1)
        - 719468
    )


@cython.cfunc
@cython.exceptval(check=False)
def write_two(out: Out, value: cython.longlong) -> cython.void:
    out.byte(0x30 + value // 10)
    out.byte(0x30 + value % 10)


@cython.cfunc
@cython.exceptval(check=False)
def write_date(out: Out, days: cython.longlong) -> cython.void:
    """YYYY-MM-DD of days since 1970-01-01, which are not negative: TIMESTAMP begins there."""
    z: cython.longlong = days + 719468
    era: cython.longlong = z // 146097
    doe: cython.longlong = z - era * 146097
    yoe: cython.longlong = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy: cython.longlong = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp: cython.longlong = (5 * doy + 2) // 153
    month: cython.longlong = mp + 3 if mp < 10 else mp - 9
    year: cython.longlong = yoe + era * 400 + (1 if month <= 2 else 0)
    write_two(out, year // 100)
    write_two(out, year % 100)
    out.byte(0x2D)
    write_two(out, month)
    out.byte(0x2D)
    write_two(out, doy - (153 * mp + 2) // 5 + 1)
