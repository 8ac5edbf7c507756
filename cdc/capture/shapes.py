"""TABLE_MAP events: a table's shape, which alone decides how its rows are read (invariant 6).

Format: MySQL's Table_map_event with its optional metadata (`binlog_row_metadata`), the same
on MariaDB from 10.5. Pure: bytes in, shape out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cdc.capture.charsets import BINARY, charset_of, decoder_of
from cdc.capture.checkpoint import Flavor
from cdc.errors import DecodeError

# Column type codes, as in the protocol.
TINY: Final = 1
SHORT: Final = 2
LONG: Final = 3
FLOAT: Final = 4
DOUBLE: Final = 5
TIMESTAMP: Final = 7
LONGLONG: Final = 8
INT24: Final = 9
DATE: Final = 10
TIME: Final = 11
DATETIME: Final = 12
YEAR: Final = 13
NEWDATE: Final = 14
VARCHAR: Final = 15
BIT: Final = 16
TIMESTAMP2: Final = 17
DATETIME2: Final = 18
TIME2: Final = 19
BLOB_COMPRESSED: Final = 140
VARCHAR_COMPRESSED: Final = 141
VECTOR: Final = 242
JSON: Final = 245
NEWDECIMAL: Final = 246
ENUM: Final = 247
SET: Final = 248
TINY_BLOB: Final = 249
MEDIUM_BLOB: Final = 250
LONG_BLOB: Final = 251
BLOB: Final = 252
VAR_STRING: Final = 253
STRING: Final = 254
GEOMETRY: Final = 255

_NUMERIC: Final = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, FLOAT, DOUBLE, NEWDECIMAL, YEAR})
_STRINGS: Final = frozenset(
    {STRING, VAR_STRING, VARCHAR, BLOB, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB,
     VARCHAR_COMPRESSED, BLOB_COMPRESSED}
)  # fmt: skip
# Each server counts one more type among the columns with a collation.
_WITH_COLLATION: Final = {"mysql": _STRINGS | {VECTOR}, "mariadb": _STRINGS | {GEOMETRY}}

_META_BYTES: Final = {
    FLOAT: 1, DOUBLE: 1, VARCHAR: 2, BIT: 2, TIMESTAMP2: 1, DATETIME2: 1, TIME2: 1,
    BLOB_COMPRESSED: 1, VARCHAR_COMPRESSED: 2, VECTOR: 1, JSON: 1, NEWDECIMAL: 2, ENUM: 2,
    SET: 2, TINY_BLOB: 1, MEDIUM_BLOB: 1, LONG_BLOB: 1, BLOB: 1, VAR_STRING: 2, STRING: 2,
    GEOMETRY: 1,
}  # fmt: skip
_KNOWN: Final = frozenset(_META_BYTES) | {
    TINY, SHORT, LONG, LONGLONG, INT24, DATE, TIME, DATETIME, TIMESTAMP, YEAR, NEWDATE,
}  # fmt: skip
_PREFIXED: Final = frozenset(
    {TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, BLOB_COMPRESSED, JSON, GEOMETRY, VECTOR}
)
BIT_MAX: Final = 64
DECIMAL_DIGITS_MAX: Final = 65
FRACTION_DIGITS_MAX: Final = 6
COLUMNS_MAX: Final = 4096
LABELS_MAX: Final = {ENUM: 65_535, SET: 64}
"""The servers' own bounds; what goes beyond is damaged."""

_LABEL_SIZES: Final = frozenset([(ENUM, 1), (ENUM, 2)] + [(SET, size) for size in range(1, 9)])

# Optional metadata fields.
_SIGNEDNESS, _DEFAULT_CHARSET, _COLUMN_CHARSET, _COLUMN_NAME = 1, 2, 3, 4
_SET_LABELS, _ENUM_LABELS, _GEOMETRY_TYPE, _SIMPLE_KEY, _PREFIX_KEY = 5, 6, 7, 8, 9
_LABEL_DEFAULT_CHARSET, _LABEL_COLUMN_CHARSET, _VISIBILITY, _DIMENSIONS = 10, 11, 12, 13


@dataclass(frozen=True, slots=True)
class Column:
    """One column as TABLE_MAP gives it."""

    name: str
    type: int
    """Protocol type code; ENUM and SET instead of the STRING that hides them."""
    nullable: bool
    unsigned: bool = False
    length: int = 0
    """Bytes of CHAR, VARCHAR, BINARY; bits of BIT; bytes of a BLOB's length prefix; bytes of
    an ENUM or SET value; bytes of a FLOAT."""
    precision: int = 0
    """Digits of a DECIMAL; fractional digits of TIME, DATETIME, TIMESTAMP."""
    scale: int = 0
    charset: str = ""
    """Of text, ENUM and SET; `binary` for BINARY, VARBINARY and BLOB; else empty."""
    labels: tuple[str, ...] = ()
    geometry_type: int = 0
    dimensions: int = 0
    visible: bool = True
    logical: str = ""
    """MariaDB's UUID, INET4 or INET6, where something else than TABLE_MAP told it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as one TABLE_MAP event gives it."""

    database: str
    table: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] = ()
    """Indexes of the key's columns, in the key's order."""
    named: bool = True
    """False where the event holds no column names (`binlog_row_metadata=MINIMAL`)."""


