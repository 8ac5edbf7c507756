# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""The transaction that is open in the stream, and what is wholly processed before it.

Compiled, a transaction costs no Python object: names are written into buffers that stay, and
the executed set grows by runs of numbers, not one by one."""

from __future__ import annotations

import uuid
from typing import Any

import cython

from cdc.capture.checkpoint import Prepared
from cdc.capture.executed import Executed
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.libc.string import memcmp
else:
    from cdc.capture.avro_out import Out

UUID_BYTES = 16
PREPARED_MAX = 4_000
"""XA transactions that are prepared at once; a checkpoint names them all."""


@cython.cclass
class Transaction:
    """Where the stream is: between transactions, or so many row images inside one."""

    def __init__(self, connector: str) -> None:
        self.connector = connector.encode()
        self.name, self.gtid, self.id_prefix = Out(128), Out(128), Out(256)
        """As text; as an optional Avro string; as what stands before the ordinal in an id."""
        self.source_uuid = self.source_name = b""
        self.source = ""

    def start(self, checkpoint: Any) -> None:
        """Begin at a checkpoint: an open transaction is read again, its done rows skipped."""
        self.executed = Executed(checkpoint.flavor, checkpoint.gtid_set)
        self.is_mysql = checkpoint.flavor == "mysql"
        self.begun: dict[bytes, int] = {
            name.encode(): rows for name, rows in checkpoint.begun().items()
        }
        """Transactions that came in part before a restart, and not again since → rows done."""
        self.is_open = False
        """A GTID or BEGIN was seen, its end was not."""
        self.has_begun = False
        """Rows may come."""
        self.is_resumed = False
        """Its begin was published before a restart."""
        self.begun_at = checkpoint.pos
        self.commit_micros = self.thread = 0
        self.ordinal = self.skip_until = 0
        self.has_gtid = self.has_domain_run = False
        self.prepared: dict[str, Prepared] = dict(checkpoint.prepared)
        """See `Checkpoint.prepared`."""
        self.run_source = ""
        self.run_first = self.run_last = 0
        self.run_domain = self.run_server_id = self.run_number = 0

    @cython.cfunc
    @cython.exceptval(-1)
    def open_gtid(
        self,
        events: bytes,
        at: cython.Py_ssize_t,
        number: cython.longlong,
        place: cython.longlong,
    ) -> cython.int:
        """A transaction of MySQL; its source's UUID stands at `at`."""
        if cython.compiled:
            is_same: cython.bint = len(self.source_uuid) == UUID_BYTES and not memcmp(
                PyBytes_AS_STRING(self.source_uuid), PyBytes_AS_STRING(events) + at, UUID_BYTES
            )
        else:
            is_same = self.source_uuid == events[at : at + UUID_BYTES]
        if not is_same:
            self.source_uuid = events[at : at + UUID_BYTES]
            self.source = str(uuid.UUID(bytes=self.source_uuid))
            self.source_name = self.source.encode()
        return self._open_number(number, place)

    def open_source(self, source: str, number: int, place: int) -> None:
        """A transaction of MySQL, of a source given as `uuid` or `uuid:tag`."""
        self.source_uuid = b""
        self.source = source
        self.source_name = source.encode()
        self._open_number(number, place)

    @cython.cfunc
    @cython.exceptval(-1)
    def _open_number(self, number: cython.longlong, place: cython.longlong) -> cython.int:
        self.number = number
        self.name.n = 0
        self.name.write(self.source_name)
        self.name.byte(0x3A)
        decimal(self.name, number)
        return self._opened(True, place)

    @cython.cfunc
    @cython.exceptval(-1)
    def open_domain(
        self,
        domain: cython.longlong,
        server_id: cython.longlong,
        number: cython.longlong,
        place: cython.longlong,
    ) -> cython.int:
        """A transaction of MariaDB."""
        self.domain, self.server_id, self.number = domain, server_id, number
        self.name.n = 0
        self.name.reserve(0)
        decimal(self.name, domain)
        self.name.byte(0x2D)
        decimal(self.name, server_id)
        self.name.byte(0x2D)
        decimal(self.name, number)
        return self._opened(True, place)

    @cython.cfunc
    @cython.exceptval(-1)
    def open_anonymous(self, file: Any, place: cython.longlong) -> cython.int:
        """A transaction that has no GTID is named by its place."""
        self.name.n = 0
        self.name.write(f"{file}:{place}".encode())
        return self._opened(False, place)

    @cython.cfunc
    @cython.exceptval(-1)
    def _opened(self, has_gtid: cython.bint, place: cython.longlong) -> cython.int:
        self.is_open = True
        self.begun_at = place
        self.has_gtid = has_gtid
        self.commit_micros = self.thread = 0
        self.ordinal = self.skip_until = 0
        self.is_resumed = False
        if self.begun:
            done = self.begun.get(self.name.value())
            self.is_resumed = done is not None
            self.skip_until = done or 0
        gtid: Out = self.gtid
        gtid.n = 0
        gtid.byte(2 if has_gtid else 0)
        if has_gtid:
            gtid.varint(self.name.n)
            gtid.reserve(self.name.n)
            gtid.copy(self.name.p, 0, self.name.n)
        prefix: Out = self.id_prefix
        prefix.n = 0
        prefix.write(self.connector)
        prefix.byte(0x2F)
        prefix.reserve(self.name.n)
        prefix.copy(self.name.p, 0, self.name.n)
        prefix.byte(0x2F)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def commit(self) -> cython.int:
        """The open transaction, if it has a GTID, is processed."""
        self.is_open = self.has_begun = False
        if self.is_resumed:
            del self.begun[self.name.value()]
            self.is_resumed = False
        if not self.has_gtid:
            return 0
        self.has_gtid = False
        if not self.is_mysql:
            if self.has_domain_run and self.run_domain != self.domain:
                self._flush()
            self.has_domain_run = True
            self.run_domain, self.run_server_id = self.domain, self.server_id
            self.run_number = self.number
        elif self.run_source == self.source and self.run_last + 1 == self.number:
            self.run_last = self.number
        else:
            self._flush()
            self.run_source = self.source
            self.run_first = self.run_last = self.number
        return 0

    def prepare(self, xid: str, file: str, chunks: int) -> None:
        """The open transaction is prepared: done with, if its rows are kept (in so many `chunks`).

        Else, until `resolve`, MySQL's GTID is left out: so a server sends it again after a
        restart."""
        if len(self.prepared) >= PREPARED_MAX:
            raise DecodeError(
                f"more than {PREPARED_MAX} XA transactions are prepared (PREPARED_MAX)",
                hint="commit or roll them back at the source: XA RECOVER lists them",
            )
        if chunks < 0 and self.is_mysql and self.has_gtid:
            self.prepared[xid] = Prepared(file, self.begun_at, self.source, self.number)
            self.has_gtid = False
        else:
            self.prepared[xid] = Prepared(file, self.begun_at, chunks=chunks)
        self.commit()

    def resolve(self, xid: str) -> Prepared | None:
        """A prepared transaction was committed or rolled back; where it stood, if that is known."""
        place = self.prepared.pop(xid, None)
        if place is not None and place.source:
            self.executed.add(place.source, place.number, place.number)
        return place

    @cython.cfunc
    @cython.exceptval(-1)
    def _flush(self) -> cython.int:
        """Put the run into the executed set."""
        if self.has_domain_run:
            self.executed.advance(self.run_domain, self.run_server_id, self.run_number)
            self.has_domain_run = False
        if self.run_source:
            self.executed.add(self.run_source, self.run_first, self.run_last)
            self.run_source = ""
        return 0

    def gtid_set(self) -> str:
        """What is wholly processed."""
        self._flush()
        return str(self.executed)

    def rows_done(self) -> int:
        """Row images of the open transaction; what was done before a restart stays done."""
        return max(self.ordinal, self.skip_until)

    def awaited(self) -> dict[str, int]:
        """See `Checkpoint.awaited`: what was done stays done until its transaction has passed."""
        is_open = self.name.value() if self.has_begun else b""
        return {name.decode(): rows for name, rows in self.begun.items() if name != is_open}

    def text(self) -> str:
        """The open transaction's name: its GTID, else file:pos of its begin."""
        return self.name.value().decode()


@cython.cfunc
@cython.exceptval(-1)
def decimal(out: Out, number: cython.longlong) -> cython.int:
    """A number that isn't negative, in decimal digits."""
    digit: cython.longlong = 1
    out.reserve(0)
    while number // digit >= 10:
        digit *= 10
    while digit:
        out.byte(0x30 + number // digit % 10)
        digit //= 10
    return 0
