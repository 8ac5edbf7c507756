# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Where the stream is in its binlog, event by event: file, 64-bit position, time, checksums."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cython

from cdc.capture import binlog
from cdc.capture.avro_out import avro_string
from cdc.capture.checkpoint import LastTransaction
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.checksum import crc32
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
else:
    from cdc.capture.checksum import crc32

# Declared, so that the compiled form compares numbers and looks nothing up per event.
QUERY = cython.declare(cython.int, binlog.QUERY)
ROTATE = cython.declare(cython.int, binlog.ROTATE)
FORMAT_DESCRIPTION = cython.declare(cython.int, binlog.FORMAT_DESCRIPTION)
HEARTBEAT = cython.declare(cython.int, binlog.HEARTBEAT)
HEARTBEAT_V2 = cython.declare(cython.int, binlog.HEARTBEAT_V2)
GTID = cython.declare(cython.int, binlog.GTID)
ANONYMOUS_GTID = cython.declare(cython.int, binlog.ANONYMOUS_GTID)
GTID_TAGGED = cython.declare(cython.int, binlog.GTID_TAGGED)
MARIADB_GTID = cython.declare(cython.int, binlog.MARIADB_GTID)
QUERY_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_QUERY_COMPRESSED)
ARTIFICIAL_FLAG = cython.declare(cython.int, binlog.ARTIFICIAL_FLAG)
HEADER_BYTES = cython.declare(cython.Py_ssize_t, binlog.HEADER_BYTES)
CHECKSUM_BYTES = cython.declare(cython.Py_ssize_t, binlog.CHECKSUM_BYTES)
SENDER_BYTES = cython.declare(cython.Py_ssize_t, binlog.SENDER_BYTES)
NAMED_BYTES_MIN = cython.declare(cython.Py_ssize_t, 31)
"""Of a ROTATE: header, position, some name, and perhaps a checksum."""

FORMAT_DESCRIPTION_BYTES_MIN = binlog.HEADER_BYTES + 2 + 50 + 4 + 1 + 1 + binlog.CHECKSUM_BYTES
FILE_NAME_MAX = 512
"""The servers' own bound."""


