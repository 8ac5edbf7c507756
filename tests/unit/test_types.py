"""Each column type: bytes of a row image become the Avro value, and no neighbour moves."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import DecodeError
from tests.binlogs import Binlog, Col, Reading, bits_low_first
from tests.forms_plugin import Capture
from tests.json_binary import Number, Opaque, json_binary

TINY, SHORT, LONG, FLOAT, DOUBLE, OLD_TIMESTAMP, LONGLONG, INT24 = 1, 2, 3, 4, 5, 7, 8, 9
DATE, OLD_TIME, OLD_DATETIME, YEAR, VARCHAR, BIT, TIMESTAMP, DATETIME, TIME = (
    10, 11, 12, 13, 15, 16, 17, 18, 19,
)  # fmt: skip
VECTOR, JSON, DECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY = 242, 245, 246, 247, 248, 252, 254, 255
BINARY, UTF8MB4, LATIN1, ASCII, UCS2 = 63, 255, 8, 11, 35

GUARD_BEFORE, GUARD_AFTER = 0x01020304, 0x05060708


def read_value(capture: Capture, column: Col, image: bytes | None) -> Any:
    """The value after decoding a row of (guard, column, guard); the guards must be whole."""
    reading, record = read_row(capture, column, image)
    event = reading.decoded(record.value)
    assert event["before"] is None
    assert (event["after"]["l"], event["after"]["r"]) == (GUARD_BEFORE, GUARD_AFTER)
    return event["after"]["x"]


def read_row(capture: Capture, column: Col, image: bytes | None) -> tuple[Reading, Any]:
    columns = [Col(LONG, name="l"), column, Col(LONG, name="r")]
    nulls = bits_low_first([False, image is None, False])
    row = nulls + struct.pack("<i", GUARD_BEFORE) + (image or b"") + struct.pack("<i", GUARD_AFTER)
    reading = Reading(capture)
    log = Binlog().begin(1).table(columns).rows(0, 3, row).commit()
    (record,) = reading.first(log).records
    return reading, record


INTEGERS = [
    (TINY, 1, "<b", "<B"),
    (SHORT, 2, "<h", "<H"),
    (INT24, 3, None, None),
    (LONG, 4, "<i", "<I"),
    (LONGLONG, 8, "<q", "<Q"),
]


@pytest.mark.parametrize(("code", "size", "signed", "unsigned"), INTEGERS)
def test_integers_hold_their_bounds(
    capture: Capture, code: int, size: int, signed: str, unsigned: str
) -> None:
    bits = 8 * size
    for value in (-(1 << bits - 1), -1, 0, 1, (1 << bits - 1) - 1):
        image = value.to_bytes(size, "little", signed=True)
        assert read_value(capture, Col(code), image) == value
    for value in (0, 1, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 1):
        image = value.to_bytes(size, "little")
        # An unsigned BIGINT beyond 63 bits becomes negative: Debezium's mode `long`.
        expected = value - (1 << 64) if value >> 63 else value
        assert read_value(capture, Col(code, unsigned=True), image) == expected


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -3.4028234663852886e38, 1.401298464324817e-45])
def test_floats_are_copied(capture: Capture, value: float) -> None:
    read = read_value(capture, Col(FLOAT, b"\4"), struct.pack("<f", value))
    assert struct.pack("<f", read) == struct.pack("<f", value)


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1.7976931348623157e308, -5e-324])
def test_doubles_are_copied(capture: Capture, value: float) -> None:
    read = read_value(capture, Col(DOUBLE, b"\10"), struct.pack("<d", value))
    assert math.copysign(1, read) == math.copysign(1, value)
    assert read == value


GROUP_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_image(unscaled: int, precision: int, scale: int) -> bytes:
    """MySQL's binary DECIMAL, written from its digits."""
    digits = str(abs(unscaled)).zfill(precision)
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    first = len(whole) % 9
    groups = [whole[:first]] + [whole[i : i + 9] for i in range(first, len(whole), 9)]
    groups += [fraction[i : i + 9] for i in range(0, len(fraction), 9)]
    data = b"".join(int(g or 0).to_bytes(GROUP_BYTES[len(g)], "big") for g in groups)
    data = bytes([data[0] ^ 0x80]) + data[1:]
    return bytes(byte ^ 0xFF for byte in data) if unscaled < 0 else data


