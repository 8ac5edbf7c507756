# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Rows events: the images of a table's rows, one behind the other."""

from __future__ import annotations

import cython

from cdc.capture.unpublishable import Unpublishable
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.boundaries import Boundaries
    from cython.cimports.cdc.capture.change_events import ChangeEvents
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.rows import RowPlan
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.boundaries import Boundaries
    from cdc.capture.change_events import ChangeEvents
    from cdc.capture.cursor import Cursor, uint
    from cdc.capture.rows import RowPlan
    from cdc.capture.transaction import Transaction


@cython.cclass
class RowsEvents:
    """Goes from row to row, and counts each in its transaction."""

    def __init__(
        self, boundaries: Boundaries, cursor: Cursor, unpublishable: Unpublishable
    ) -> None:
        self.boundaries, self.cursor = boundaries, cursor
        self.unpublishable = unpublishable
        self.changes, self.tables = boundaries.changes, boundaries.tables
        self.transaction = boundaries.transaction

    @cython.cfunc
    @cython.exceptval(-1)
    def event(
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
        count: cython.Py_ssize_t
        width: cython.Py_ssize_t
        before_present: cython.Py_ssize_t
        after_present: cython.Py_ssize_t
        if end - at < 10:
            raise self.cursor.damaged("a rows event is too short")
        bound = self.tables.of(uint(data, at, 6))
        if bound is None:
            return 0
        plan = bound.plan
        at += 8
        if version == 2:
            at += uint(data, at, 2)
        if end - at < 2 or (data[at] == 0xFC and end - at < 4):
            raise self.cursor.damaged("a rows event is too short")
        count = data[at] if data[at] != 0xFC else uint(data, at + 1, 2)
        if count != plan.count:
            raise self.cursor.damaged(f"a rows event of {bound.name} has another number of columns")
        at += 1 if data[at] != 0xFC else 3
        width = (count + 7) >> 3
        before_present = after_present = at
        at += width
        if operation == 1:
            after_present = at
            at += width
        if at > end:
            raise self.cursor.damaged("a rows event is too short")
        if not self.transaction.has_begun:
            raise self.cursor.damaged("a rows event stands outside a transaction")
        if bound.captured:
            self.changes.begin_event(
                bound, self.boundaries.time_micros(), data, end, before_present, after_present
            )
            if not (plan.is_whole(data, before_present) and plan.is_whole(data, after_present)):
                absent = plan.left_out(data, before_present) + plan.left_out(data, after_present)
                self.unpublishable.left_out(bound.name, absent)
        if at == end:
            raise self._empty_row(bound.name)
        return self._images(operation, bound, data, at, end, before_present, after_present)

    @cython.cfunc
    @cython.exceptval(-1)
    def _images(
        self,
        operation: cython.int,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> cython.int:
        """The rows of an event: to be published, counted as dropped, or published already."""
        changes: ChangeEvents = self.changes
        transaction: Transaction = self.transaction
        plan: RowPlan = bound.plan
        row: cython.longlong = 0
        before: cython.Py_ssize_t
        while at < end:
            before = at
            transaction.ordinal += 1
            changes.is_muted = transaction.ordinal <= transaction.skip_until
            changes.row = row
            if not bound.captured or (changes.is_muted and not changes.metadata.is_wanted):
                at = plan.skip(data, at, end, data, before_present)
                if operation == 1:
                    at = plan.skip(data, at, end, data, after_present)
            elif operation == 0:
                at = changes.insert(at)
            elif operation == 2:
                at = changes.delete(at)
            else:
                at = changes.update(at)
            if at == before:
                raise self._empty_row(bound.name)
            row += 1
        if not bound.captured:
            changes.dropped[bound.name, bound.drop_reason] += row
        return 0

    def _empty_row(self, name: str) -> DecodeError:
        """The error for a row image of no bytes, of which nobody can tell how many there are."""
        return DecodeError(
            f"a row of {name} at {self.cursor.place()} comes without any column",
            hint="a session wrote it with binlog_row_image other than FULL; set it to FULL"
            " everywhere, then begin after this place",
        )