@cython.cclass
class Cursor:
    """Goes over events; what it says is of the event that `step` came to last."""

    def __init__(self) -> None:
        self.is_inside = False
        """The events come out of another one: all stand at its place."""

    def start(self, file: str, position: int, server_seconds: int, last: Any = None) -> None:
        """Begin at a place; `last` as the checkpoint there has it."""
        self.server_seconds = server_seconds
        self.last = last
        self.opened_file = ""
        self.file_seconds = self.opened_file_seconds = 0
        self.opened_position = self.opened_digest = 0
        self.opened_events = b""
        """What the event lies in until its digest is asked for."""
        self.checksummed = False
        self.is_described = False
        """True once a format description was seen: `checksummed` is known, not assumed."""
        self._enter(file, position)

    def _enter(self, file: str, position: int) -> None:
        self.file = file
        self.avro_file = avro_string(file)
        self.position = self.event_position = position

    def place(self) -> str:
        """file:position of the event, for people."""
        return f"{self.file}:{self.event_position}"

    def damaged(self, what: str) -> DecodeError:
        """The error for bytes that no server would write."""
        return DecodeError(
            f"{what} at {self.place()}",
            hint=binlog.DAMAGED_HINT,
        )

    def come_to_statement(self, events: bytes, at: int) -> int:
        """Step over events to a ROTATE, a statement that isn't BEGIN, or the last one; where the
        next one begins. For callers that aren't compiled."""
        data: cython.p_const_uchar
        place: cython.Py_ssize_t = at
        total: cython.Py_ssize_t = len(events)
        if cython.compiled:
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events))
        else:
            data = events
        while place < total:
            place = self.step(events, data, place, total)
            if self.kind == QUERY:
                text_at: cython.Py_ssize_t = self.body_end - 5
                if text_at < self.body_at or events[text_at - 1 : self.body_end] != b"\0BEGIN":
                    break
            elif self.kind == ROTATE or self.kind == QUERY_COMPRESSED:
                break
        return place

    def come_to_boundary(self, events: bytes, at: int) -> int:
        """Step over events to one that stands between transactions, or the last one; where the
        next one begins. It opens a transaction, names or describes a file, or is a heartbeat."""
        data: cython.p_const_uchar
        place: cython.Py_ssize_t = at
        total: cython.Py_ssize_t = len(events)
        if cython.compiled:
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events))
        else:
            data = events
        while place < total:
            place = self.step(events, data, place, total)
            if self.kind in (
                GTID,
                ANONYMOUS_GTID,
                GTID_TAGGED,
                MARIADB_GTID,
                ROTATE,
                FORMAT_DESCRIPTION,
                HEARTBEAT,
                HEARTBEAT_V2,
            ):
                break
        return place

    @cython.cfunc
    @cython.exceptval(-1)
    def step(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        total: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Come to the event at `at`; where the next one begins. `data` is `events` as octets."""
        size: cython.Py_ssize_t
        kind: cython.int
        flags: cython.int
        if total - at < HEADER_BYTES:
            raise self.damaged(f"{total - at} bytes are left where an event should begin")
        kind = data[at + 4]
        size = uint(data, at + 9, 4)
        flags = uint(data, at + 17, 2)
        if size < HEADER_BYTES or size > total - at:
            raise self.damaged(f"an event claims {size} bytes, {total - at} are there")
        if not self.is_inside:
            self.locate(kind, flags, size, uint(data, at + 13, 4))
        elif kind in (
            ROTATE,
            FORMAT_DESCRIPTION,
            HEARTBEAT,
            HEARTBEAT_V2,
            GTID,
            ANONYMOUS_GTID,
            GTID_TAGGED,
            MARIADB_GTID,
        ):
            raise self.damaged(f"{binlog.name_of(kind)} stands inside a transaction")
        self.kind, self.flags = kind, flags
        self.body_at, self.body_end = at + HEADER_BYTES, at + size
        self._check(events, data, at, size)
        if kind in (GTID, ANONYMOUS_GTID, GTID_TAGGED, MARIADB_GTID):
            self._opens(events, at)
        # A dump repeats the file's description, which is as old as the file.
        if not (self.is_inside or flags & ARTIFICIAL_FLAG) and kind not in (
            FORMAT_DESCRIPTION,
            HEARTBEAT,
            HEARTBEAT_V2,
        ):
            self.server_seconds = uint(data, at, 4)
        self.server_id = uint(data, at + 5, 4)
        return at + size

    @cython.cfunc
    @cython.exceptval(-1)
    def _check(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.int:
        """Take the checksum off the body, if events have one; DecodeError if it is wrong."""
        end: cython.Py_ssize_t = at + size
        if self.kind == FORMAT_DESCRIPTION:
            self._describe(events, at, end)
        elif not self.is_described and self.kind == ROTATE and size >= NAMED_BYTES_MIN:
            # A dump's first event comes before the word on checksums; it may have one.
            self.checksummed = crc32(events, at, end - CHECKSUM_BYTES) == uint(
                data, end - CHECKSUM_BYTES, 4
            )
        if not self.checksummed:
            return 0
        end -= CHECKSUM_BYTES
        if end < at + HEADER_BYTES:
            raise self.damaged(f"an event of {size} bytes has no room for a checksum")
        if crc32(events, at, end) != uint(data, end, 4) and not (
            self.kind == FORMAT_DESCRIPTION
            and _crc_of_open_file(events, at, end) == uint(data, end, 4)
        ):
            raise self.damaged(f"the checksum of {binlog.name_of(self.kind)} is wrong")
        self.body_end = end
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _opens(self, events: bytes, at: cython.Py_ssize_t) -> cython.int:
        """The event opens a transaction: remember where it lies, there are many."""
        self.opened_file, self.opened_file_seconds = self.file, self.file_seconds
        self.opened_position = self.event_position
        self.opened_events, self.opened_at = events, at
        self.opened_body_at, self.opened_body_end = self.body_at, self.body_end
        return 0

    def last_transaction(self, name: str, commit_micros: int) -> LastTransaction | None:
        """The last that was opened, given its name and time; None if none ever was."""
        if not self.opened_file:
            last: LastTransaction | None = self.last
            return last
        if self.opened_events:
            events, self.opened_events = self.opened_events, b""  # a batch in memory
            self.opened_digest = crc32(
                events, self.opened_at, self.opened_at + SENDER_BYTES
            ) ^ crc32(events, self.opened_body_at, self.opened_body_end)
        return LastTransaction(
            name,
            commit_micros,
            self.opened_file,
            self.opened_file_seconds,
            self.opened_position,
            self.opened_digest,
        )

    @cython.cfunc
    @cython.exceptval(check=False)
    def locate(
        self,
        kind: cython.int,
        flags: cython.int,
        size: cython.Py_ssize_t,
        log_position: cython.longlong,
    ) -> cython.void:
        """Where the event begins, and where the next one does, in 64 bits."""
        if flags & ARTIFICIAL_FLAG or (
            log_position == 0 and (kind in (FORMAT_DESCRIPTION, HEARTBEAT, HEARTBEAT_V2))
        ):
            self.event_position = self.position  # artificial: not in the file
        elif log_position:
            # 32 bits of a position that may have more: it only rises within a file.
            log_position += self.position >> 32 << 32
            if log_position < self.position:
                log_position += 4294967296
            self.position = log_position
            self.event_position = log_position - size
        else:  # MariaDB from 11.4 leaves it out inside transactions
            self.event_position = self.position
            self.position += size

    def _describe(self, events: bytes, at: int, end: int) -> None:
        """Whether events carry a checksum: the event's own word, not the server's variable."""
        if end - at < FORMAT_DESCRIPTION_BYTES_MIN:
            raise self.damaged(f"a format description of {end - at} bytes is too short")
        version = events[at + 21 : at + 71].split(b"\x00")[0].decode("latin-1")
        if struct.unpack_from("<H", events, at + 19)[0] != 4:
            raise DecodeError(
                f"the binlog at {self.place()} (server {version}) is not of format 4",
                hint="servers before MySQL 5.6 and MariaDB 10.0 can't be followed",
            )
        if events[end - 5] not in (0, 1):
            raise self.damaged(f"checksum algorithm {events[end - 5]} is not known")
        self.checksummed = events[end - 5] == 1
        self.is_described = True
        self.file_seconds = int.from_bytes(events[at : at + 4], "little")

    def rotate(self, body: bytes) -> None:
        """The next file; a dump begins with an artificial ROTATE that names the first."""
        position = int.from_bytes(body[:8], "little")
        file = body[8:].decode("utf-8", "replace")
        if not file.isprintable() or not 0 < len(file) <= FILE_NAME_MAX or position >> 62:
            raise self.damaged("a ROTATE event names no place")
        self._enter(file, position)

    def come_out(self, outer: bytes, is_sealed: bool) -> int:
        """The events that follow come out of another one, of this header; its type.

        `is_sealed`: they have checksums of their own. `go_back` ends it."""
        seconds, kind, _, size, log_position, flags = struct.unpack("<IBIIIH", outer)
        self.locate(kind, flags, size, log_position)
        self.server_seconds = seconds
        self.outer_checksummed, self.checksummed = self.checksummed, is_sealed
        self.is_inside = True
        return int(kind)

    def look_in(self, is_sealed: bool) -> None:
        """The events that follow waited, and aren't decoded for good: the place stays."""
        self.outer_checksummed, self.checksummed = self.checksummed, is_sealed
        self.is_inside = True

    def go_back(self) -> None:
        """The events that follow stand in the file again."""
        self.is_inside, self.checksummed = False, self.outer_checksummed


def _crc_of_open_file(events: bytes, at: int, end: int) -> int:
    """A format description's checksum is made before the file is marked as in use."""
    in_use = at + 17
    header = events[at:in_use] + bytes([events[in_use] & ~binlog.IN_USE_FLAG])
    return zlib.crc32(events[in_use + 1 : end], zlib.crc32(header))


if not cython.compiled:

    def uint(data: bytes, at: int, size: int) -> int:
        """Little-endian, unsigned, up to 7 bytes; the caller has checked the bounds."""
        return int.from_bytes(data[at : at + size], "little")
