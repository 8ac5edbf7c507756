"""Values of variable size that need more than a copy: text, JSON, geometry, compressed ones."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from cdc.capture import opcodes
from cdc.capture.avro_out import avro_string
from cdc.capture.json_binary import json_utf8
from cdc.errors import DecodeError

VALUE_BYTES_MAX = 1 << 30
"""Inflated size of one compressed value: MySQL's own bound for a packet."""

REPLACED_MAX = 1000
"""Stretches of unknown bytes that one value may have; what follows them is one more."""

_POINT_BYTES = 25
"""SRID, byte order, type, two doubles."""


def variable_value(kind: int, value: bytes, length: int, convert: Any) -> bytes | None:
    """The Avro bytes of a value; None if it is none (empty JSON, a geometry that is cut off).

    `length` is what a BINARY is filled up to, or a GEOMETRY's fields that are always null;
    `convert` the character set's decoder, or what makes text of bytes. Raises UnicodeError for
    text that the character set doesn't know, DecodeError for damaged values."""
    if kind in (opcodes.COMPRESSED_BYTES, opcodes.COMPRESSED_TEXT):
        value = _inflate(value)
    if kind in (opcodes.TEXT, opcodes.COMPRESSED_TEXT):
        return avro_string(convert(value))
    if kind in (opcodes.BYTES, opcodes.COMPRESSED_BYTES):
        value = value.ljust(length, b"\0")  # BINARY loses its trailing zeros
        return avro_bytes(convert(value) if convert else value)
    if kind == opcodes.JSON:
        return avro_bytes(json_utf8(value)) if value else None
    if kind == opcodes.VECTOR:
        count = len(value) // 4
        return avro_long(count) + value[: 4 * count] + b"\0" if count else b"\0"
    return _geometry(value, is_point=kind == opcodes.POINT, nulls=length)


def replaced_text(kind: int, value: bytes, decode: Any) -> str:
    """Text with U+FFFD for each stretch of bytes that its character set doesn't know."""
    if kind == opcodes.COMPRESSED_TEXT:
        value = _inflate(value)
    if decode is None:
        return value.decode("utf-8", "replace")
    parts: list[str] = []
    while value:
        try:
            parts.append(decode(value))
            break
        except UnicodeDecodeError as error:
            if len(parts) > 2 * REPLACED_MAX:
                parts.append("\ufffd")
                break
            parts += [decode(value[: error.start]), "\ufffd"]
            value = value[max(error.end, error.start + 1) :]
    return "".join(parts)


def avro_long(value: int) -> bytes:
    """A zigzag varint."""
    number = (value << 1 ^ value >> 63) & 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def avro_bytes(value: bytes) -> bytes:
    """Bytes as Avro writes them: length, bytes."""
    return avro_long(len(value)) + value


def _geometry(value: bytes, *, is_point: bool, nulls: int) -> bytes | None:
    """SRID, then WKB; a point's coordinates come first."""
    if len(value) < (_POINT_BYTES if is_point else 4):
        return None
    srid = int.from_bytes(value[:4], "little", signed=True)
    wkb = value[4:]
    parts = [avro_bytes(wkb), b"\2" + avro_long(srid) if srid else b"\0"]
    if is_point:
        order = ">" if wkb[0] == 0 else "<"
        parts.insert(0, struct.pack("<dd", *struct.unpack(f"{order}dd", wkb[5:21])) + b"\2")
    return b"".join(parts) + nulls * b"\0"


def _inflate(value: bytes) -> bytes:
    """A value of a MariaDB COMPRESSED column: header, length if compressed, zlib stream."""
    if not value:
        return value
    if not value[0] & 0x80:
        return value[1:]
    size_bytes = value[0] & 0x07
    size = int.from_bytes(value[1 : 1 + size_bytes], "big")
    wbits = -zlib.MAX_WBITS if value[0] & 0x08 else zlib.MAX_WBITS
    try:
        if size > VALUE_BYTES_MAX:
            raise zlib.error(f"{size} bytes announced")
        inflated = zlib.decompressobj(wbits).decompress(value[1 + size_bytes :], size + 1)
        if len(inflated) != size:
            raise zlib.error(f"{len(inflated)} bytes instead of {size}")
    except zlib.error as error:
        raise DecodeError(
            f"a compressed value can't be inflated: {error}",
            hint="the binlog is damaged; check the source's disk",
        ) from error
    return inflated
