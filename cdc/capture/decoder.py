# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Binlog events to change event records: the step of the capture stage.

A deterministic state machine: the records and the checkpoint are a function of the checkpoint
it began at and the events since. Compiled by Cython where a compiler is there, the same source
as plain Python elsewhere.

Here stands where each event goes; `_event` is the table of contents. `boundaries.py` has those that
begin and end transactions, `tables.py` TABLE_MAP, `rows_events.py` rows, `statement_events.py` what
comes as text, `cursor.py` places, checksums, ROTATE. `change_events.py` writes the records of rows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import cython

from cdc.capture import binlog
from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.compressed_events import plain_query, plain_rows
from cdc.capture.dead_changes import DeadChanges, RowChange, rows_event
from cdc.capture.dialect import version_of
from cdc.capture.heartbeat_records import HeartbeatRecords
from cdc.capture.knowledge import Place
from cdc.capture.partial_update import ordinary_update
from cdc.capture.prepared_rows import rows_of
from cdc.capture.prepared_store import Keeper, PreparedStore
from cdc.capture.unpublishable import Unpublishable
from cdc.dead_letters import DeadLetters, Policy
from cdc.errors import DecodeError
from cdc.model import Output, Record, Revision

if cython.compiled:
    from cython.cimports.cdc.capture.block_writer import BlockWriter
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.boundaries import Boundaries
    from cython.cimports.cdc.capture.change_events import ChangeEvents
    from cython.cimports.cdc.capture.cursor import Cursor
    from cython.cimports.cdc.capture.rows_events import RowsEvents
    from cython.cimports.cdc.capture.statement_events import StatementEvents
    from cython.cimports.cdc.capture.tables import Tables
    from cython.cimports.cdc.capture.transaction import Transaction
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
else:
    from cdc.capture.block_writer import BlockWriter
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.boundaries import Boundaries
    from cdc.capture.change_events import ChangeEvents
    from cdc.capture.cursor import Cursor
    from cdc.capture.rows_events import RowsEvents
    from cdc.capture.statement_events import StatementEvents
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
GTID_TAGGED = cython.declare(cython.int, binlog.GTID_TAGGED)
PARTIAL_UPDATE_ROWS = cython.declare(cython.int, binlog.PARTIAL_UPDATE_ROWS)
QUERY_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_QUERY_COMPRESSED)
DELETE_ROWS_COMPRESSED = cython.declare(cython.int, binlog.MARIADB_DELETE_ROWS_COMPRESSED)
ANNOTATE_ROWS = cython.declare(cython.int, binlog.MARIADB_ANNOTATE_ROWS)
MARIADB_GTID = cython.declare(cython.int, binlog.MARIADB_GTID)

ORDINAL_MAX = cython.declare(cython.longlong, (1 << 62))
ROW_ALONE = cython.declare(cython.longlong, 1)
"""The table id of a row that is decoded alone."""
BLOCK_BYTES_MAX = cython.declare(cython.Py_ssize_t, 8 << 20)
"""Of records in one output, but for the last event's: rows of a byte become records of hundreds
(invariant 7)."""


