"""MariaDB's UUID, INET4 and INET6 as text: what the server itself shows of their bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.capture import shapes as t

_MAPPED, _COMPATIBLE = bytes(10) + b"\xff\xff", bytes(12)


def _uuid(raw: bytes) -> bytes:
    digits = raw.hex().encode()
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _inet4(raw: bytes) -> bytes:
    return ".".join(map(str, raw)).encode()


def _inet6(raw: bytes) -> bytes:
    head, tail = raw[:12], raw[12:]
    if head == _MAPPED:
        return b"::ffff:" + _inet4(tail)
    if head == _COMPATIBLE and any(tail[:2]):
        return b"::" + _inet4(tail)
    words = [raw[i] << 8 | raw[i + 1] for i in range(0, 16, 2)]
    begin, length = _longest_zeros(words)
    parts = [f"{word:x}" for word in words]
    if not length:
        return ":".join(parts).encode()
    return f"{':'.join(parts[:begin])}::{':'.join(parts[begin + length :])}".encode()


def _longest_zeros(words: Sequence[int]) -> tuple[int, int]:
    """Begin and length of the longest run of zeros, the first of equals; even of one, unlike RFC
    5952."""
    best = (0, 0)
    at = 0
    while at < len(words):
        end = at
        while end < len(words) and not words[end]:
            end += 1
        if end - at > best[1]:
            best = (at, end - at)
        at = end + 1
    return best


_UUID_TYPE: Final = {
    "type": "string",
    "connect.version": 1,
    "connect.name": "io.debezium.data.Uuid",
}

LOGICAL: Final[Mapping[str, tuple[int, Any, Callable[[bytes], bytes]]]] = {
    "uuid": (16, _UUID_TYPE, _uuid),
    "inet6": (16, "string", _inet6),
    "inet4": (4, "string", _inet4),
}
"""Data type → bytes, Avro type, bytes to text. Debezium has no form for addresses of MariaDB;
they are strings as its connector for PostgreSQL has them."""


def is_ambiguous(column: t.Column) -> bool:
    """Whether a TABLE_MAP leaves open if this is BINARY or one of these types."""
    return (
        column.type == t.STRING
        and column.charset in ("binary", "")
        and any(column.length == size for size, _, _ in LOGICAL.values())
    )
