# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Binlog events to change event records: the step of the capture stage.

A deterministic state machine: the records and the checkpoint are a function of the checkpoint
it began at and the events since. Compiled by Cython where a compiler is there, the same source
as plain Python elsewhere. Here stands what an event says; `transaction.py` keeps which
transaction is open, `change_events.py` writes the records of rows, `rows.py` reads row images.

Each event type has one method; `_event` is the table of contents.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from itertools import chain
from typing import Any

import cython

from cdc.capture import binlog, statements
from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.compressed_events import plain_query, plain_rows
from cdc.capture.dialect import dialect_of, version_of
from cdc.capture.gtid import NUMBER_MAX
from cdc.capture.gtid_event import tagged_gtid
from cdc.capture.partial_update import ordinary_update
from cdc.capture.schema_changes import Said
from cdc.capture.unpublishable import STATEMENT_SHOWN_MAX, Unpublishable
from cdc.capture.xa import xa_prepare, xa_statement
from cdc.errors import DecodeError
from cdc.model import Output, Record

if cython.compiled:
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.change_events import ChangeEvents
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.rows import RowPlan
    from cython.cimports.cdc.capture.tables import Tables
    from cython.cimports.cdc.capture.transaction import Transaction
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
else:
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.change_events import ChangeEvents
    from cdc.capture.cursor import Cursor, uint
    from cdc.capture.rows import RowPlan
    from cdc.capture.tables import Tables
    from cdc.capture.transaction import Transaction

# Declared, so that the compiled form compares numbers and looks nothing up per event.
QUERY = cython.declare(cython.int, binlog.QUERY)
ROTATE = cython.declare(cython.int, binlog.ROTATE)
FORMAT_DESCRIPTION = cython.declare(cython.int, binlog.FORMAT_DESCRIPTION)
XID = cython.declare(cython.int, binlog.XID)
TABLE_MAP = cython.declare(cython.int, binlog.TABLE_MAP)
HEARTBEAT = cython.declare(cython.int, binlog.HEARTBEAT)
HEARTBEAT_V2 = cython.declare(cython.int, binlog.HEARTBEAT_V2)
ROWS_QUERY = cython.declare(cython.int, binlog.ROWS_QUERY)
GTID = cython.declare(cython.int, binlog.GTID)
ANONYMOUS_GTID = cython.declare(cython.int, binlog.ANONYMOUS_GTID)
XA_PREPARE = cython.declare(cython.int, binlog.XA_PREPARE)
TRANSACTION_PAYLOAD = cython.declare(cython.int, binlog.TRANSACTION_PAYLOAD)
NO_ROWS_FOLLOW = cython.declare(
    cython.int,
    # Those of a prepared transaction come where it is committed.
    binlog.MARIADB_GTID_STANDALONE
    | binlog.MARIADB_GTID_PREPARED_XA
    | binlog.MARIADB_GTID_COMPLETED_XA,
)
GTID_TAGGED = cython.declare(cython.int, binlog.GTID_TAGGED)
PARTIAL_UPDATE_ROWS = cython.declare(cython.int, binlog.PARTIAL_UPDATE_ROWS)
QUERY_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_QUERY_COMPRESSED)
DELETE_ROWS_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_DELETE_ROWS_COMPRESSED)
ANNOTATE_ROWS = cython.declare(cython.int, binlog.MARIADB_ANNOTATE_ROWS)
MARIADB_GTID = cython.declare(cython.int, binlog.MARIADB_GTID)