@st.composite
def decimals(draw: st.DrawFn) -> tuple[int, int, int]:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(precision, 30)))
    bound = 10**precision - 1
    edges = st.sampled_from([0, 1, -1, bound, -bound, bound // 2, -(bound // 2) - 1])
    return draw(edges | st.integers(-bound, bound)), precision, scale


@given(decimal=decimals())
def test_decimals_are_what_pythons_decimal_says(
    capture: Capture, decimal: tuple[int, int, int]
) -> None:
    unscaled, precision, scale = decimal
    column = Col(DECIMAL, bytes([precision, scale]))
    read = read_value(capture, column, decimal_image(unscaled, precision, scale))
    sign, digits, exponent = Decimal(unscaled).as_tuple()
    assert isinstance(exponent, int)
    assert read == Decimal((sign if unscaled else 0, digits, exponent - scale))


@pytest.mark.parametrize(("precision", "scale"), [(5, 2), (18, 9), (18, 8), (20, 0), (65, 30)])
def test_a_decimal_with_too_many_digits_in_a_group_is_refused(
    capture: Capture, precision: int, scale: int
) -> None:
    size = len(decimal_image(0, precision, scale))
    with pytest.raises(DecodeError, match="digits"):
        read_value(capture, Col(DECIMAL, bytes([precision, scale])), b"\xff" * size)


@pytest.mark.parametrize("bit_count", [2, 7, 8, 9, 33, 63, 64])
def test_bits_turn_little_endian(capture: Capture, bit_count: int) -> None:
    column = Col(BIT, bytes([bit_count % 8, bit_count // 8]))
    for value in (0, 1, (1 << bit_count) - 1, 1 << bit_count - 1):
        size = (bit_count + 7) // 8
        assert read_value(capture, column, value.to_bytes(size, "big")) == value.to_bytes(
            size, "little"
        )


def test_one_bit_is_a_boolean(capture: Capture) -> None:
    assert read_value(capture, Col(BIT, b"\1\0"), b"\1") is True
    assert read_value(capture, Col(BIT, b"\1\0"), b"\0") is False


@pytest.mark.parametrize(("byte", "year"), [(0, 0), (1, 1901), (70, 1970), (255, 2155)])
def test_years(capture: Capture, byte: int, year: int) -> None:
    assert read_value(capture, Col(YEAR), bytes([byte])) == year


def date_image(year: int, month: int, day: int) -> bytes:
    return (year << 9 | month << 5 | day).to_bytes(3, "little")


@pytest.mark.parametrize(
    "day", ["1000-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29", "9999-12-31"]
)
def test_dates_are_days_since_1970(capture: Capture, day: str) -> None:
    when = date.fromisoformat(day)
    image = date_image(when.year, when.month, when.day)
    assert read_value(capture, Col(DATE), image) == (when - date(1970, 1, 1)).days


@given(when=st.dates())
def test_any_date_is_what_pythons_date_says(capture: Capture, when: date) -> None:
    image = date_image(when.year, when.month, when.day)
    assert read_value(capture, Col(DATE), image) == (when - date(1970, 1, 1)).days


NO_DATES = [(0, 0, 0), (2024, 0, 15), (2024, 1, 0), (2024, 2, 31), (2023, 2, 29), (1900, 2, 29)]
NO_DATES += [(2024, 4, 31), (2024, 13, 1)]


@pytest.mark.parametrize("no_date", NO_DATES)
def test_what_is_no_date_is_null_or_the_epoch(
    capture: Capture, no_date: tuple[int, int, int]
) -> None:
    for column, image in [
        (Col(DATE), date_image(*no_date)),
        (Col(DATETIME, b"\0"), datetime_image(*no_date)),
        (Col(DATETIME, b"\6"), datetime_image(*no_date, digits=6)),
    ]:
        assert read_value(capture, column, image) == 0
        optional = Col(column.type, column.meta, nullable=True)
        assert read_value(capture, optional, image) is None


def test_substitutions_are_counted(capture: Capture) -> None:
    reading, _ = read_row(capture, Col(DATE), date_image(0, 0, 0))
    assert reading.decoder.substitutions() == {("shop.t", "x"): 1}


def fraction_image(micros: int, digits: int) -> bytes:
    size = (digits + 1) // 2
    return (micros // 10 ** (6 - 2 * size)).to_bytes(size, "big")


def datetime_image(
    year: int, month: int, day: int, second_of_day: int = 0, micros: int = 0, digits: int = 0
) -> bytes:
    minute, second = divmod(second_of_day, 60)
    hour, minute = divmod(minute, 60)
    packed = ((year * 13 + month) << 5 | day) << 17 | hour << 12 | minute << 6 | second
    return (packed + (1 << 39)).to_bytes(5, "big") + fraction_image(micros, digits)


def cut(micros: int, digits: int) -> int:
    """What a column of so many fractional digits holds."""
    step = 10 ** (6 - digits)
    return micros // step * step


@given(when=st.datetimes(), digits=st.integers(0, 6))
def test_datetimes_are_milliseconds_or_microseconds(
    capture: Capture, when: datetime, digits: int
) -> None:
    micros = cut(when.microsecond, digits)
    seconds = when.hour * 3600 + when.minute * 60 + when.second
    image = datetime_image(when.year, when.month, when.day, seconds, micros, digits)
    whole = (when.replace(microsecond=micros) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    expected = whole if digits > 3 else whole // 1000
    assert read_value(capture, Col(DATETIME, bytes([digits])), image) == expected


@given(when=st.datetimes(datetime(1970, 1, 1, 0, 0, 1), datetime(2106, 2, 7)), d=st.integers(0, 6))
def test_timestamps_are_iso_8601_in_utc(capture: Capture, when: datetime, d: int) -> None:
    micros = cut(when.microsecond, d)
    seconds = (when.replace(microsecond=0) - datetime(1970, 1, 1)) // timedelta(seconds=1)
    image = seconds.to_bytes(4, "big") + fraction_image(micros, d)
    fraction = f".{micros:06d}"[: d + 1] if d else ""
    expected = when.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
    assert read_value(capture, Col(TIMESTAMP, bytes([d])), image) == expected


@pytest.mark.parametrize(("digits", "fraction"), [(0, ""), (3, ".000"), (6, ".000000")])
def test_timestamp_0_is_null_or_the_epoch(capture: Capture, digits: int, fraction: str) -> None:
    image = bytes(4 + (digits + 1) // 2)
    column = Col(TIMESTAMP, bytes([digits]))
    assert read_value(capture, column, image) == f"1970-01-01T00:00:00{fraction}Z"
    optional = Col(TIMESTAMP, bytes([digits]), nullable=True)
    assert read_value(capture, optional, image) is None


def time_image(micros: int, digits: int) -> bytes:
    """As my_time_packed_to_binary writes it."""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    packed = (seconds // 3600 << 12 | seconds // 60 % 60 << 6 | seconds % 60) << 24 | fraction
    packed = -packed if micros < 0 else packed
    if digits > 4:
        return (packed + (1 << 47)).to_bytes(6, "big")
    whole, rest = packed >> 24, int(math.fmod(packed, 1 << 24))
    size = (digits + 1) // 2
    scaled = int(rest / 10 ** (6 - 2 * size))
    # The fraction's complement lies in its own bytes; the whole was rounded down already.
    return (whole + (1 << 23)).to_bytes(3, "big") + (scaled & (1 << 8 * size) - 1).to_bytes(
        size, "big"
    )


LONGEST = (838 * 3600 + 59 * 60 + 59) * 1_000_000


@pytest.mark.parametrize(
    ("digits", "image", "micros"),
    [
        (0, "800000", 0),
        (2, "7ffffff6", -100_000),
        (1, "7ffffff6", -100_000),
        (2, "7fffffff", -10_000),
        (2, "7fffff9d", -990_000),
        (2, "7ffffeff", -1_010_000),
        (4, "7ffffffc18", -100_000),
        (6, "7ffffffe7960", -100_000),
        (0, "4b9105", -LONGEST),
        (0, "b46efb", LONGEST),
        (6, "b46efb000000", LONGEST),
    ],
)
def test_times_by_their_known_bytes(capture: Capture, digits: int, image: str, micros: int) -> None:
    assert time_image(micros, digits).hex() == image
    assert read_value(capture, Col(TIME, bytes([digits])), bytes.fromhex(image)) == micros


@given(micros=st.integers(-LONGEST, LONGEST), digits=st.integers(0, 6))
def test_any_time_is_its_microseconds(capture: Capture, micros: int, digits: int) -> None:
    sign = -1 if micros < 0 else 1
    expected = sign * cut(abs(micros), digits)
    image = time_image(expected, digits)
    assert read_value(capture, Col(TIME, bytes([digits])), image) == expected


@pytest.mark.parametrize(
    ("column", "number", "size", "expected"),
    [
        (Col(OLD_TIME), 8385959, 3, LONGEST),
        (Col(OLD_TIME), -8385959, 3, -LONGEST),
        (Col(OLD_TIME), -10, 3, -10_000_000),
        (Col(OLD_DATETIME), 20240229123456, 8, 1709210096000),
        (Col(OLD_DATETIME), 0, 8, 0),
        (Col(OLD_DATETIME), 20240231000000, 8, 0),
        (Col(OLD_TIMESTAMP), 1709210096, 4, "2024-02-29T12:34:56Z"),
        (Col(OLD_TIMESTAMP), 0, 4, "1970-01-01T00:00:00Z"),
    ],
)
def test_the_temporal_formats_before_5_6(
    capture: Capture, column: Col, number: int, size: int, expected: Any
) -> None:
    image = number.to_bytes(size, "little", signed=number < 0)
    assert read_value(capture, column, image) == expected


@pytest.mark.parametrize(
    ("column", "number", "size"),
    [
        (Col(OLD_TIME), 6000, 3),
        (Col(OLD_TIME), -60, 3),
        (Col(OLD_DATETIME), -5, 8),
        (Col(OLD_DATETIME), (1 << 63) - 1, 8),
        (Col(OLD_DATETIME), 20240199000000, 8),
    ],
)
def test_what_the_formats_before_5_6_cannot_hold_is_refused_never_a_wrong_neighbour(
    capture: Capture, column: Col, number: int, size: int
) -> None:
    """So MariaDB's own old format of fractions shows, whose size the binlog doesn't say."""
    image = number.to_bytes(size, "little", signed=number < 0)
    with pytest.raises(DecodeError, match=r"of before MySQL 5\.6 doesn't know"):
        read_value(capture, column, image)


def varchar(bytes_max: int, charset: int = UTF8MB4) -> Col:
    return Col(VARCHAR, struct.pack("<H", bytes_max), charset=charset)


def char(bytes_max: int, charset: int = UTF8MB4) -> Col:
    """CHAR and BINARY: two bits of the length hide, inverted, in the type's byte."""
    return Col(STRING, bytes([254 ^ (bytes_max >> 4 & 0x30), bytes_max & 0xFF]), charset=charset)


@pytest.mark.parametrize("of", [varchar, char])
@pytest.mark.parametrize(("bytes_max", "prefix"), [(1, 1), (255, 1), (256, 2), (1020, 2)])
def test_strings_with_one_and_two_bytes_of_length(
    capture: Capture, of: Any, bytes_max: int, prefix: int
) -> None:
    for size in {0, 1, bytes_max}:
        text = "a" * size
        image = size.to_bytes(prefix, "little") + text.encode()
        assert read_value(capture, of(bytes_max), image) == text


@pytest.mark.parametrize("prefix", [1, 2, 3, 4])
def test_texts_and_blobs_with_each_width_of_length(capture: Capture, prefix: int) -> None:
    raw = "žluť 🐎".encode()
    image = len(raw).to_bytes(prefix, "little") + raw
    text, blob = (Col(BLOB, bytes([prefix]), charset=c) for c in (UTF8MB4, BINARY))
    assert read_value(capture, text, image) == "žluť 🐎"
    assert read_value(capture, blob, image) == raw


def test_latin1_is_cp1252_with_its_five_undefined_bytes_passed_through(capture: Capture) -> None:
    raw = bytes([0x80, 0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xE4])
    image = bytes([len(raw)]) + raw
    assert read_value(capture, varchar(20, LATIN1), image) == "€\x81\x8d\x8f\x90\x9dä"


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        (UTF8MB4, b"ok\xff"),
        (UTF8MB4, b"\xc0\x80"),  # overlong
        (UTF8MB4, b"\xe0\x9f\xbf"),
        (UTF8MB4, b"\xf0\x8f\xbf\xbf"),
        (UTF8MB4, b"\xed\xa0\x80"),  # a surrogate
        (UTF8MB4, b"\xf4\x90\x80\x80"),  # above U+10FFFF
        (UTF8MB4, b"\xf5\x80\x80\x80"),
        (UTF8MB4, b"\xe2\x82"),  # cut off
        (UTF8MB4, b"\xe2\x28\xa1"),
        (33, b"\xed\xbf\xbf"),
        (ASCII, b"\x80"),
        (UCS2, b"\x00"),
        (UCS2, b"\xd8\x00"),
        (13, b"\x81"),  # sjis
        (248, b"\x81"),  # gb18030
    ],
)
def test_undecodable_bytes_are_refused_by_column_and_table(
    capture: Capture, charset: int, raw: bytes
) -> None:
    with pytest.raises(DecodeError, match=r"column x of shop\.t holds bytes"):
        read_value(capture, varchar(20, charset), bytes([len(raw)]) + raw)


@given(raw=st.binary(max_size=12) | st.text(max_size=8).map(str.encode))
def test_utf8_is_taken_where_python_takes_it(capture: Capture, raw: bytes) -> None:
    try:
        expected = raw.decode()
    except UnicodeDecodeError:
        with pytest.raises(DecodeError):
            read_value(capture, varchar(20), bytes([len(raw)]) + raw)
    else:
        assert read_value(capture, varchar(20), bytes([len(raw)]) + raw) == expected


def test_binary_gets_back_the_zeros_that_the_binlog_cuts_off(capture: Capture) -> None:
    assert read_value(capture, char(6, BINARY), b"\2\1\2") == b"\1\2\0\0\0\0"
    assert read_value(capture, char(6, BINARY), b"\0") == bytes(6)
    assert read_value(capture, char(300, BINARY), b"\1\0\7") == b"\7" + bytes(299)
    assert read_value(capture, varchar(6, BINARY), b"\2\1\2") == b"\1\2"


def label_column(kind: int, size: int, labels: Sequence[str]) -> Col:
    return Col(STRING, bytes([kind, size]), labels=tuple(labels))


def test_an_enums_index_0_is_the_empty_string(capture: Capture) -> None:
    column = label_column(ENUM, 1, ["a", "b,c", "Ü"])
    values = [read_value(capture, column, bytes([i])) for i in range(4)]
    # A comma in a label is escaped, as Debezium does: labels are joined by commas elsewhere.
    assert values == ["", "a", "b\\,c", "Ü"]


def test_an_enum_of_many_labels_has_two_bytes(capture: Capture) -> None:
    labels = [f"l{i}" for i in range(300)]
    column = label_column(ENUM, 2, labels)
    assert read_value(capture, column, struct.pack("<H", 300)) == "l299"


def test_an_enum_out_of_range_is_refused(capture: Capture) -> None:
    with pytest.raises(DecodeError, match=r"column x of shop\.t holds ENUM index 3, 2 labels"):
        read_value(capture, label_column(ENUM, 1, ["a", "b"]), b"\3")


def test_sets_are_their_labels_in_order(capture: Capture) -> None:
    labels = [f"l{i}" for i in range(64)]
    column = label_column(SET, 8, labels)
    for bits in (0, 1, 1 << 63, (1 << 64) - 1, 0b1010):
        expected = ",".join(label for i, label in enumerate(labels) if bits >> i & 1)
        assert read_value(capture, column, bits.to_bytes(8, "little")) == expected
    assert read_value(capture, label_column(SET, 1, ["a", "b"]), b"\0") == ""


def test_a_set_out_of_range_is_refused(capture: Capture) -> None:
    with pytest.raises(DecodeError, match=r"column x of shop\.t holds SET bits 0x4"):
        read_value(capture, label_column(SET, 1, ["a", "b"]), b"\4")


def read_json(capture: Capture, data: bytes) -> str:
    image = struct.pack("<I", len(data)) + data
    text: str = read_value(capture, Col(JSON, b"\4"), image)
    return text


@pytest.mark.parametrize("wide", [False, True], ids=["small", "large"])
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 32767, -32768, 65535, 65536, -(1 << 31), (1 << 32) - 1,
        -(1 << 63), (1 << 63) - 1, (1 << 64) - 1, 0.0, 0.1, 1e-3, 1e7, 123456.789, "",
        "žluť 🐎 \"q\" \\ / \b\f\n\r\t\x01", "x" * 200, [], {}, [None, True, False, 1, "a", 1.5],
        {"b": [1, -2, 3.5, {"e": {}}], "a": {"deep": {"er": 70000}}, "Ä": "ü", "": 0},
        [[[[[]]]]], [65535, 70000, -70000, 1 << 40],
    ],
)  # fmt: skip
def test_json_reads_back_as_the_value(capture: Capture, value: Any, wide: bool) -> None:
    assert json.loads(read_json(capture, json_binary(value, wide=wide))) == value


def test_json_keys_stay_in_the_servers_order_without_blanks(capture: Capture) -> None:
    data = json_binary({"b": 1, "a": [True, None]})
    assert read_json(capture, data) == '{"b":1,"a":[true,null]}'


@pytest.mark.parametrize("value", [1e30, -1.7976931348623157e308, 5e-324, 1e-7, 123456789.25])
def test_json_doubles_are_plain_digits_that_read_back(capture: Capture, value: float) -> None:
    text = read_json(capture, json_binary(value))
    assert "e" not in text.lower()
    assert float(text) == value


def packed_moment(when: datetime) -> bytes:
    day = (when.year * 13 + when.month) << 5 | when.day
    packed = (day << 17 | when.hour << 12 | when.minute << 6 | when.second) << 24
    return struct.pack("<q", packed | when.microsecond)


@pytest.mark.parametrize(
    ("opaque", "text"),
    [
        (Opaque(246, bytes([5, 3]) + decimal_image(1250, 5, 3)), "1.250"),
        (Opaque(246, bytes([40, 0]) + decimal_image(-(10**39), 40, 0)), str(-(10**39))),
        (Opaque(10, packed_moment(datetime(2024, 2, 29))), '"2024-02-29"'),
        (Opaque(12, packed_moment(datetime(2020, 1, 2, 3, 4, 5))), '"2020-01-02 03:04:05"'),
        (Opaque(7, packed_moment(datetime(2020, 1, 2, 3, 4, 5, 500_000))),
         '"2020-01-02 03:04:05.5"'),
        (Opaque(11, struct.pack("<q", (10 << 12 | 11 << 6 | 12) << 24)), '"10:11:12"'),
        (Opaque(11, struct.pack("<q", -((1 << 6) << 24 | 1))), '"-00:01:00.000001"'),
        (Opaque(16, b"\x01\xff"), '"Af8="'),
        (Opaque(252, b"\x00"), '"AA=="'),
    ],
)  # fmt: skip
def test_json_holds_opaque_sql_values(capture: Capture, opaque: Opaque, text: str) -> None:
    assert read_json(capture, json_binary([opaque])) == f"[{text}]"


def test_json_integers_of_each_width_stand_in_small_and_large_containers(capture: Capture) -> None:
    numbers = [Number(5, -1), Number(6, 1), Number(7, -1), Number(8, 1), Number(9, -1)]
    for wide in (False, True):
        assert read_json(capture, json_binary(numbers, wide=wide)) == "[-1,1,-1,1,-1]"


def test_json_of_no_bytes_is_null(capture: Capture) -> None:
    assert read_value(capture, Col(JSON, b"\4", nullable=True), bytes(4)) is None
    assert read_value(capture, Col(JSON, b"\4"), bytes(4)) == "null"


def test_json_members_that_overlap_are_refused(capture: Capture) -> None:
    """Each array's two members are the next array: forty of them would be a terabyte of text."""
    data = b"\2"
    for _ in range(40):
        data += struct.pack("<HHBHBH", 2, 10, 2, 10, 2, 10)
    with pytest.raises(DecodeError, match=r"column x of shop\.t.*overlap"):
        read_json(capture, data + struct.pack("<HH", 0, 4))


@given(data=st.binary(max_size=60))
def test_hostile_json_is_text_or_an_error_that_names_the_column(
    capture: Capture, data: bytes
) -> None:
    try:
        read_json(capture, data)
    except DecodeError as error:
        assert "column x of shop.t" in error.message


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    wide=st.booleans(),
    flip=st.none() | st.tuples(st.integers(0, 400), st.integers(0, 255)),
)
def test_json_reads_back_and_a_flipped_byte_is_never_a_crash(
    capture: Capture, data: Any, wide: bool, flip: tuple[int, int] | None
) -> None:
    raw = bytearray(json_binary(data, wide=wide))
    if flip is None:
        assert json.loads(read_json(capture, bytes(raw))) == data
        return
    raw[flip[0] % len(raw)] = flip[1]
    try:
        read_json(capture, bytes(raw))
    except DecodeError as error:
        assert "column x of shop.t" in error.message


def geometry_image(srid: int, wkb: bytes) -> bytes:
    return struct.pack("<II", 4 + len(wkb), srid) + wkb


POINT_WKB = b"\1" + struct.pack("<Idd", 1, 1.5, -2.0)
LINE_WKB = b"\1" + struct.pack("<II4d", 2, 2, 0, 0, 1, 1)


def test_a_geometry_is_wkb_and_srid(capture: Capture) -> None:
    column = Col(GEOMETRY, b"\4", geometry=2)
    with_srid = read_value(capture, column, geometry_image(4326, LINE_WKB))
    assert with_srid == {"wkb": LINE_WKB, "srid": 4326}
    without = read_value(capture, column, geometry_image(0, LINE_WKB))
    assert without == {"wkb": LINE_WKB, "srid": None}


def test_a_point_has_its_coordinates_in_front(capture: Capture) -> None:
    column = Col(GEOMETRY, b"\4", geometry=1)
    read = read_value(capture, column, geometry_image(0, POINT_WKB))
    assert read == {"x": 1.5, "y": -2.0, "wkb": POINT_WKB, "srid": None}


def test_a_geometry_that_is_too_short_is_null_or_refused(capture: Capture) -> None:
    for geometry, wkb in ((1, POINT_WKB[:-1]), (1, b"")):
        image = geometry_image(0, wkb)
        optional = Col(GEOMETRY, b"\4", geometry=geometry, nullable=True)
        assert read_value(capture, optional, image) is None
        with pytest.raises(DecodeError, match=r"column x of shop\.t is NOT NULL, but holds no"):
            read_value(capture, Col(GEOMETRY, b"\4", geometry=geometry), image)


def test_a_vector_is_an_array_of_floats(capture: Capture) -> None:
    column = Col(VECTOR, b"\4", dimensions=3)
    image = struct.pack("<I3f", 12, 1, 2.5, -3)
    assert read_value(capture, column, image) == [1, 2.5, -3]
    assert read_value(capture, column, bytes(4)) == []


def test_null_is_null_in_every_type(capture: Capture) -> None:
    columns = [
        Col(LONG), Col(DECIMAL, b"\5\2"), Col(DATE), Col(TIME, b"\6"), Col(TIMESTAMP, b"\3"),
        varchar(20), varchar(20, LATIN1), char(4, BINARY), Col(JSON, b"\4"),
        Col(GEOMETRY, b"\4", geometry=1), Col(VECTOR, b"\4"), label_column(SET, 1, ["a"]),
    ]  # fmt: skip
    for column in columns:
        optional = Col(
            column.type, column.meta, nullable=True, charset=column.charset,
            labels=column.labels, geometry=column.geometry,
        )  # fmt: skip
        assert read_value(capture, optional, None) is None


def test_null_in_a_column_that_is_not_null_is_refused(capture: Capture) -> None:
    with pytest.raises(DecodeError, match=r"column x of shop\.t is NOT NULL"):
        read_value(capture, Col(LONG), None)


@pytest.mark.parametrize(
    ("column", "size"),
    [
        (Col(LONGLONG), 8), (Col(DECIMAL, b"\5\2"), 3), (Col(DECIMAL, b"\x41\x1e"), 30),
        (Col(DATE), 3), (Col(TIME, b"\6"), 6), (Col(DATETIME, b"\6"), 8), (Col(YEAR), 1),
        (Col(TIMESTAMP, b"\6"), 7), (Col(BIT, b"\0\10"), 8), (Col(FLOAT, b"\4"), 4),
        (varchar(20), 256), (varchar(300), 65537), (varchar(20, LATIN1), 256),
        (char(4, BINARY), 256), (Col(JSON, b"\4"), 300), (Col(BLOB, b"\4", charset=BINARY), 300),
        (Col(GEOMETRY, b"\4", geometry=1), 300), (Col(VECTOR, b"\4"), 300),
        (label_column(SET, 8, ["a"]), 8), (label_column(ENUM, 2, ["a"]), 2),
    ],
)  # fmt: skip
def test_a_row_that_ends_too_early_is_refused(capture: Capture, column: Col, size: int) -> None:
    """Whatever stands behind the event must not be read as part of it."""
    columns = [Col(LONG, name="l"), column]
    for claimed in {0, size // 2, size - 1}:
        row = b"\0" + bytes(4) + b"\xff" * claimed
        for tables in (("shop.*",), ("other.*",)):
            log = Binlog().begin(1).table(columns).rows(0, 2, row)
            with pytest.raises(DecodeError, match=r"shop\.t runs \d+ bytes past the end"):
                Reading(capture, tables=tables).first(log.commit())
