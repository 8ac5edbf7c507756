"""MySQL's binary JSON, written from Python values: an encoder of the tests' own."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Opaque:
    """A value of an SQL type inside JSON."""

    type: int
    data: bytes


@dataclass(frozen=True)
class Number:
    """An integer in a given one of the format's kinds (5–10)."""

    kind: int
    value: int


_FORMATS = {5: "<h", 6: "<H", 7: "<i", 8: "<I", 9: "<q", 10: "<Q"}
_LITERALS = {None: 0, True: 1, False: 2}


def json_binary(value: Any, *, wide: bool = False) -> bytes:
    """Type byte and body; `wide` writes containers in their large form."""
    kind, body = _encoded(value, wide)
    return bytes([kind]) + body


def _encoded(value: Any, wide: bool) -> tuple[int, bytes]:
    if value is None or isinstance(value, bool):
        return 4, bytes([_LITERALS[value]])
    if isinstance(value, int):
        kind = next(k for k in (5, 6, 7, 8, 9, 10) if _fits(k, value))
        return kind, struct.pack(_FORMATS[kind], value)
    if isinstance(value, Number):
        return value.kind, struct.pack(_FORMATS[value.kind], value.value)
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, str):
        raw = value.encode()
        return 12, _seven_bits(len(raw)) + raw
    if isinstance(value, Opaque):
        return 15, bytes([value.type]) + _seven_bits(len(value.data)) + value.data
    return (0 if isinstance(value, dict) else 2) + wide, _container(value, wide)


def _fits(kind: int, value: int) -> bool:
    try:
        struct.pack(_FORMATS[kind], value)
    except struct.error:
        return False
    return True


def _seven_bits(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def _container(value: Any, wide: bool) -> bytes:
    width, number = (4, "<I") if wide else (2, "<H")
    keys = [key.encode() for key in value] if isinstance(value, dict) else []
    members = list(value.values()) if isinstance(value, dict) else value
    at = 2 * width + len(keys) * (width + 2) + len(members) * (1 + width)
    key_entries = b""
    for key in keys:
        key_entries += struct.pack(number, at) + struct.pack("<H", len(key))
        at += len(key)
    value_entries, bodies = b"", b""
    for member in members:
        kind, body = _encoded(member, wide)
        if kind in (4, 5, 6) or (wide and kind in (7, 8)):
            value_entries += bytes([kind]) + body.ljust(width, b"\0")
        else:
            value_entries += bytes([kind]) + struct.pack(number, at)
            bodies += body
            at += len(body)
    head = struct.pack(number, len(members)) + struct.pack(number, at)
    return head + key_entries + value_entries + b"".join(keys) + bodies