@cython.cclass
class Decoder:
    """Follows one reading of a binlog; called with each batch, gives records and checkpoint."""

    binder: Any
    clock: Any
    cursor: Cursor
    transaction: Transaction
    block: BlockWriter
    changes: ChangeEvents
    tables: Tables
    boundaries: Boundaries
    rows: RowsEvents
    statements: StatementEvents
    heartbeats: Any
    unpublishable: Any
    keeper: Any
    tables_kept: Any
    is_started: cython.bint
    flavor: Any
    server: Any
    left: Any

    def __init__(
        self,
        binder: Any,
        settings: Any,
        clock: Any = time.time_ns,
        accept: Collection[str] = (),
        dead_letters: DeadLetters | None = None,
        store: PreparedStore | None = None,
    ) -> None:
        """`accept` names what else would stop (`source.accept`): it is counted instead.
        `dead_letters` says what becomes of changes that can't be published; None: they stop.
        `store` keeps the rows of prepared XA transactions."""
        self.binder = binder
        self.clock = clock
        self.cursor = Cursor()
        self.transaction = Transaction(binder.connector)
        self.block = BlockWriter()
        self.changes = ChangeEvents(binder, settings, self.block, self.transaction, self.cursor)
        self.tables = Tables(binder, self.block, self.transaction, self.cursor)
        self.boundaries = Boundaries(self.changes, self.tables, self.transaction, self.cursor)
        dead_changes = DeadChanges(
            binder,
            dead_letters or DeadLetters(Policy()),
            dropped=self.dropped,
            add=self.block.add,
            clock=clock,
        )
        self.unpublishable = Unpublishable(accept, self.dropped, dead_changes)
        self.rows = RowsEvents(self.boundaries, self.cursor, self.unpublishable, dead_changes)
        self.keeper = None if store is None else Keeper(store, self.block.add)
        self.statements = StatementEvents(
            binder, self.boundaries, self.cursor, self.unpublishable, self.keeper
        )
        self.tables_kept: dict[tuple[str, str], BoundTable] = {}
        self.heartbeats = HeartbeatRecords(binder, settings.heartbeat_interval_ms, self.block)
        self.is_started = False
        self.left = None

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
        self.changes.begin_block(now_nanos)
        try:
            if batch.prepares:
                self._keep(batch)
            elif batch.outer:
                self._come_out(batch)
            else:
                self._events(batch)
        except DecodeError as error:
            place = self.cursor.place()
            if place in error.message:
                raise
            raise DecodeError(f"{error.message} (at {place})", hint=error.hint) from error
        self.heartbeats.at(now_nanos)
        return Output(self.block.block(), self.checkpoint())

    def again(
        self, shape: Any, change: RowChange, checkpoint: Checkpoint
    ) -> Output[Record, Checkpoint]:
        """The change events of a row that was a dead letter, numbered behind the checkpoint.

        No more is decoded after that: the stream isn't at its checkpoint."""
        place = change.place
        nothing_open = replace(checkpoint, transaction="", rows_done=0, awaited={})
        self._start(replace(nothing_open, flavor=change.flavor, file=place.file, pos=place.pos))
        self._open(change)
        self.cursor.server_id = change.server_id
        self.changes.begin_block(self.clock())
        self.changes.metadata.is_wanted = False  # how many there were can't be told
        at = Place(place.transaction, place.file, place.pos)
        bound: BoundTable = self.binder.bind(shape, change.flavor, at)
        self.tables.by_id[ROW_ALONE] = bound
        self.rows.first_row = place.row
        kind = binlog.WRITE_ROWS_V1 + "cud".index(change.operation)
        self._event_of(kind, rows_event(change, ROW_ALONE, bound.plan.count))
        return Output(self.block.block(), replace(checkpoint, sequence=self.changes.sequence))

    def _open(self, change: RowChange) -> None:
        """Be inside the transaction of the row, just before it."""
        transaction: Transaction = self.transaction
        name, place = change.place.transaction, change.place
        source, _, number = name.rpartition(":")
        if not change.has_gtid:
            transaction.open_anonymous(source, int(number))
        elif change.flavor == "mysql":
            transaction.open_source(source, int(number), place.pos)
        else:
            domain, server_id, sequence = map(int, name.split("-"))
            transaction.open_domain(domain, server_id, sequence, place.pos)
        transaction.has_begun = True
        transaction.ordinal = place.ordinal - 1
        transaction.commit_micros, transaction.thread = change.time_micros, change.thread

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
            prepared=dict(transaction.prepared),
        )

    def substitutions(self) -> dict[tuple[str, str], int]:
        """(table, column) → values that were substituted as documented (invariant 2)."""
        counts: dict[tuple[str, str], int] = self.tables.substitutions()
        return counts

    def _start(self, start: Checkpoint) -> None:
        self.is_started = True
        self.flavor, self.server = start.flavor, start.server
        self.transaction.start(start)
        if self.keeper is not None:
            self.keeper.forget()
        self.changes.start(start)
        self.cursor.start(start.file, start.pos, start.time_seconds, start.last)
        self.tables.start(start)

    def _come_out(self, batch: EventBatch) -> None:
        """Events of a payload, or rows of a prepared transaction where it is committed."""
        kind = self.cursor.come_out(batch.outer, batch.is_sealed)
        try:
            if kind != TRANSACTION_PAYLOAD:
                self.boundaries.open_if_unnamed()
                self.boundaries.enter()
            if batch.is_kept:
                self._put_back(batch.events)
            else:
                self._events(batch)
        finally:
            self.cursor.go_back()

    def _put_back(self, kept: bytes) -> None:
        """Rows that were kept since their XA PREPARE count now."""
        micros = self.boundaries.time_micros()
        held = self.rows.held
        for row in rows_of(kept):
            if row.topic in held and row.ordinal > self.transaction.skip_until:
                numbered = Revision(self.changes.epoch, self.changes.sequence)
                self.unpublishable.prepared(row, numbered, self.transaction.text())
            bound = self.tables_kept.get((row.topic, row.name))
            if bound is None:
                bound = self.tables_kept[row.topic, row.name] = self.binder.bind_rowless(
                    row.name, row.topic, (row.database, row.table), self.flavor
                )
            self.transaction.ordinal, self.transaction.thread = row.ordinal, row.thread
            self.cursor.server_id = row.server_id
            self.changes.put_back(bound, row, micros)

    def _keep(self, batch: EventBatch) -> None:
        """Events of a transaction that is being prepared: keep what would be published of them."""
        keeper = self.keeper
        assert keeper is not None, "the unfolder has a store, and the decoder has it too"
        if not keeper.is_open:
            keeper.begin(batch.prepares, self.cursor.file, self.transaction.begun_at)
        if keeper.has_failed:
            return
        transaction: Transaction = self.transaction
        changes: ChangeEvents = self.changes
        is_wanted, dropped = changes.metadata.is_wanted, changes.dropped
        # As rows that were published before: decoded, and counted by who counts those.
        transaction.has_begun, transaction.skip_until = True, ORDINAL_MAX
        changes.metadata.is_wanted, changes.dropped = True, Counter()
        changes.keeper = keeper
        self.cursor.look_in(batch.is_sealed)
        try:
            self._events(batch)
        except DecodeError as error:
            keeper.fail(error)
        finally:
            self.cursor.go_back()
            changes.keeper = None
            changes.metadata.is_wanted, changes.dropped = is_wanted, dropped
            transaction.has_begun, transaction.skip_until = False, 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _events(self, batch: EventBatch) -> cython.int:
        """Decode events until there are none, or their records are enough for one output."""
        cursor: Cursor = self.cursor
        block: BlockWriter = self.block
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
            if block.data.n > BLOCK_BYTES_MAX and at < total:
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
            self.rows.event(kind - 30, 2, data, at, end)
        elif kind == TABLE_MAP:
            self.tables.announced(events, data, at, end)
        elif kind == GTID:
            self.boundaries.gtid(events, data, at, end)
        elif kind == XID:
            self.boundaries.commit()
        elif kind == QUERY:
            self.statements.query(events, data, at, end)
        elif kind == MARIADB_GTID:
            self.boundaries.mariadb_gtid(data, at, end)
        elif 23 <= kind <= 25:
            self.rows.event(kind - 23, 1, data, at, end)
        elif kind == ROTATE:
            self.cursor.rotate(events[at:end])
            self.tables.forget_ids()
            self.tables.look_when()
        elif kind == ANONYMOUS_GTID:
            self.boundaries.anonymous_gtid(data, at, end)
        elif kind == GTID_TAGGED:
            self.boundaries.tagged_gtid(events[at:end])
        elif kind == PARTIAL_UPDATE_ROWS:
            self._partial_update(events[at:end])
        elif QUERY_COMPRESSED <= kind <= DELETE_ROWS_COMPRESSED:
            self._compressed(kind, events[at:end])
        elif kind in (HEARTBEAT, HEARTBEAT_V2):
            # No change, but the link lives and nothing is to be read.
            self.cursor.server_seconds = self.changes.now_nanos // 1_000_000_000
        elif kind == FORMAT_DESCRIPTION:
            self.tables.forget_ids()
            self.statements.server_version = version_of(events[at:end])
        elif kind in (ROWS_QUERY, ANNOTATE_ROWS):
            if self.changes.reads_statements:
                # MySQL has a byte of the text's length before it.
                text = events[at if kind == ANNOTATE_ROWS else at + 1 : end]
                self.changes.statement(text.decode("utf-8", "replace"))
        elif kind == XA_PREPARE:
            self.statements.xa_prepare(events[at:end])
        elif kind == binlog.EXECUTE_LOAD_QUERY:
            self.statements.load(events[at:end])
        elif kind == binlog.INCIDENT:
            self.unpublishable.incident(self.cursor.place())
        elif kind not in binlog.WITHOUT_ROW_CHANGES and not flags & binlog.IGNORABLE_FLAG:
            self.unpublishable.unknown_event(kind, self.cursor.place())
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
