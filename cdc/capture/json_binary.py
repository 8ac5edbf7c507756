"""MySQL's binary JSON as text, written as Debezium writes it.

Format: MySQL's json_binary. Keys stay in the server's order. Doubles read back to the same
double; opaque decimals are numbers, opaque dates and times are strings, other opaque bytes
are base64 strings.
"""

from __future__ import annotations

import base64
import json
import struct
from decimal import Decimal

from cdc.capture.decimals import decimal_text, decimal_unscaled
from cdc.errors import DecodeError

DEPTH_MAX = 100
"""The server's own bound."""

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = (
    5, 6, 7, 8, 9, 10, 11, 12, 15,
)  # fmt: skip
_NUMBERS = {
    _INT16: "<h", _UINT16: "<H", _INT32: "<i", _UINT32: "<I", _INT64: "<q", _UINT64: "<Q",
}  # fmt: skip
_LITERALS = {0: "null", 1: "true", 2: "false"}
_NEWDECIMAL, _DATE, _TIME, _DATETIME, _TIMESTAMP = 246, 10, 11, 12, 7

_ESCAPES = str.maketrans(
    {
        **{chr(i): f"\\u{i:04X}" for i in range(32)},
        '"': '\\"',
        "\\": "\\\\",
        "\b": "\\b",
        "\t": "\\t",
        "\n": "\\n",
        "\f": "\\f",
        "\r": "\\r",
    }
)


def json_text(data: bytes) -> str:
    """The JSON text of a binary value; of no bytes, `null`."""
    if not data:
        return "null"
    parts = _Parts(len(data))
    try:
        _write(data[0], data, 1, parts, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise DecodeError(
            f"a JSON value of {len(data)} bytes can't be read: {error}",
            hint="the binlog is damaged, or the value is; correct the row at the source",
        ) from error
    return "".join(parts)


class _Parts(list[str]):
    """The text's parts; no byte of the value may be used twice, or small bytes make huge text."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.unused = size

    def use(self, size: int) -> None:
        """`size` bytes of the value were read."""
        self.unused -= size
        if self.unused < 0:
            raise IndexError("its members overlap")


def _write(kind: int, data: bytes, at: int, parts: _Parts, depth: int) -> None:
    """Append the text of the value of a kind at a place."""
    if depth > DEPTH_MAX:
        raise IndexError(f"nested deeper than {DEPTH_MAX}")
    if kind in _NUMBERS:
        parts.append(str(struct.unpack_from(_NUMBERS[kind], data, at)[0]))
    elif kind == _STRING:
        length, at = _length(data, at)
        parts.use(length)
        parts.append(_quoted(_slice(data, at, length).decode("utf-8")))
    elif kind == _LITERAL:
        parts.append(_literal(data[at]))
    elif kind == _DOUBLE:
        parts.append(_double(struct.unpack_from("<d", data, at)[0]))
    elif kind == _OPAQUE:
        length, start = _length(data, at + 1)
        parts.use(length)
        parts.append(_opaque(data[at], _slice(data, start, length)))
    elif kind <= _LARGE_ARRAY:
        _write_container(kind, data, at, parts, depth)
    else:
        raise IndexError(f"value kind {kind} is not known")


def _write_container(kind: int, data: bytes, at: int, parts: _Parts, depth: int) -> None:
    """An object or array: counts, key entries, value entries, keys, values; offsets from `at`."""
    wide = kind in (_LARGE_OBJECT, _LARGE_ARRAY)
    is_object = kind in (_SMALL_OBJECT, _LARGE_OBJECT)
    width, number = (4, "<I") if wide else (2, "<H")
    count = struct.unpack_from(number, data, at)[0]
    keys_at = at + 2 * width
    values_at = keys_at + (count * (width + 2) if is_object else 0)
    if values_at + count * (1 + width) > len(data):
        raise IndexError(f"{count} members don't fit into {len(data)} bytes")
    parts.use(values_at + count * (1 + width) - at)
    parts.append("{" if is_object else "[")
    for i in range(count):
        if i:
            parts.append(",")
        if is_object:
            entry = keys_at + i * (width + 2)
            offset = struct.unpack_from(number, data, entry)[0]
            length = struct.unpack_from("<H", data, entry + width)[0]
            parts.use(length)
            parts.append(_quoted(_slice(data, at + offset, length).decode("utf-8")))
            parts.append(":")
        entry = values_at + i * (1 + width)
        member = data[entry]
        if _is_inlined(member, wide):
            _write(member, data, entry + 1, parts, depth + 1)
        else:
            offset = struct.unpack_from(number, data, entry + 1)[0]
            if not offset:
                raise IndexError("a member refers to its own container")
            _write(member, data, at + offset, parts, depth + 1)
    parts.append("}" if is_object else "]")


def _is_inlined(kind: int, wide: bool) -> bool:
    return kind in (_LITERAL, _INT16, _UINT16) or (wide and kind in (_INT32, _UINT32))


def _slice(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise IndexError(f"{length} bytes at {at} run past the end")
    return data[at : at + length]


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length of 7 bits a byte, lowest first; and where the bytes begin."""
    length = 0
    for i in range(5):
        byte = data[at + i]
        length |= (byte & 0x7F) << (7 * i)
        if not byte & 0x80:
            return length, at + i + 1
    raise IndexError("a length is longer than 5 bytes")


def _literal(code: int) -> str:
    if code not in _LITERALS:
        raise IndexError(f"literal {code} is not known")
    return _LITERALS[code]


def _double(value: float) -> str:
    """Plain digits: the shortest that read back, or all of them where Java would use an E."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    return format(Decimal(value), "f")


def _quoted(text: str) -> str:
    return '"' + text.translate(_ESCAPES) + '"'


def _opaque(column_type: int, data: bytes) -> str:
    if column_type == _NEWDECIMAL:
        return decimal_text(decimal_unscaled(data[2:], data[0], data[1]), data[1])
    if column_type in (_DATE, _DATETIME, _TIMESTAMP, _TIME):
        return f'"{_moment(column_type, struct.unpack_from("<q", data)[0])}"'
    return json.dumps(base64.b64encode(data).decode())


def _moment(column_type: int, packed: int) -> str:
    """DATE, TIME, DATETIME in MySQL's packed form: 24 bits of microseconds below the rest."""
    sign = "-" if packed < 0 else ""
    whole, micros = abs(packed) >> 24, abs(packed) & 0xFFFFFF
    fraction = f".{micros:06d}".rstrip("0") if micros else ""
    second, minute = whole & 63, whole >> 6 & 63
    if column_type == _TIME:
        return f"{sign}{whole >> 12 & 1023:02d}:{minute:02d}:{second:02d}{fraction}"
    year, month = divmod(whole >> 22, 13)
    date = f"{year:04d}-{month:02d}-{whole >> 17 & 31:02d}"
    if column_type == _DATE:
        return date
    return f"{date} {whole >> 12 & 31:02d}:{minute:02d}:{second:02d}{fraction}"
