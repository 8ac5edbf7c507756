"""MariaDB's compressed events (`log_bin_compress`): the same bodies, their tails under zlib.

A compressed tail begins with a byte that holds the algorithm and how many bytes its inflated
size takes, then that size, big-endian. Pure: a body in, the plain event's body out.
"""

from __future__ import annotations

import zlib

from cdc.capture import binlog, query_event
from cdc.errors import DecodeError

INFLATED_BYTES_MAX = 1 << 30
"""Of one event, as the servers bound their packets."""

_ZLIB = 0x80
_ALGORITHM_BITS, _SIZE_BYTES_BITS = 0xF0, 0x07
_TABLE_ID_AND_FLAGS_BYTES = 8


def plain_query(body: bytes) -> bytes:
    """The body of the QUERY event that a QUERY_COMPRESSED stands for."""
    try:
        text_at = query_event.text_at(body)
    except ValueError as error:
        raise _damaged(str(error)) from error
    return _with_inflated_tail(body, text_at)


def plain_rows(kind: int, body: bytes) -> tuple[int, bytes]:
    """Type and body of the rows event that a compressed one stands for."""
    is_version_2 = kind >= binlog.MARIADB_WRITE_ROWS_COMPRESSED
    first, plain_first = (
        (binlog.MARIADB_WRITE_ROWS_COMPRESSED, binlog.WRITE_ROWS)
        if is_version_2
        else (binlog.MARIADB_WRITE_ROWS_COMPRESSED_V1, binlog.WRITE_ROWS_V1)
    )
    at = _TABLE_ID_AND_FLAGS_BYTES
    if is_version_2:
        at += int.from_bytes(body[at : at + 2], "little")
    columns = body[at] if at < len(body) else 0xFF
    at += 1
    if columns == 0xFC:
        columns = int.from_bytes(body[at : at + 2], "little")
        at += 2
    elif columns > 0xFC:
        raise _damaged("it doesn't say how many columns it has")
    is_update = kind - first == 1
    at += (columns + 7) // 8 * (2 if is_update else 1)
    return kind - first + plain_first, _with_inflated_tail(body, at)


def _with_inflated_tail(body: bytes, at: int) -> bytes:
    head = body[at] if at < len(body) else 0
    if head & _ALGORITHM_BITS != _ZLIB:
        raise _damaged("it isn't compressed by zlib")
    packed_at = at + 1 + (head & _SIZE_BYTES_BITS)
    size = int.from_bytes(body[at + 1 : packed_at], "big")
    if size > INFLATED_BYTES_MAX:
        raise _damaged(f"it claims {size} bytes; the bound is {INFLATED_BYTES_MAX}")
    try:
        # One byte more than claimed, so that a stream that holds more shows.
        stream = zlib.decompressobj()
        inflated = stream.decompress(memoryview(body)[packed_at:], size + 1)
    except zlib.error as error:
        raise _damaged(str(error)) from error
    if len(inflated) != size or not stream.eof:
        raise _damaged(f"it claims {size} bytes and holds {len(inflated)}")
    return body[:at] + inflated


def _damaged(what: str) -> DecodeError:
    return DecodeError(
        f"a compressed event can't be inflated: {what}",
        hint="the binlog is damaged; compare with mariadb-binlog --verify-binlog-checksum",
    )
