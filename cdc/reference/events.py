"""Binlog events as they arrive: header, place, checksum, and the few bodies read here.

mysql-replication ignores checksums, positions beyond 4 GiB and commit times, fails on status
variables that it doesn't know, and drops anonymous GTIDs: so these are read here.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cdc.capture import binlog
from cdc.errors import DecodeError, SourceError

CRC32 = 1
_ROWS = frozenset(
    {
        binlog.WRITE_ROWS_V1, binlog.UPDATE_ROWS_V1, binlog.DELETE_ROWS_V1,
        binlog.WRITE_ROWS, binlog.UPDATE_ROWS, binlog.DELETE_ROWS,
    }
)  # fmt: skip
_HAS_ORIGINAL = 1 << 55


@dataclass(frozen=True, slots=True)
class Event:
    """One event and where it stands."""

    kind: int
    flags: int
    seconds: int
    server_id: int
    file: str
    begin: int
    end: int
    """64 bits; equal to `begin` for an event that isn't in the file."""
    body: bytes
    """Without header and checksum."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.begin}"

    @property
    def is_rows(self) -> bool:
        return self.kind in _ROWS

    @property
    def is_artificial(self) -> bool:
        """The server made it for this reading; its time says nothing."""
        return bool(self.flags & binlog.ARTIFICIAL_FLAG)


class Course:
    """Follows the place in the binlog by the events' sizes and positions."""

    def __init__(self, file: str, position: int) -> None:
        self.file, self.position = file, position
        self._is_described = False

    def event(self, data: bytes) -> Event:
        """The event in `data`, its checksum verified."""
        if len(data) < binlog.HEADER_BYTES:
            raise self._damaged(f"an event of {len(data)} bytes")
        seconds, kind, server_id, size, low, flags = struct.unpack_from("<IBIIIH", data)
        if size != len(data):
            raise self._damaged(f"an event claims {size} bytes, {len(data)} came")
        begin = self._move(kind, size, low, flags)
        body = self._verified(kind, data)
        if kind == binlog.ROTATE:
            self.file = body[8:].decode("utf-8", "replace")
            self.position = int.from_bytes(body[:8], "little")
        return Event(kind, flags, seconds, server_id, self.file, begin, self.position, body)

    def _move(self, kind: int, size: int, low: int, flags: int) -> int:
        """Go to the event's end; gives its begin."""
        is_elsewhere = low == 0 and kind in (
            binlog.FORMAT_DESCRIPTION, binlog.HEARTBEAT, binlog.HEARTBEAT_V2,
        )  # fmt: skip
        if flags & binlog.ARTIFICIAL_FLAG or is_elsewhere:
            return self.position
        if low == 0:  # MariaDB from 11.4 leaves it out inside transactions
            self.position += size
        else:
            end = self.position >> 32 << 32 | low
            self.position = end + (1 << 32 if end < self.position else 0)
        if kind in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2):
            return self.position
        return self.position - size

    def _verified(self, kind: int, data: bytes) -> bytes:
        head, checksum = data[:-4], int.from_bytes(data[-4:], "little")
        if kind == binlog.FORMAT_DESCRIPTION:
            if data[-5] != CRC32:
                raise SourceError(
                    f"the binlog at {self.file}:{self.position} has no checksums, and without"
                    " them mysql-replication loses metadata",
                    hint="SET GLOBAL binlog_checksum = CRC32, then FLUSH BINARY LOGS; or leave out"
                    " source.reader",
                )
            self._is_described = True
            in_use = data[:17] + bytes([data[17] & ~binlog.IN_USE_FLAG]) + data[18:-4]
            if checksum not in (zlib.crc32(head), zlib.crc32(in_use)):
                raise self._damaged("the checksum of the format description is wrong")
        elif zlib.crc32(head) != checksum:
            if self._is_described:
                raise self._damaged(f"the checksum of {binlog.name_of(kind)} is wrong")
            return data[binlog.HEADER_BYTES :]  # the first ROTATE may come without one
        return head[binlog.HEADER_BYTES :]

    def _damaged(self, what: str) -> DecodeError:
        return DecodeError(
            f"{what} at {self.file}:{self.position}",
            hint="compare with mysqlbinlog --verify-binlog-checksum",
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """What a QUERY event says."""

    thread: int
    database: str
    text: str
    variables: bytes
    """The status variables: what of the session the text rests on."""


def statement_in(body: bytes) -> Statement:
    """A QUERY event's body."""
    thread, _, database_bytes, _, status_bytes = struct.unpack_from("<IIBHH", body)
    database_at = 13 + status_bytes
    text_at = database_at + database_bytes + 1
    return Statement(
        thread,
        body[database_at : text_at - 1].decode("utf-8", "replace"),
        body[text_at:].decode("utf-8", "replace"),
        body[13:database_at],
    )


def commit_micros_in(body: bytes) -> int:
    """When a MySQL GTID event's transaction was first committed; 0 where it doesn't say."""
    if len(body) < 49:
        return 0
    immediate = int.from_bytes(body[42:49], "little")
    if immediate & _HAS_ORIGINAL and len(body) >= 56:
        return int.from_bytes(body[49:56], "little")
    return immediate & (_HAS_ORIGINAL - 1)
