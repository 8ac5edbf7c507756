# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Where transactions begin and end: the GTID events of all servers, BEGIN, the commit."""

from __future__ import annotations

import cython

from cdc.capture import binlog, gtid_event
from cdc.capture.gtid import NUMBER_MAX

if cython.compiled:
    from cython.cimports.cdc.capture.change_events import ChangeEvents
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.tables import Tables
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.change_events import ChangeEvents
    from cdc.capture.cursor import Cursor, uint
    from cdc.capture.tables import Tables
    from cdc.capture.transaction import Transaction

NO_ROWS_FOLLOW = cython.declare(
    cython.int,
    # Those of a prepared transaction come where it is committed.
    binlog.MARIADB_GTID_STANDALONE
    | binlog.MARIADB_GTID_PREPARED_XA
    | binlog.MARIADB_GTID_COMPLETED_XA,
)
_NUMBER_MAX = cython.declare(cython.longlong, NUMBER_MAX)
COMMIT_MICROS_MAX = cython.declare(cython.longlong, ((1 << 63) - 1) // 1000)
"""Of a time whose nanoseconds have 64 bits, up to the year 2262."""


@cython.cclass
class Boundaries:
    """Opens and commits the transaction, and tells all who go by it."""

    def __init__(
        self, changes: ChangeEvents, tables: Tables, transaction: Transaction, cursor: Cursor
    ) -> None:
        self.changes, self.metadata = changes, changes.metadata
        self.tables, self.transaction, self.cursor = tables, transaction, cursor

    @cython.cfunc
    @cython.exceptval(-1)
    def gtid(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """MySQL's GTID event opens a transaction and says when it was committed."""
        if end - at < 42:
            raise self.cursor.damaged("a GTID event is too short")
        number: cython.longlong = uint(data, at + 17, 7) | (
            cython.cast(cython.longlong, data[at + 24] & 0x7F) << 56
        )
        is_possible: cython.bint = 1 <= number <= _NUMBER_MAX and data[at + 24] <= 0x7F
        if not self.transaction.is_mysql or not is_possible:
            raise self.cursor.damaged(f"a GTID event of MySQL with the number {number} can't be")
        self._refuse_nested()
        self.transaction.open_gtid(events, at + 1, number, self.cursor.event_position)
        self._opened()
        self._commit_times(data, at, end)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def anonymous_gtid(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        """MySQL's event of a transaction without a GTID."""
        self._refuse_nested()
        self._open_anonymous()
        self._commit_times(data, at, end)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _commit_times(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        """Immediate commit time; after it, if its highest bit is set, the original one."""
        micros: cython.longlong
        if end - at < 49:
            return 0
        micros = uint(data, at + 42, 7)
        if micros >> 55 and end - at >= 56:
            micros = uint(data, at + 49, 7)
        else:
            micros &= 0x7FFFFFFFFFFFFF
        if micros > COMMIT_MICROS_MAX:
            raise self.cursor.damaged(f"a GTID event says {micros} µs as its time")
        self.transaction.commit_micros = micros
        return 0

    def tagged_gtid(self, body: bytes) -> None:
        """MySQL's other GTID event, for a source with a tag."""
        gtid = gtid_event.tagged_gtid(body)
        is_possible = gtid.number <= NUMBER_MAX and gtid.commit_micros <= COMMIT_MICROS_MAX
        if not self.transaction.is_mysql or not is_possible:
            raise self.cursor.damaged(f"a GTID event with {gtid} can't be")
        self._refuse_nested()
        self.transaction.open_source(gtid.source, gtid.number, self.cursor.event_position)
        self._opened()
        self.transaction.commit_micros = gtid.commit_micros

    @cython.cfunc
    @cython.exceptval(-1)
    def mariadb_gtid(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        """MariaDB's GTID event is the BEGIN as well, unless its one statement stands alone."""
        if end - at < 13:
            raise self.cursor.damaged("a GTID event is too short")
        if self.transaction.is_mysql:
            raise self.cursor.damaged("a GTID event of MariaDB stands in a binlog of MySQL")
        flags: cython.int = data[at + 12]
        number: cython.longlong = uint(data, at, 7) | (
            cython.cast(cython.longlong, data[at + 7] & 0x7F) << 56
        )
        if data[at + 7] > 0x7F:
            raise self.cursor.damaged("a GTID event has a number of more than 63 bits")
        self._refuse_nested()
        self.transaction.open_domain(
            uint(data, at + 8, 4), self.cursor.server_id, number, self.cursor.event_position
        )
        self._opened()
        if not flags & NO_ROWS_FOLLOW:
            self.enter()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def open_if_unnamed(self) -> cython.int:
        """Of a server that gives no GTID, not even an anonymous one, a statement opens it."""
        if not self.transaction.is_open:
            self._open_anonymous()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _open_anonymous(self) -> cython.int:
        self.transaction.open_anonymous(self.cursor.file, self.cursor.event_position)
        self._opened()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _opened(self) -> cython.int:
        if self.cursor.position >= self.tables.waits_until:
            self.tables.opened()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _refuse_nested(self) -> cython.int:
        if self.transaction.has_begun:
            raise self.cursor.damaged("a transaction begins inside another")
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def begin(self, thread: cython.longlong) -> cython.int:
        """BEGIN or XA START, of the session with this number."""
        if self.transaction.is_mysql:
            self.transaction.thread = thread
        self.enter()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def enter(self) -> cython.int:
        """Row changes may follow, up to a commit."""
        if self.transaction.has_begun:
            return 0
        self.transaction.has_begun = True
        if self.metadata.is_wanted:
            self.metadata.begin(self.time_micros())
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def commit(self) -> cython.int:
        """The transaction is over: XID, COMMIT, or a statement that ends it."""
        if self.metadata.is_wanted and self.transaction.has_begun:
            self.metadata.end(self.time_micros())
        self.transaction.commit()
        if self.changes.reads_statements:
            self.changes.forget_statement()
        self.tables.forget_ids_if_many()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def commit_if_alone(self) -> cython.int:
        """A statement outside BEGIN and COMMIT is a transaction of its own."""
        if not self.transaction.has_begun:
            self.commit()
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def time_micros(self) -> cython.longlong:
        """When the source changed the rows: the commit's time, else the event's second."""
        return self.transaction.commit_micros or self.cursor.server_seconds * 1000000
