# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Statements as text: BEGIN and COMMIT, XA, DDL and TRUNCATE, and DML that should have been rows.

`statements.py` and `xa.py` read the text; here stands what comes of it."""

from __future__ import annotations

from itertools import chain
from typing import Any

import cython

from cdc.capture import statements, xa
from cdc.capture.dialect import dialect_of
from cdc.capture.query_event import LOAD_QUERY_HEAD_BYTES, query_of
from cdc.capture.schema_changes import Said
from cdc.capture.unpublishable import STATEMENT_SHOWN_MAX, Unpublishable
from cdc.model import Revision

if cython.compiled:
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.boundaries import Boundaries
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.boundaries import Boundaries
    from cdc.capture.cursor import Cursor, uint
    from cdc.capture.transaction import Transaction


@cython.cclass
class StatementEvents:
    """Does what QUERY, XA_PREPARE and EXECUTE_LOAD_QUERY events say."""

    def __init__(
        self,
        binder: Any,
        boundaries: Boundaries,
        cursor: Cursor,
        unpublishable: Unpublishable,
        keeper: Any,
    ) -> None:
        """`keeper` drops what it kept of a prepared transaction; None: there is none."""
        self.binder, self.boundaries, self.cursor = binder, boundaries, cursor
        self.changes, self.tables = boundaries.changes, boundaries.tables
        self.transaction = boundaries.transaction
        self.unpublishable, self.keeper = unpublishable, keeper
        self.server_version = 0
        """As the binlog's format description has it."""

    @cython.cfunc
    @cython.exceptval(-1)
    def query(
        self,
        events: bytes,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """A QUERY event: BEGIN here, everything else by `_statement`."""
        text_at: cython.Py_ssize_t
        database_at: cython.Py_ssize_t
        if end - at < 13:
            raise self.cursor.damaged("a QUERY event is too short")
        database_at = at + 13 + uint(data, at + 11, 2)
        text_at = database_at + data[at + 8] + 1
        if text_at > end:
            raise self.cursor.damaged("a QUERY event is too short")
        self.boundaries.open_if_unnamed()
        if end - text_at == 5 and events[text_at:end] == b"BEGIN":
            self.boundaries.begin(uint(data, at, 4))
            return 0
        text = events[text_at:end].decode("utf-8", "replace")
        database = events[database_at : text_at - 1].decode("utf-8", "replace")
        kind = statements.kind_of(text, self.tables.flavor)
        if kind == statements.XA:
            self._xa(text, uint(data, at, 4))
        else:
            self._statement(kind, text, database, events[at + 13 : database_at])
        return 0

    def _statement(self, kind: str, text: str, database: str, variables: bytes) -> None:
        """COMMIT and the like, DDL, and DML that should have been rows."""
        if self.changes.keeper is not None and kind != statements.SAVEPOINT:
            raise self.cursor.damaged("a statement stands in an XA transaction, instead of rows,")
        if kind == statements.COMMIT:
            self.boundaries.commit()
        elif kind == statements.ROLLBACK or kind == statements.ROLLBACK_TO:
            if self.transaction.ordinal:
                self.unpublishable.rolled_back(text, database, self.cursor.place())
            if kind == statements.ROLLBACK:
                self.boundaries.commit()
        elif kind == statements.SAVEPOINT:
            pass
        elif kind == statements.ROWS:
            self._rows(text, database)
        else:
            if kind == statements.TRUNCATE:
                names = statements.truncated_table(text, database, self.tables.flavor)
                self._truncate(text, names)
            else:
                self._definition(text, database, variables)
            self.boundaries.commit_if_alone()

    def _xa(self, text: str, thread: int) -> None:
        """XA statements; the rows between START and END come only where they count."""
        verb, xid = xa.xa_statement(text) or ("", None)
        if verb == "START":
            self.boundaries.begin(thread)
        elif verb == "COMMIT":
            if not self.transaction.has_begun:
                self.unpublishable.prepared_before_start(str(xid), self.cursor.place())
            self._resolve(str(xid))
        elif verb == "ROLLBACK":
            self._resolve(str(xid))
        elif verb != "END":
            shown = text[:STATEMENT_SHOWN_MAX]
            raise self.cursor.damaged(f"the statement {shown!r} can't be read")

    def _resolve(self, xid: str) -> None:
        """It is decided: nothing has to be kept of it."""
        self.boundaries.commit()
        place = self.transaction.resolve(xid)
        if self.keeper is not None and place is not None:
            self.keeper.drop(xid, place)

    def xa_prepare(self, body: bytes) -> None:
        """In one phase it is a commit; else what comes of it is open until XA COMMIT."""
        try:
            is_one_phase, xid = xa.xa_prepare(body)
        except ValueError as error:
            raise self.cursor.damaged(f"an XA_PREPARE event can't be read: {error}") from error
        if is_one_phase:
            self.boundaries.commit()
        elif self.transaction.has_begun:
            raise self.cursor.damaged(f"XA_PREPARE of {xid} stands inside another transaction")
        else:
            chunks = -1 if self.keeper is None else self.keeper.end()
            self.transaction.prepare(str(xid), self.cursor.file, chunks)
            if self.changes.reads_statements:
                self.changes.forget_statement()

    def load(self, body: bytes) -> None:
        """LOAD DATA in statement format: a QUERY with more in front of its variables."""
        try:
            query = query_of(body, LOAD_QUERY_HEAD_BYTES)
        except ValueError as error:
            damaged = f"an EXECUTE_LOAD_QUERY event can't be read: {error}"
            raise self.cursor.damaged(damaged) from error
        text, database = (one.decode("utf-8", "replace") for one in (query.text, query.database))
        self._statement(statements.ROWS, text, database, b"")

    def _rows(self, text: str, database: str) -> None:
        """DML in statement format: its rows can't be known."""
        # The session's database isn't always the table's: names in front of dots count as well.
        named = chain((database,), statements.databases_in(text, self.tables.flavor))
        if not any(map(self._may_capture, named)):
            self.changes.dropped[database, "statement outside the captured databases"] += 1
        else:
            self.unpublishable.rows_as_text(
                text, database, self.cursor.place(), self.transaction.text()
            )
        self.boundaries.commit_if_alone()

    def _may_capture(self, database: str) -> bool:
        """A name in another charset than UTF-8 may be any."""
        return statements.LOST in database or self.binder.captures_database(database)

    def _definition(self, text: str, database: str, variables: bytes) -> None:
        """DDL: what tables are from here on."""
        for changed in statements.tables_changed_in_bulk(text, database, self.tables.flavor):
            if self.binder.captures(*changed):
                self.changes.dropped[
                    ".".join(changed), "rows of partitions or tablespaces, without events"
                ] += 1
        transaction: Transaction = self.transaction
        said = Said(
            ddl=text,
            database=database,
            micros=self.boundaries.time_micros(),
            now_millis=self.changes.now_nanos // 1_000_000,
            server_id=self.cursor.server_id,
            gtid=transaction.text() if transaction.gtid.n > 1 else None,
            file=self.cursor.file,
            position=self.cursor.event_position,
            is_published=transaction.is_resumed,
            dialect=dialect_of(self.tables.flavor, self.server_version, variables),
        )
        self.tables.defined(said)

    def _truncate(self, text: str, names: Any) -> None:
        """An event with neither key nor rows for a captured table."""
        if names is None or (statements.LOST in ".".join(names) and self._may_capture(names[0])):
            self.unpublishable.truncate_of_any(text, self.cursor.place())
            return
        if not self.binder.captures(*names):
            return
        name = ".".join(names)
        if "t" in self.changes.skipped:
            self.changes.dropped[name, "operation t is in skipped.operations"] += 1
            return
        bound: BoundTable = self.tables.named(*names)
        if bound is None:
            self.changes.dropped[name, "truncate of a table of which nothing was published"] += 1
            return
        self.transaction.ordinal += 1
        if self.transaction.ordinal <= self.transaction.skip_until:
            return
        numbered = Revision(self.changes.epoch, self.changes.sequence)
        self.unpublishable.truncated(bound, numbered)
        # Debezium's commit time has milliseconds here.
        micros = (
            self.transaction.commit_micros // 1000 * 1000 or self.cursor.server_seconds * 1000000
        )
        self.changes.truncate(bound, micros)
