# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""`source` of change events: where in the binlog a change stands, and when it was made.

All but its `row` is the same for all rows of an event: encoded once, then copied."""

from __future__ import annotations

import cython

from cdc.capture.avro_out import avro_string

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.cursor import Cursor
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.cursor import Cursor
    from cdc.capture.transaction import Transaction

NO_QUERY = b"\0"


@cython.cclass
class SourceField:
    """What lies before and behind `row`."""

    def __init__(self, transaction: Transaction, cursor: Cursor, with_query: bool) -> None:
        self.transaction, self.cursor = transaction, cursor
        self.head, self.tail = Out(512), Out(64)
        self.with_query = with_query
        self.query = NO_QUERY
        """The text of the statement whose rows come, as an optional Avro string."""

    @cython.cfunc
    @cython.exceptval(-1)
    def statement(self, text: str) -> cython.int:
        """The rows that follow are of this statement."""
        if self.with_query:
            self.query = b"\2" + avro_string(text)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def forget_statement(self) -> cython.int:
        """The statement's rows are over."""
        self.query = NO_QUERY
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def fill(self, bound: BoundTable, micros: cython.longlong) -> cython.int:
        """The changes that follow are of this table, in the cursor's event."""
        head: Out = self.head
        tail: Out = self.tail
        gtid: Out = self.transaction.gtid
        head.n = 0
        head.write(bound.static_source)
        head.varint(micros // 1000)
        head.write(b"\x00\x0afalse")
        head.write(bound.database)
        head.byte(0)
        head.byte(2)
        head.varint(micros)
        head.byte(2)
        head.varint(micros * 1000)
        head.byte(2)
        head.write(bound.table)
        head.varint(self.cursor.server_id)
        head.reserve(gtid.n)
        head.copy(gtid.p, 0, gtid.n)
        head.write(self.cursor.avro_file)
        head.varint(self.cursor.event_position)
        tail.n = 0
        if self.transaction.thread:
            tail.byte(2)
            tail.varint(self.transaction.thread)
        else:
            tail.byte(0)
        tail.write(self.query)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write(self, out: Out, row: cython.longlong) -> cython.int:
        """For the row of this number in its event."""
        out.reserve(self.head.n + self.tail.n)
        out.copy(self.head.p, 0, self.head.n)
        out.varint(row)
        out.copy(self.tail.p, 0, self.tail.n)
        return 0
