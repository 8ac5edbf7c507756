"""Which transactions lie before a position: what its file begins with, and its GTIDs so far."""

from __future__ import annotations

import struct
import threading
import uuid
from collections.abc import Iterator

from cdc.capture import binlog
from cdc.capture.connection import Session
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import ServerFacts
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.capture.gtid_event import tagged_gtid
from cdc.capture.source_settings import ServerSettings
from cdc.errors import DecodeError, SourceError

# What may stand between transactions; anything else is inside one.
_BETWEEN = frozenset(
    {
        binlog.GTID, binlog.ANONYMOUS_GTID, binlog.GTID_TAGGED, binlog.MARIADB_GTID,
        binlog.FORMAT_DESCRIPTION, binlog.PREVIOUS_GTIDS, binlog.MARIADB_GTID_LIST,
        binlog.MARIADB_BINLOG_CHECKPOINT, binlog.MARIADB_START_ENCRYPTION, binlog.ROTATE,
        binlog.STOP, binlog.INCIDENT,
    }
)  # fmt: skip
_SETS = (binlog.PREVIOUS_GTIDS, binlog.MARIADB_GTID_LIST)
_HINT = "SHOW BINLOG EVENTS IN '…' lists the right ones: the Pos of a Gtid event"


def set_before(settings: ServerSettings, facts: ServerFacts, file: str, pos: int) -> str:
    """The GTIDs before a position; SourceError if no transaction can begin there.

    Reads the file up to `pos` over a session of its own: the only way that MySQL has."""
    scan = Scan(facts.flavor == "mysql", f"the position {file}:{pos} of {settings.origin}", pos)
    with Session(settings) as session:
        dump = Dump(session, facts, Place(file=file), ends=True)
        for events in dump.batches(threading.Event()):
            if scan.takes(events):
                return scan.gtid_set()
    scan.finish(binlog.STOP)
    return scan.gtid_set()


class Scan:
    """Collects GTIDs from the begin of a file to a position."""

    def __init__(self, is_mysql: bool, what: str, until: int) -> None:
        self._is_mysql, self._what, self._until = is_mysql, what, until
        self._mysql, self._mariadb = MysqlGtidSet(), MariadbGtidList()
        self._at = 4
        self._has_set = self._is_boundary = self._is_checksummed = False

    def gtid_set(self) -> str:
        """What was collected, as text."""
        return str(self._mysql if self._is_mysql else self._mariadb)

    def takes(self, events: bytes) -> bool:
        """Take a batch; True when the position is reached."""
        for kind, flags, at, end in headers(events):
            is_between_files = kind == binlog.ROTATE and flags & binlog.ARTIFICIAL_FLAG
            if self._has_set and (is_between_files or self._at >= self._until):
                self.finish(kind)
                return True
            if kind == binlog.FORMAT_DESCRIPTION:
                self._is_checksummed = events[end - 5] == 1
            if flags & binlog.ARTIFICIAL_FLAG:
                continue
            self._is_boundary |= self._at == self._until
            if self._at < self._until or kind in _SETS:
                try:
                    self._take(kind, events[at : end - 4 * self._is_checksummed])
                except (ValueError, struct.error) as error:
                    raise DecodeError(
                        f"{self._what}: {binlog.name_of(kind)} at {self._at}, before it, can't be"
                        f" read: {error}",
                        hint="is the file damaged? compare with mysqlbinlog"
                        " --verify-binlog-checksum",
                    ) from error
            self._at += end - at
        return False

    def finish(self, next_kind: int) -> None:
        """The scan is at or after the position, before an event of `next_kind`."""
        if self._at != self._until and not self._is_boundary:
            raise SourceError(f"{self._what}: no event begins there", hint=_HINT)
        if self._at == self._until and next_kind not in _BETWEEN:
            raise SourceError(f"{self._what} is inside a transaction", hint=_HINT)

    def _take(self, kind: int, event: bytes) -> None:
        body = event[binlog.HEADER_BYTES :]
        if kind == binlog.PREVIOUS_GTIDS:
            self._has_set = True
            self._mysql = MysqlGtidSet.from_bytes(body)
        elif kind == binlog.GTID:
            source, number = struct.unpack_from("<16sQ", body, 1)
            self._mysql.add(str(uuid.UUID(bytes=source)), number, number)
        elif kind == binlog.GTID_TAGGED:
            gtid = tagged_gtid(body)
            self._mysql.add(gtid.source, gtid.number, gtid.number)
        elif kind == binlog.MARIADB_GTID_LIST:
            self._has_set = True
            count = struct.unpack_from("<I", body)[0] & 0xFFFFFFF  # the rest are flags
            for domain, server_id, number in struct.iter_unpack("<IIQ", body[4 : 4 + 16 * count]):
                self._mariadb.advance(domain, server_id, number)
        elif kind == binlog.MARIADB_GTID:
            number, domain = struct.unpack_from("<QI", body)
            (server_id,) = struct.unpack_from("<I", event, 5)
            self._mariadb.advance(domain, server_id, number)


def headers(events: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, flags, begin and end of each event."""
    at = 0
    while at < len(events):
        kind, size, flags = struct.unpack_from("<B4xI4xH", events, at + 4)
        yield kind, flags, at, at + size
        at += size
