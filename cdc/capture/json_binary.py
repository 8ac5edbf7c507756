# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
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

import cython

from cdc.capture.decimals import decimal_text, decimal_unscaled
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.opcodes import SLACK
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.libc.string import memcpy
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.opcodes import SLACK

DEPTH_MAX = 100
"""The server's own bound."""
NUMBER_BYTES_MAX = 20
"""Of a number of 64 bits, with its sign."""

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = (
    5, 6, 7, 8, 9, 10, 11, 12, 15,
)  # fmt: skip
_LITERALS = (b"null", b"true", b"false")
_NEWDECIMAL, _DATE, _TIME, _DATETIME, _TIMESTAMP = 246, 10, 11, 12, 7
_QUOTE, _BACKSLASH, _SPACE = 0x22, 0x5C, 0x20
_COMMA, _COLON, _MINUS, _ZERO = 0x2C, 0x3A, 0x2D, 0x30

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
    return json_utf8(data).decode()


def json_utf8(data: bytes) -> bytes:
    """The same text in UTF-8."""
    if not data:
        return b"null"
    value = _Value(data)
    try:
        value.write(data[0], 1, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise DecodeError(
            f"a JSON value of {len(data)} bytes can't be read: {error}",
            hint="the binlog is damaged, or the value is; correct the row at the source",
        ) from error
    return value.out.value()


@cython.cclass
class _Value:
    """A binary value, and the text that is made of it.

    No byte of the value may be used twice, or small bytes make huge text."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.unused = self.size
        self.length = 0
        self.out = Out(2 * self.size + SLACK)
        if cython.compiled:
            self.p = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(data))
        else:
            self.p = data

    @cython.cfunc
    @cython.exceptval(-1)
    def write(self, kind: cython.int, at: cython.Py_ssize_t, depth: cython.int) -> cython.int:
        """Append the text of the value of a kind at a place."""
        if depth > DEPTH_MAX:
            raise IndexError(f"nested deeper than {DEPTH_MAX}")
        if _INT16 <= kind <= _UINT64:
            self.write_number(kind, at)
        elif kind == _STRING:
            at = self.read_length(at)
            self.use(self.length)
            self.write_quoted(at, self.length)
        elif kind == _LITERAL:
            self.need(at, 1)
            if self.p[at] >= 3:
                raise IndexError(f"literal {self.p[at]} is not known")
            self.out.write(_LITERALS[self.p[at]])
        elif kind == _DOUBLE:
            self.need(at, 8)
            double: cython.double = 0
            if cython.compiled:
                memcpy(cython.address(double), self.p + at, 8)
            else:
                double = struct.unpack_from("<d", self.data, at)[0]
            self.out.write(_double(double).encode())
        elif kind == _OPAQUE:
            self.need(at, 1)
            column_type: cython.int = self.p[at]
            at = self.read_length(at + 1)
            self.use(self.length)
            self.need(at, self.length)
            self.out.write(_opaque(column_type, self.data[at : at + self.length]).encode())
        elif kind <= _LARGE_ARRAY:
            self.write_container(kind, at, depth)
        else:
            raise IndexError(f"value kind {kind} is not known")
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write_container(
        self, kind: cython.int, at: cython.Py_ssize_t, depth: cython.int
    ) -> cython.int:
        """An object or array: counts, key and value entries, keys, values; offsets from `at`."""
        wide: cython.bint = kind in (_LARGE_OBJECT, _LARGE_ARRAY)
        is_object: cython.bint = kind in (_SMALL_OBJECT, _LARGE_OBJECT)
        width: cython.int = 4 if wide else 2
        count: cython.Py_ssize_t = self.number(at, width)
        keys_at: cython.Py_ssize_t = at + 2 * width
        values_at: cython.Py_ssize_t = keys_at + (count * (width + 2) if is_object else 0)
        entry: cython.Py_ssize_t
        offset: cython.Py_ssize_t
        i: cython.Py_ssize_t
        if values_at + count * (1 + width) > self.size:
            raise IndexError(f"{count} members don't fit into {self.size} bytes")
        self.use(values_at + count * (1 + width) - at)
        self.write_byte(0x7B if is_object else 0x5B)
        for i in range(count):
            if i:
                self.write_byte(_COMMA)
            if is_object:
                entry = keys_at + i * (width + 2)
                offset = self.number(entry, width)
                self.length = self.number(entry + width, 2)
                self.use(self.length)
                self.write_quoted(at + offset, self.length)
                self.write_byte(_COLON)
            entry = values_at + i * (1 + width)
            member: cython.int = self.p[entry]
            if member in (_LITERAL, _INT16, _UINT16) or (wide and member in (_INT32, _UINT32)):
                self.write(member, entry + 1, depth + 1)
                continue
            offset = self.number(entry + 1, width)
            if not offset:
                raise IndexError("a member refers to its own container")
            self.write(member, at + offset, depth + 1)
        self.write_byte(0x7D if is_object else 0x5D)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write_number(self, kind: cython.int, at: cython.Py_ssize_t) -> cython.int:
        """Signed kinds are odd; each width has one of both."""
        size: cython.int = 2 << (kind - _INT16) // 2
        self.need(at, size)
        if cython.compiled:
            # A third of a document's values: no Python object for each.
            i: cython.int
            value: cython.ulonglong = 0
            power: cython.ulonglong = 1
            for i in range(size):
                value |= cython.cast(cython.ulonglong, self.p[at + i]) << (8 * i)
            self.out.reserve(NUMBER_BYTES_MAX)
            if kind % 2 == 1 and value >> (8 * size - 1):
                self.out.byte(_MINUS)
                # Two's complement of this width; what is above stays zero.
                value = (~value + 1) << (64 - 8 * size) >> (64 - 8 * size)
            while value // power >= 10:
                power *= 10
            while power:
                self.out.byte(_ZERO + value // power % 10)
                power //= 10
            return 0
        number = int.from_bytes(self.data[at : at + size], "little", signed=kind % 2 == 1)
        self.out.write(b"%d" % number)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write_quoted(self, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.int:
        """A string of the value, escaped."""
        self.need(at, length)
        if cython.compiled:
            # Most strings need no escape: they are copied as they lie, once they are looked at.
            i: cython.Py_ssize_t
            every: cython.uchar = 0
            byte: cython.uchar
            for i in range(at, at + length):
                byte = self.p[i]
                if byte < _SPACE or byte in (_QUOTE, _BACKSLASH):
                    break
                every |= byte
            else:
                if every & 0x80:
                    self.data[at : at + length].decode("utf-8")  # raises, if it isn't
                self.out.reserve(length)
                self.out.byte(_QUOTE)
                self.out.copy(self.p, at, length)
                self.out.byte(_QUOTE)
                return 0
        text = self.data[at : at + length].decode("utf-8").translate(_ESCAPES)
        self.out.write(b'"%b"' % text.encode())
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write_byte(self, byte: cython.uchar) -> cython.int:
        self.out.reserve(1)
        self.out.byte(byte)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def read_length(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the bytes begin whose `length` stands here, 7 bits a byte, lowest first."""
        i: cython.int
        byte: cython.Py_ssize_t
        self.length = 0
        for i in range(5):
            self.need(at, 1)
            byte = self.p[at]
            at += 1
            self.length |= (byte & 0x7F) << (7 * i)
            if not byte & 0x80:
                return at
        raise IndexError("a length is longer than 5 bytes")

    @cython.cfunc
    @cython.exceptval(-1)
    def number(self, at: cython.Py_ssize_t, width: cython.int) -> cython.Py_ssize_t:
        """An unsigned number of 2 or 4 bytes, lowest first."""
        self.need(at, width)
        low: cython.Py_ssize_t = self.p[at] | self.p[at + 1] << 8
        if width == 2:
            return low
        high: cython.Py_ssize_t = self.p[at + 2] | self.p[at + 3] << 8
        return low | high << 16

    @cython.cfunc
    @cython.exceptval(-1)
    def need(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """Raise IndexError unless so many bytes are there."""
        if size > self.size - at:
            raise IndexError(f"{size} bytes at {at} run past the end")
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def use(self, size: cython.Py_ssize_t) -> cython.int:
        """`size` bytes of the value were read."""
        self.unused -= size
        if self.unused < 0:
            raise IndexError("its members overlap")
        return 0


def _double(value: float) -> str:
    """Plain digits: the shortest that read back, or all of them where Java would use an E."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    return format(Decimal(value), "f")


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