def damaged(what: str) -> DecodeError:
    return DecodeError(
        f"a TABLE_MAP event can't be read: {what}",
        hint="the event is damaged; check the source's disk and network",
    )


class _Cursor:
    """Reads a body front to back; every step checks the bounds."""

    def __init__(self, body: bytes, at: int = 0) -> None:
        self.body, self.at = body, at

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.body):
            raise damaged(f"it ends at byte {len(self.body)}, {end} were announced")
        chunk = self.body[self.at : end]
        self.at = end
        return chunk

    def byte(self) -> int:
        return self.take(1)[0]

    def length(self) -> int:
        """A length-encoded integer."""
        first = self.byte()
        if first < 0xFB:
            return first
        if first in (0xFB, 0xFF):
            raise damaged(f"byte {self.at - 1} is {first:#x} where a length should be")
        return int.from_bytes(self.take({0xFC: 2, 0xFD: 3, 0xFE: 8}[first]), "little")

    def lengths(self) -> Iterator[int]:
        while self.at < len(self.body):
            yield self.length()

    def text(self) -> str:
        """A name with its length in front, UTF-8."""
        return self.take(self.length()).decode("utf-8", "replace")


def table_of(body: bytes) -> tuple[str, str]:
    """(database, table) of a TABLE_MAP event's body."""
    cursor = _Cursor(body)
    return _names_in(cursor)


def _names_in(cursor: _Cursor) -> tuple[str, str]:
    database = cursor.text()
    cursor.byte()
    table = cursor.text()
    cursor.byte()
    return database, table


