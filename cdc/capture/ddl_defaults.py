"""A column's default in DDL as the catalogue shows it afterwards.

The server converts a default to the column's type when it is set: an integer is rounded, a date
has one notation, a TIMESTAMP is kept in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from cdc.capture.dialect import Dialect
from cdc.capture.sql_tokens import NotUnderstood

_INTEGERS: Final = ("tinyint", "smallint", "mediumint", "int", "bigint")
_TEMPORAL: Final = ("date", "datetime", "timestamp", "time")
_BYTES: Final = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_AS_IT_IS: Final = re.compile(r"\(|current_timestamp\b", re.IGNORECASE)
_NOT_DECIMAL: Final = re.compile(r"0[xX]|b'")
_LABEL: Final = re.compile(r"'((?:[^']|'')*)'")
_DATE: Final = re.compile(
    r"\s*(\d{4}|\d\d)[^\w\s](\d\d?)[^\w\s](\d\d?)"
    r"(?:(?:T|\s+)(\d\d?)(?:[^\w\s](\d\d?)(?:[^\w\s](\d\d?)(?:\.(\d*))?)?)?)?\s*"
)
_DIGITS: Final = re.compile(r"(\d{4}|\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)(?:\.(\d*))?)?")
_TIME: Final = re.compile(r"(-?)(\d{1,3}):(\d\d?)(?::(\d\d?)(?:\.(\d*))?)?")
_OFFSET: Final = re.compile(r"([+-])(\d\d?):(\d\d)")
_CONTEXT: Final = Context(prec=100)
_NEXT_CENTURY: Final = 70
"""Years of two digits below it are of the century 2000."""


def settled_default(
    default: str | None, data_type: str, column_type: str, dialect: Dialect
) -> str | None:
    """A default of `read_default` as the catalogue would have it, a string in quotes.

    NotUnderstood where the server may make something else of it."""
    if default is None or _AS_IT_IS.match(default):
        return default
    is_text = default.startswith("'")
    text = default[1:-1].replace("''", "'").replace("\\\\", "\\") if is_text else default
    if data_type == "bit":
        return _bits(default, is_text)
    if _NOT_DECIMAL.match(default) and data_type not in _BYTES:
        raise NotUnderstood(f"the default {default} of {data_type} isn't known")
    if data_type in _INTEGERS or data_type == "decimal":
        return _number(text, 0 if data_type in _INTEGERS else _scale(column_type))
    if data_type == "year":
        return _year(text, is_text)
    if data_type in _TEMPORAL:
        return f"'{_temporal(text, data_type, _precision(column_type), dialect)}'"
    if data_type in ("enum", "set"):
        return _labels(default, text, is_text, data_type, column_type)
    if data_type in ("float", "double") or is_text or _NOT_DECIMAL.match(default):
        return default
    if not re.fullmatch(r"-?\d+", default):  # a number as text, with digits of the server's own
        raise NotUnderstood(f"the default {default} of {data_type} isn't known")
    return f"'{default}'"


def _bits(default: str, is_text: bool) -> str:
    if is_text or (_NOT_DECIMAL.match(default) and not default.startswith("b'")):
        raise NotUnderstood("a BIT of bytes isn't known")
    digits = default[2:-1] if default.startswith("b'") else f"{int(default):b}"
    return f"b'{digits.lstrip('0') or '0'}'"


def _number(text: str, scale: int) -> str:
    try:
        unit = Decimal(1).scaleb(-scale)
        rounded = Decimal(text.strip()).quantize(unit, ROUND_HALF_UP, _CONTEXT)
    except InvalidOperation as error:
        raise NotUnderstood(f"the default {text!r} is no number") from error
    return f"{rounded:f}"


def _scale(column_type: str) -> int:
    found = re.search(r",(\d+)\)", column_type)
    return int(found[1]) if found else 0


def _precision(column_type: str) -> int:
    found = re.search(r"\((\d)\)", column_type)
    return int(found[1]) if found else 0


def _year(text: str, is_text: bool) -> str:
    if not re.fullmatch(r"\d{1,4}", text):
        raise NotUnderstood(f"the default {text!r} is no year")
    year = int(text)
    if len(text) < 4 and (year or is_text):
        year = _full_year(year)
    return f"{year:04}"


def _full_year(year: int) -> int:
    if year >= 100:
        raise NotUnderstood("a year of three digits")
    return year + (1900 if year >= _NEXT_CENTURY else 2000)


def _labels(default: str, text: str, is_text: bool, data_type: str, column_type: str) -> str:
    """Labels as they are declared: the server compares by collation, and sorts a set."""
    declared = [label.replace("''", "'") for label in _LABEL.findall(column_type)]
    wanted = text.split(",") if data_type == "set" else [text]
    in_order = [label for label in declared if label in wanted]
    if not is_text or (in_order != wanted and (text or data_type == "enum")):
        raise NotUnderstood(f"the default {default} is none of the labels")
    return default


def _temporal(text: str, data_type: str, precision: int, dialect: Dialect) -> str:
    if data_type == "time":
        return _time(text, precision)
    found = _DATE.fullmatch(text) or _DIGITS.fullmatch(text)
    if text.strip() == "0":
        parts, fraction = [0] * 6, ""
    elif found:
        parts = [int(part or 0) for part in found.groups()[:6]]
        if len(found[1]) < 4:
            parts[0] = _full_year(parts[0])
        fraction = found[7] or ""
    else:
        raise NotUnderstood(f"the default {text!r} is no date")
    day = "{:04}-{:02}-{:02}".format(*parts)
    if data_type == "date":
        if any(parts[3:]) or fraction.strip("0"):
            raise NotUnderstood("a DATE with a time")
        return day
    moment = f"{day} {parts[3]:02}:{parts[4]:02}:{parts[5]:02}"
    if data_type == "timestamp" and any(parts):
        moment = _in_utc(moment, dialect)
    return moment + _fraction(fraction, precision)


def _time(text: str, precision: int) -> str:
    found = _TIME.fullmatch(text)
    if text.strip() == "0":
        return "00:00:00" + _fraction("", precision)
    if not found:
        raise NotUnderstood(f"the default {text!r} is no time")
    sign, hours, minutes, seconds, fraction = found.groups()
    clock = f"{sign}{int(hours):02}:{int(minutes):02}:{int(seconds or 0):02}"
    return clock + _fraction(fraction or "", precision)


def _fraction(digits: str, precision: int) -> str:
    kept, rest = digits[:precision], digits[precision:]
    if rest.strip("0"):
        raise NotUnderstood("more digits than the column has")
    return f".{kept.ljust(precision, '0')}" if precision else ""


def _in_utc(moment: str, dialect: Dialect) -> str:
    """A wall clock of the session's time zone in UTC."""
    try:
        local = datetime.fromisoformat(moment)
        found = _OFFSET.fullmatch(dialect.time_zone)
        if found:
            offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
            zone: timezone | ZoneInfo = timezone(-offset if found[1] == "-" else offset)
        elif dialect.time_zone in ("", "SYSTEM"):
            raise NotUnderstood("which time zone the server has, the statement doesn't say")
        else:
            zone = ZoneInfo(dialect.time_zone)
        first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            raise NotUnderstood("this hour is there twice, or not at all")
        return str(first.astimezone(UTC).replace(tzinfo=None))
    # A zone of a name that isn't known here, a day that isn't in the calendar.
    except (ValueError, KeyError, OSError, OverflowError) as error:
        raise NotUnderstood(f"{moment} in {dialect.time_zone} isn't known") from error
