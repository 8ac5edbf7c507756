"""Events that stand in no file: what a server sends in front of a file's own."""

from __future__ import annotations

import struct
import zlib

from cdc.capture import binlog

_CHECKSUM_KIND_AT = -1 - binlog.CHECKSUM_BYTES


def rotate(name: str, pos: int, is_checksummed: bool) -> bytes:
    """A ROTATE that says which file's events follow; with a checksum if those before had one."""
    body = struct.pack("<Q", pos) + name.encode()
    size = binlog.HEADER_BYTES + len(body) + binlog.CHECKSUM_BYTES * is_checksummed
    head = struct.pack("<IBIIIH", 0, binlog.ROTATE, 0, size, 0, binlog.ARTIFICIAL_FLAG)
    return _sealed(head + body, is_checksummed)


def repeated(description: bytes) -> bytes:
    """A file's format description, for a reading that begins further on: without a position."""
    flags = int.from_bytes(description[17:19], "little") & ~binlog.IN_USE_FLAG
    event = description[:13] + bytes(4) + struct.pack("<H", flags) + description[19:]
    if not is_checksummed(description):
        return event
    return _sealed(event[: -binlog.CHECKSUM_BYTES], True)


def is_checksummed(description: bytes) -> bool:
    """Whether the events behind a format description have checksums."""
    return description[_CHECKSUM_KIND_AT] == 1


def _sealed(event: bytes, is_checksummed: bool) -> bytes:
    return event + struct.pack("<I", zlib.crc32(event)) if is_checksummed else event