COMMIT_MICROS_MAX = cython.declare(cython.longlong, ((1 << 63) - 1) // 1000)
"""Of a time whose nanoseconds have 64 bits, up to the year 2262."""
LOAD_QUERY_HEAD_BYTES = 26
BLOCK_BYTES_MAX = cython.declare(cython.Py_ssize_t, 8 << 20)
"""Of records in one output, but for the last event's: rows of a byte become records of hundreds
(invariant 7)."""


@cython.cclass
class Decoder:
    """Follows one reading of a binlog; called with each batch, gives records and checkpoint."""

    binder: Any
    cursor: Cursor
    transaction: Transaction
    changes: ChangeEvents
    tables: Tables
    clock: Any
    now_seconds: cython.longlong
    now_millis: cython.longlong
    skipped: Any
    with_transactions: cython.bint
    reads_statements: cython.bint
    heartbeat_nanos: cython.longlong
    """Between two heartbeat records; 0: none."""
    next_heartbeat: cython.longlong
    is_started: cython.bint
    flavor: Any
    is_mysql: cython.bint
    server: Any
    server_version: cython.int
    unpublishable: Any
    left: Any

    def __init__(
        self,
        binder: Any,
        settings: Any,
        clock: object = time.time_ns,
        accept: Collection[str] = (),
    ) -> None:
        """`accept` names what else would stop (`source.accept`): it is counted instead."""
        self.binder = binder
        self.clock = clock
        self.skipped = settings.skipped_operations
        self.reads_statements = bool(settings.include_query or settings.context_keys)
        self.heartbeat_nanos = settings.heartbeat_interval_ms * 1_000_000
        self.next_heartbeat = 0
        self.with_transactions = settings.provide_transaction_metadata
        self.cursor = Cursor()
        self.transaction = Transaction(binder.connector)
        self.changes = ChangeEvents(binder, settings, self.transaction, self.cursor)
        self.unpublishable = Unpublishable(accept, self.dropped)
        self.is_started = False
        self.server_version = 0
        self.left = None
        self.tables = Tables(binder, self.changes, self.transaction, self.cursor)

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """(table, reason) → changes that were dropped by a named rule (invariant 2)."""
        counts: Counter[tuple[str, str]] = self.changes.dropped
        return counts

    @property
    def rest(self) -> EventBatch | None:
        """What is left of the last batch, to be given next: its records would be too many."""
        rest: EventBatch | None = self.left
        return rest

    @property
    def undescribed(self) -> int:
        """Captured tables whose schemas are plain, since the catalogue isn't known of them."""
        return len(self.binder.undescribed)

    def __call__(self, batch: EventBatch) -> Output[Record, Checkpoint]:
        """The change events of a batch, or of its first part, and the checkpoint after them."""
        assert self.left is None or batch is self.left, "the rest of a batch comes first"
        self.left = None
        if batch.start is not None:
            self._start(batch.start)
        assert self.is_started, "the first batch says where it starts"
        now_nanos = self.clock()
        self.now_seconds = now_nanos // 1_000_000_000
        self.now_millis = now_nanos // 1_000_000
        self.changes.begin_block(now_nanos)
        try:
            if batch.outer:
                self._come_out(batch)
            else:
                self._events(batch)
        except DecodeError as error:
            if self._place() in error.message:
                raise
            raise DecodeError(f"{error.message} (at {self._place()})", hint=error.hint) from error
        if self.heartbeat_nanos:
            self._heartbeat(now_nanos)
        return Output(self.changes.block(), self.checkpoint())

    def _heartbeat(self, now_nanos: int) -> None:
        """A heartbeat record once the interval is over; the first an interval after the start."""
        if now_nanos >= self.next_heartbeat:
            if self.next_heartbeat:
                self.changes.heartbeat(now_nanos)
            self.next_heartbeat = now_nanos + self.heartbeat_nanos

    def checkpoint(self) -> Checkpoint:
        """The place after the last event decoded."""
        transaction: Transaction = self.transaction
        return Checkpoint(
            flavor=self.flavor,
            server=self.server,
            gtid_set=transaction.gtid_set(),
            file=self.cursor.file,
            # An open transaction is read again from its begin, its GTID event included.
            pos=transaction.begun_at if transaction.is_open else self.cursor.position,
            transaction=transaction.text() if transaction.has_begun else "",
            rows_done=transaction.rows_done() if transaction.has_begun else 0,
            epoch=self.changes.epoch,
            sequence=self.changes.sequence,
            time_seconds=self.cursor.server_seconds,
            awaited=transaction.awaited(),
            last=self.cursor.last_transaction(transaction.text(), transaction.commit_micros),
        )

    def substitutions(self) -> dict[tuple[str, str], int]:
        """(table, column) → values that were substituted as documented (invariant 2)."""
        counts: dict[tuple[str, str], int] = self.tables.substitutions()
        return counts

    def _start(self, start: Checkpoint) -> None:
        self.is_started = True
        self.flavor, self.server = start.flavor, start.server
        self.is_mysql = start.flavor == "mysql"
        self.transaction.start(start)
        self.changes.start(start)
        self.cursor.start(start.file, start.pos, start.time_seconds, start.last)
        self.tables.start(start)

    def _place(self) -> str:
        place: str = self.cursor.place()
        return place

    def _damaged(self, what: str) -> DecodeError:
        error: DecodeError = self.cursor.damaged(what)
        return error

    def _come_out(self, batch: EventBatch) -> None:
        """Events of a payload, or rows of a prepared transaction where it is committed."""
        kind = self.cursor.come_out(batch.outer, batch.is_sealed)
        try:
            if kind != TRANSACTION_PAYLOAD and not self.transaction.has_begun:
                self._open_if_unnamed()
                self._enter()
            self._events(batch)
        finally:
            self.cursor.go_back()

    @cython.cfunc
    @cython.exceptval(-1)
    def _events(self, batch: EventBatch) -> cython.int:
        """Decode events until there are none, or their records are enough for one output."""
        cursor: Cursor = self.cursor
        changes: ChangeEvents = self.changes
        events: bytes = batch.events
        total: cython.Py_ssize_t = len(events)
        at: cython.Py_ssize_t = 0
        data: cython.p_const_uchar
        if cython.compiled:
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events))
        else:
            data = events
        while at < total:
            at = cursor.step(events, data, at, total)
            self._event(
                cursor.kind,
                cursor.flags,
                data,
                cursor.body_at,
                cursor.body_end,
                events,
            )
            if changes.data.n > BLOCK_BYTES_MAX and at < total:
                self.left = replace(batch, events=events[at:], start=None)
                break
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _event(
        self,
        kind: cython.int,
        flags: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        events: bytes,
    ) -> cython.int:
        """One event's body lies from `at` to `end`. The most frequent types come first."""
        if 30 <= kind <= 32:
            self._rows(kind - 30, 2, data, at, end)
        elif kind == TABLE_MAP:
            self.tables.announced(events, data, at, end)
        elif kind == GTID:
            self._gtid(events, data, at, end)
        elif kind == XID:
            self._commit()
        elif kind == QUERY:
            self._query(events, data, at, end)
        elif kind == MARIADB_GTID:
            self._mariadb_gtid(data, at, end)
        elif 23 <= kind <= 25:
            self._rows(kind - 23, 1, data, at, end)
        elif kind == ROTATE:
            self.cursor.rotate(events[at:end])
            self.tables.forget_ids()
        elif kind == ANONYMOUS_GTID:
            self._anonymous_gtid(data, at, end)
        elif kind == GTID_TAGGED:
            self._tagged_gtid(events[at:end])
        elif kind == PARTIAL_UPDATE_ROWS:
            self._partial_update(events[at:end])
        elif QUERY_COMPRESSED <= kind <= DELETE_ROWS_COMPRESSED:
            self._compressed(kind, events[at:end])
        elif kind in (HEARTBEAT, HEARTBEAT_V2):
            # No change, but the link lives and nothing is to be read.
            self.cursor.server_seconds = self.now_seconds
        elif kind == FORMAT_DESCRIPTION:
            self.tables.forget_ids()
            self.server_version = version_of(events[at:end])
        elif kind in (ROWS_QUERY, ANNOTATE_ROWS):
            if self.reads_statements:
                self._statement_text(events, at if kind == ANNOTATE_ROWS else at + 1, end)
        elif kind == XA_PREPARE:
            self._xa_prepare(events[at:end])
        elif kind == binlog.EXECUTE_LOAD_QUERY:
            self._load_as_text(events[at:end])
        elif kind == binlog.INCIDENT:
            self.unpublishable.incident(self._place())
        elif kind not in binlog.WITHOUT_ROW_CHANGES and not flags & binlog.IGNORABLE_FLAG:
            self.unpublishable.unknown_event(kind, self._place())
        return 0

    def _statement_text(self, events: bytes, at: int, end: int) -> None:
        """The text of the statement whose rows follow; MySQL has a byte of its length before."""
        self.changes.statement(events[at:end].decode("utf-8", "replace"))

    @cython.cfunc
    @cython.exceptval(-1)
    def _gtid(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """MySQL's GTID event opens a transaction and says when it was committed."""
        if end - at < 42:
            raise self._damaged("a GTID event is too short")
        number: cython.longlong = uint(data, at + 17, 7) | (
            cython.cast(cython.longlong, data[at + 24] & 0x7F) << 56
        )
        if not self.is_mysql or number < 1 or number > NUMBER_MAX or data[at + 24] > 0x7F:
            raise self._damaged(f"a GTID event of MySQL with the number {number} can't be")
        self._refuse_nested()
        self.transaction.open_gtid(events, at + 1, number, self.cursor.event_position)
        if self.tables.is_waiting:
            self.tables.opened()
        self._commit_times(data, at, end)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _anonymous_gtid(
        self, data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        self._refuse_nested()
        self._open_anonymous()
        self._commit_times(data, at, end)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _open_anonymous(self) -> cython.int:
        self.transaction.open_anonymous(self.cursor.file, self.cursor.event_position)
        if self.tables.is_waiting:
            self.tables.opened()
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
            raise self._damaged(f"a GTID event says {micros} µs as its time")
        self.transaction.commit_micros = micros
        return 0

    def _tagged_gtid(self, body: bytes) -> None:
        """MySQL's other GTID event, for a source with a tag."""
        gtid = tagged_gtid(body)
        if not self.is_mysql or gtid.number > NUMBER_MAX or gtid.commit_micros > COMMIT_MICROS_MAX:
            raise self._damaged(f"a GTID event with {gtid} can't be")
        self._refuse_nested()
        self.transaction.open_source(gtid.source, gtid.number, self.cursor.event_position)
        if self.tables.is_waiting:
            self.tables.opened()
        self.transaction.commit_micros = gtid.commit_micros

    @cython.cfunc
    @cython.exceptval(-1)
    def _mariadb_gtid(
        self,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """MariaDB's GTID event is the BEGIN as well, unless its one statement stands alone."""
        if end - at < 13:
            raise self._damaged("a GTID event is too short")
        if self.is_mysql:
            raise self._damaged("a GTID event of MariaDB stands in a binlog of MySQL")
        flags: cython.int = data[at + 12]
        number: cython.longlong = uint(data, at, 7) | (
            cython.cast(cython.longlong, data[at + 7] & 0x7F) << 56
        )
        if data[at + 7] > 0x7F:
            raise self._damaged("a GTID event has a number of more than 63 bits")
        self._refuse_nested()
        self.transaction.open_domain(
            uint(data, at + 8, 4), self.cursor.server_id, number, self.cursor.event_position
        )
        if self.tables.is_waiting:
            self.tables.opened()
        if not flags & NO_ROWS_FOLLOW:
            self._enter()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _refuse_nested(self) -> cython.int:
        if self.transaction.has_begun:
            raise self._damaged("a transaction begins inside another")
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _enter(self) -> cython.int:
        """Row changes may follow, up to a commit."""
        self.transaction.has_begun = True
        if self.with_transactions:
            self.changes.begin(self._time_micros())
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _time_micros(self) -> cython.longlong:
        """When the source changed the rows: the commit's time, else the event's second."""
        return self.transaction.commit_micros or self.cursor.server_seconds * 1000000

    @cython.cfunc
    @cython.exceptval(-1)
    def _commit(self) -> cython.int:
        if self.with_transactions and self.transaction.has_begun:
            self.changes.end(self._time_micros())
        self.transaction.commit()
        if self.reads_statements:
            self.changes.forget_statement()
        self.tables.forget_ids_if_many()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _query(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """A statement as text: BEGIN here, everything else by `_statement`."""
        text_at: cython.Py_ssize_t
        database_at: cython.Py_ssize_t
        if end - at < 13:
            raise self._damaged("a QUERY event is too short")
        database_at = at + 13 + uint(data, at + 11, 2)
        text_at = database_at + data[at + 8] + 1
        if text_at > end:
            raise self._damaged("a QUERY event is too short")
        self._open_if_unnamed()
        if end - text_at == 5 and events[text_at:end] == b"BEGIN":
            if self.is_mysql:
                self.transaction.thread = uint(data, at, 4)
            if not self.transaction.has_begun:
                self._enter()
            return 0
        text = events[text_at:end].decode("utf-8", "replace")
        database = events[database_at : text_at - 1].decode("utf-8", "replace")
        kind = statements.kind_of(text, self.flavor)
        if kind == statements.XA:
            self._xa(text, uint(data, at, 4))
        else:
            self._statement(kind, text, database, events[at + 13 : database_at])
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _open_if_unnamed(self) -> cython.int:
        """Of a server that gives no GTID, not even an anonymous one, a statement opens it."""
        if not self.transaction.is_open:
            self._open_anonymous()
        return 0

    def _statement(self, kind: str, text: str, database: str, variables: bytes) -> None:
        """COMMIT and the like, DDL, and DML that should have been rows."""
        if kind == statements.COMMIT:
            self._commit()
        elif kind == statements.ROLLBACK or kind == statements.ROLLBACK_TO:
            if self.transaction.ordinal:
                self.unpublishable.rolled_back(text, database, self._place())
            if kind == statements.ROLLBACK:
                self._commit()
        elif kind == statements.SAVEPOINT:
            pass
        elif kind == statements.ROWS:
            self._rows_as_text(text, database)
        else:
            if kind == statements.TRUNCATE:
                self._truncate(text, statements.truncated_table(text, database, self.flavor))
            else:
                self._definition(text, database, variables)
            if not self.transaction.has_begun:
                self._commit()

    def _xa(self, text: str, thread: int) -> None:
        """XA statements; the rows between START and END come only where they count."""
        verb, xid = xa_statement(text) or ("", None)
        if verb == "START":
            self.transaction.thread = thread if self.is_mysql else 0
            if not self.transaction.has_begun:
                self._enter()
        elif verb == "COMMIT":
            if not self.transaction.has_begun:
                self.unpublishable.prepared_before_start(str(xid), self._place())
            self._commit()
            self.transaction.resolve(str(xid))
        elif verb == "ROLLBACK":
            self._commit()
            self.transaction.resolve(str(xid))
        elif verb != "END":
            raise self._damaged(f"the statement {text[:STATEMENT_SHOWN_MAX]!r} can't be read")

    def _xa_prepare(self, body: bytes) -> None:
        """In one phase it is a commit; else what comes of it is open until XA COMMIT."""
        try:
            is_one_phase, xid = xa_prepare(body)
        except ValueError as error:
            raise self._damaged(f"an XA_PREPARE event can't be read: {error}") from error
        if is_one_phase:
            self._commit()
        elif self.transaction.has_begun:
            raise self._damaged(f"XA_PREPARE of {xid} stands inside another transaction")
        else:
            self.transaction.prepare(str(xid))

    def _load_as_text(self, body: bytes) -> None:
        """LOAD DATA in statement format: a QUERY with more in front of its variables."""
        if len(body) < LOAD_QUERY_HEAD_BYTES:
            raise self._damaged("an EXECUTE_LOAD_QUERY event is too short")
        database_at = LOAD_QUERY_HEAD_BYTES + int.from_bytes(body[11:13], "little")
        text_at = database_at + body[8] + 1
        database = body[database_at : text_at - 1].decode("utf-8", "replace")
        self._rows_as_text(body[text_at:].decode("utf-8", "replace"), database)

    def _rows_as_text(self, text: str, database: str) -> None:
        """DML in statement format: its rows can't be known."""
        # The session's database isn't always the table's: names in front of dots count as well.
        named = chain((database,), statements.databases_in(text, self.flavor))
        if not any(map(self._may_capture, named)):
            self.dropped[database, "statement outside the captured databases"] += 1
        else:
            self.unpublishable.rows_as_text(text, database, self._place())
        if not self.transaction.has_begun:
            self._commit()

    def _may_capture(self, database: str) -> bool:
        """A name in another charset than UTF-8 may be any."""
        return statements.LOST in database or self.binder.captures_database(database)

    def _definition(self, text: str, database: str, variables: bytes) -> None:
        """DDL: what tables are from here on."""
        for changed in statements.tables_changed_in_bulk(text, database, self.flavor):
            if self.binder.captures(*changed):
                self.dropped[
                    ".".join(changed), "rows of partitions or tablespaces, without events"
                ] += 1
        transaction: Transaction = self.transaction
        said = Said(
            ddl=text,
            database=database,
            micros=self._time_micros(),
            now_millis=self.now_millis,
            server_id=self.cursor.server_id,
            gtid=transaction.text() if transaction.gtid.n > 1 else None,
            file=self.cursor.file,
            position=self.cursor.event_position,
            is_published=transaction.is_resumed,
            dialect=dialect_of(self.flavor, self.server_version, variables),
        )
        self.tables.defined(said)

    def _truncate(self, text: str, names: Any) -> None:
        """An event with neither key nor rows for a captured table."""
        if names is None or (statements.LOST in ".".join(names) and self._may_capture(names[0])):
            self.unpublishable.truncate_of_any(text, self._place())
            return
        if not self.binder.captures(*names):
            return
        name = ".".join(names)
        if "t" in self.skipped:
            self.dropped[name, "operation t is in skipped.operations"] += 1
            return
        bound: BoundTable = self.tables.named(*names)
        if bound is None:
            self.dropped[name, "truncate of a table of which nothing was published"] += 1
            return
        self.transaction.ordinal += 1
        if self.transaction.ordinal <= self.transaction.skip_until:
            return
        # Debezium's commit time has milliseconds here.
        micros = (
            self.transaction.commit_micros // 1000 * 1000 or self.cursor.server_seconds * 1000000
        )
        self.changes.source(bound, micros)
        self.changes.truncate(bound)

    @cython.cfunc
    @cython.exceptval(-1)
    def _rows(
        self,
        operation: cython.int,
        version: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """WRITE, UPDATE or DELETE (0, 1, 2) of rows of one table."""
        bound: BoundTable
        plan: RowPlan
        changes: ChangeEvents = self.changes
        transaction: Transaction = self.transaction
        width: cython.Py_ssize_t
        before_present: cython.Py_ssize_t
        after_present: cython.Py_ssize_t
        row: cython.longlong = 0
        before: cython.Py_ssize_t
        if end - at < 10:
            raise self._damaged("a rows event is too short")
        bound = self.tables.of(uint(data, at, 6))
        if bound is None:
            return 0
        plan = bound.plan
        at += 8
        if version == 2:
            at += uint(data, at, 2)
        if end - at < 2 or (data[at] == 0xFC and end - at < 4):
            raise self._damaged("a rows event is too short")
        if (data[at] if data[at] != 0xFC else uint(data, at + 1, 2)) != plan.count:
            raise self._damaged(f"a rows event of {bound.name} has another number of columns")
        at += 1 if data[at] != 0xFC else 3
        width = (plan.count + 7) >> 3
        before_present = after_present = at
        at += width
        if operation == 1:
            after_present = at
            at += width
        if at > end:
            raise self._damaged("a rows event is too short")
        if not transaction.has_begun:
            raise self._damaged("a rows event stands outside a transaction")
        if bound.captured:
            changes.source(bound, self._time_micros())
            if not (plan.is_whole(data, before_present) and plan.is_whole(data, after_present)):
                absent = plan.left_out(data, before_present) + plan.left_out(data, after_present)
                self.unpublishable.left_out(bound.name, absent)
        if at == end:
            raise self._empty_row(bound.name)
        while at < end:
            before = at
            transaction.ordinal += 1
            changes.is_muted = transaction.ordinal <= transaction.skip_until
            if not bound.captured or (changes.is_muted and not self.with_transactions):
                at = plan.skip(data, at, end, data, before_present)
                if operation == 1:
                    at = plan.skip(data, at, end, data, after_present)
            elif operation == 0:
                at = changes.insert(bound, data, at, end, after_present, row)
            elif operation == 2:
                at = changes.delete(bound, data, at, end, before_present, row)
            else:
                at = changes.update(bound, data, at, end, before_present, after_present, row)
            if at == before:
                raise self._empty_row(bound.name)
            row += 1
        if not bound.captured:
            changes.dropped[bound.name, bound.drop_reason] += row
        return 0

    def _partial_update(self, body: bytes) -> None:
        """UPDATE whose after images may hold JSON values in part."""
        bound: BoundTable = self.tables.of(int.from_bytes(body[:6], "little"))
        if bound is not None:
            with_values = bound.captured
            plain = ordinary_update(body, bound.plan, bound.json_columns, with_values=with_values)
            self._event_of(binlog.UPDATE_ROWS, plain)

    def _compressed(self, kind: int, body: bytes) -> None:
        """MariaDB's QUERY or rows under zlib."""
        if kind == QUERY_COMPRESSED:
            self._event_of(binlog.QUERY, plain_query(body))
        else:
            plain_kind, plain = plain_rows(kind, body)
            self._event_of(plain_kind, plain)

    def _event_of(self, kind: int, body: bytes) -> None:
        """The event that another one stands for, at the same place."""
        data: cython.p_const_uchar
        if cython.compiled:
            data = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(body))
        else:
            data = body
        self._event(kind, 0, data, 0, len(body), body)

    def _empty_row(self, name: str) -> DecodeError:
        """The error for a row image of no bytes, of which nobody can tell how many there are."""
        return DecodeError(
            f"a row of {name} at {self._place()} comes without any column",
            hint="a session wrote it with binlog_row_image other than FULL; set it to FULL"
            " everywhere, then begin after this place",
        )