def parse_table_map(body: bytes, flavor: Flavor, *, sizes_only: bool = False) -> Shape:
    """The shape in a TABLE_MAP event's body, from after the table id and flags.

    With `sizes_only` the optional metadata is left out: enough to step over rows, and nothing
    that is new in them can stop a reader that doesn't want the table."""
    cursor = _Cursor(body)
    database, table = _names_in(cursor)
    count = cursor.length()
    types = cursor.take(count)
    if not 0 < count <= COLUMNS_MAX:
        raise damaged(f"{database}.{table} has {count or 'no'} columns")
    meta = _Cursor(cursor.take(cursor.length()))
    null_bits = cursor.take((count + 7) // 8)
    raw = [_raw_column(code, meta, f"{database}.{table}") for code in types]
    optional: dict[int, bytes] = {}
    while cursor.at < len(body) and not sizes_only:
        field = cursor.byte()
        optional[field] = cursor.take(cursor.length())

    kinds = [column[0] for column in raw]
    unsigned = _signedness(optional.get(_SIGNEDNESS), kinds)
    collations = _collations(optional, kinds, flavor)
    names = _names(optional.get(_COLUMN_NAME), count)
    labels = _labels(optional, kinds, collations)
    geometry = _per_kind(optional.get(_GEOMETRY_TYPE), kinds, GEOMETRY)
    dimensions = _per_kind(optional.get(_DIMENSIONS), kinds, VECTOR)
    visible = _bits(optional.get(_VISIBILITY), count, default=True)
    columns = tuple(
        Column(
            name=names[i] if names else f"@{i + 1}",
            type=kind,
            nullable=bool(null_bits[i >> 3] >> (i & 7) & 1),
            unsigned=unsigned[i],
            length=length,
            precision=precision,
            scale=scale,
            charset=charset_of(collations[i]) if collations[i] else "",
            labels=labels.get(i, ()),
            geometry_type=geometry.get(i, 0),
            dimensions=dimensions.get(i, 0),
            visible=visible[i],
        )
        for i, (kind, length, precision, scale) in enumerate(raw)
    )
    return Shape(database, table, columns, _primary_key(optional, count), bool(names))


def _raw_column(code: int, meta: _Cursor, table: str) -> tuple[int, int, int, int]:
    """(type, length, precision, scale) from a type code and its metadata bytes."""
    if code not in _KNOWN:
        raise DecodeError(
            f"column type {code} of {table} is not known",
            hint="the server is newer than this version of cdc knows, or the event is damaged",
        )
    data = meta.take(_META_BYTES.get(code, 0))
    if code in (STRING, ENUM, SET):
        # The two upper bits of a CHAR's length hide, inverted, in the real type's byte.
        kind = data[0] | 0x30
        length = data[1] | (data[0] & 0x30 ^ 0x30) << 4
        if kind == STRING or (kind, length) in _LABEL_SIZES:
            return kind, length, 0, 0
    elif code in (VARCHAR, VAR_STRING, VARCHAR_COMPRESSED):
        return code, int.from_bytes(data, "little"), 0, 0
    elif code == BIT:
        if data[0] < 8 and 0 < data[1] * 8 + data[0] <= BIT_MAX:
            return code, data[1] * 8 + data[0], 0, 0
    elif code == NEWDECIMAL:
        if data[1] <= data[0] and 0 < data[0] <= DECIMAL_DIGITS_MAX:
            return code, 0, data[0], data[1]
    elif code in (TIMESTAMP2, DATETIME2, TIME2):
        if data[0] <= FRACTION_DIGITS_MAX:
            return code, 0, data[0], 0
    elif code not in _PREFIXED or 1 <= data[0] <= 4:
        return code, data[0] if data else 0, 0, 0
    raise damaged(f"a column of type {code} of {table} has the metadata {data.hex()}")


def _bits(data: bytes | None, count: int, *, default: bool) -> list[bool]:
    """`count` bits, most significant first."""
    if data is None:
        return [default] * count
    return [bool(i >> 3 < len(data) and data[i >> 3] >> (7 - (i & 7)) & 1) for i in range(count)]


def _signedness(data: bytes | None, kinds: list[int]) -> list[bool]:
    numeric = [i for i, kind in enumerate(kinds) if kind in _NUMERIC]
    unsigned = [False] * len(kinds)
    for i, bit in zip(numeric, _bits(data, len(numeric), default=False), strict=True):
        unsigned[i] = bit
    return unsigned


def _collations(optional: dict[int, bytes], kinds: list[int], flavor: Flavor) -> list[int]:
    """Collation id by column; 0 where there is none."""
    found = [0] * len(kinds)
    text = [i for i, kind in enumerate(kinds) if kind in _WITH_COLLATION[flavor]]
    labelled = [i for i, kind in enumerate(kinds) if kind in (ENUM, SET)]
    for columns, default_field, each_field in (
        (text, _DEFAULT_CHARSET, _COLUMN_CHARSET),
        (labelled, _LABEL_DEFAULT_CHARSET, _LABEL_COLUMN_CHARSET),
    ):
        if default_field in optional:
            numbers = _Cursor(optional[default_field])
            for i in columns:
                found[i] = numbers.length() if i == columns[0] else found[columns[0]]
            pairs = list(numbers.lengths())
            for nth, collation in zip(pairs[::2], pairs[1::2], strict=False):
                if nth < len(columns):
                    found[columns[nth]] = collation
        elif each_field in optional:
            each = list(_Cursor(optional[each_field]).lengths())
            if len(each) != len(columns):
                raise damaged(f"it has {len(each)} collations for {len(columns)} columns")
            for i, collation in zip(columns, each, strict=True):
                found[i] = collation
    return found


def _names(data: bytes | None, count: int) -> list[str]:
    if data is None:
        return []
    cursor = _Cursor(data)
    return [cursor.text() for _ in range(count)]


def _labels(
    optional: dict[int, bytes], kinds: list[int], collations: list[int]
) -> dict[int, tuple[str, ...]]:
    """ENUM and SET strings by column."""
    labels: dict[int, tuple[str, ...]] = {}
    for kind, field in ((ENUM, _ENUM_LABELS), (SET, _SET_LABELS)):
        if field not in optional:
            continue
        cursor = _Cursor(optional[field])
        for i in (i for i, k in enumerate(kinds) if k == kind):
            charset = charset_of(collations[i]) if collations[i] else "utf8mb4"
            decode = decoder_of("utf8mb4" if charset == "binary" else charset)
            label_count = cursor.length()
            if label_count > LABELS_MAX[kind]:
                raise damaged(f"column {i + 1} has {label_count} labels")
            raw = [cursor.take(cursor.length()) for _ in range(label_count)]
            try:
                labels[i] = tuple(map(decode, raw))
                "".join(labels[i]).encode()
            except UnicodeError as error:
                raise DecodeError(
                    f"labels of column {i + 1} are not valid {charset}: {error}",
                    hint="the table's definition is damaged; ALTER the column",
                ) from error
    return labels


def _per_kind(data: bytes | None, kinds: list[int], kind: int) -> dict[int, int]:
    """One length-encoded number for each column of a kind."""
    if data is None:
        return {}
    numbers = _Cursor(data).lengths()
    columns = (i for i, k in enumerate(kinds) if k == kind)
    return dict(zip(columns, numbers, strict=False))


def _primary_key(optional: dict[int, bytes], count: int) -> tuple[int, ...]:
    if _SIMPLE_KEY in optional:
        key = tuple(_Cursor(optional[_SIMPLE_KEY]).lengths())
    elif _PREFIX_KEY in optional:
        key = tuple(list(_Cursor(optional[_PREFIX_KEY]).lengths())[::2])
    else:
        return ()
    if len(set(key)) < len(key) or not all(i < count for i in key):
        raise damaged(f"its primary key is columns {', '.join(map(str, key))} of {count}")
    return key


assert BINARY == 63
