# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Rows events: the images of a table's rows, one behind the other."""

from __future__ import annotations

from typing import Any

import cython

from cdc.capture.dead_changes import DeadChanges, Place, RowChange
from cdc.capture.unpublishable import Unpublishable
from cdc.errors import DecodeError
from cdc.model import Revision

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.boundaries import Boundaries
    from cython.cimports.cdc.capture.change_events import ChangeEvents
    from cython.cimports.cdc.capture.cursor import Cursor, uint
    from cython.cimports.cdc.capture.rows import RowPlan
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.avro_out import Out
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
        self,
        boundaries: Boundaries,
        cursor: Cursor,
        unpublishable: Unpublishable,
        dead_changes: DeadChanges,
    ) -> None:
        self.boundaries, self.cursor = boundaries, cursor
        self.unpublishable, self.dead_changes = unpublishable, dead_changes
        self.fault: DecodeError | None = None
        """What keeps all rows of the event from being published."""
        self.first_row = 0
        """The number of an event's first row; not 0 where a row comes again, alone."""
        self.row_at = self.row_end = self.value_at = 0
        """Where the row lies in its event, and where its record begins in the block."""
        self.held: dict[str, Any] = dead_changes.held.by_topic
        """The topics of which keys are held; looked at once for an event while there is none."""
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
        self.fault = None
        if bound.captured:
            self.changes.begin_event(
                bound, self.boundaries.time_micros(), data, end, before_present, after_present
            )
            if not (plan.is_whole(data, before_present) and plan.is_whole(data, after_present)):
                absent = plan.left_out(data, before_present) + plan.left_out(data, after_present)
                self.fault = self.unpublishable.left_out(bound.name, absent)
        if at == end:
            raise self.fault or self._empty_row(bound.name)
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
        """The rows of an event; one that can't be published ends as the policy says."""
        upto: cython.Py_ssize_t
        of_event = self.fault
        self.changes.row = self.first_row
        while at < end:
            upto = end
            if self.held and bound.topic in self.held:  # row by row, from the dead one on
                self.row_at = at
                images = self._row_images(
                    operation, bound, data, end, before_present, after_present
                )
                upto, self.fault = self.row_end, self._behind(bound, images) or of_event
            fault = self.fault
            try:
                at = self._rows(operation, bound, data, at, upto, before_present, after_present)
            except DecodeError as error:
                if not error.kind:  # nobody can tell where the next row begins
                    raise
                at, fault = self.row_at, error
            if at < upto:
                at = self._set_aside(
                    fault, operation, bound, data, end, before_present, after_present
                )
            self.fault = of_event
        if not bound.captured:
            self.changes.dropped[bound.name, bound.drop_reason] += self.changes.row
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _rows(
        self,
        operation: cython.int,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Rows up to `end`: to be published, counted as dropped, or published already.

        Returns before that at a row of an event that is at fault."""
        changes: ChangeEvents = self.changes
        transaction: Transaction = self.transaction
        plan: RowPlan = bound.plan
        while at < end:
            self.row_at, self.value_at = at, changes.block.data.n
            transaction.ordinal += 1
            changes.is_muted = transaction.ordinal <= transaction.skip_until
            if not bound.captured or (changes.is_muted and not changes.metadata.is_wanted):
                at = plan.skip(data, at, end, data, before_present)
                if operation == 1:
                    at = plan.skip(data, at, end, data, after_present)
            elif self.fault is not None:
                return at
            elif operation == 0:
                at = changes.insert(at)
            elif operation == 2:
                at = changes.delete(at)
            else:
                at = changes.update(at)
            if at == self.row_at:
                raise self._empty_row(bound.name)
            changes.row += 1
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def _set_aside(
        self,
        error: Any,
        operation: cython.int,
        bound: BoundTable,
        data: cython.p_const_uchar,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """The row begun last can't be published; where it ends, once that is settled."""
        changes: ChangeEvents = self.changes
        # Records are noted once they are whole: bytes are all that is to be taken back.
        changes.block.data.n = self.value_at
        if changes.keeper is not None:
            raise error
        images = self._row_images(operation, bound, data, end, before_present, after_present)
        if not changes.is_muted:
            change = self._change("cud"[operation], images)
            if self.dead_changes.row(bound, change, error):
                changes.sequence += 1
        changes.row += 1
        return self.row_end

    @cython.cfunc
    def _row_images(
        self,
        operation: cython.int,
        bound: BoundTable,
        data: cython.p_const_uchar,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> list[Any]:
        """The images of the row at `row_at`, with their bitmaps; `row_end` is where it ends."""
        plan: RowPlan = bound.plan
        width: cython.Py_ssize_t = (plan.count + 7) >> 3
        at: cython.Py_ssize_t = self.row_at
        images = []
        if operation != 0:
            at = plan.skip(data, at, end, data, before_present)
            present = _octets(data, before_present, before_present + width)
            images.append(("before", present, _octets(data, self.row_at, at)))
        if operation != 2:
            begin: cython.Py_ssize_t = at
            at = plan.skip(data, at, end, data, after_present)
            present = _octets(data, after_present, after_present + width)
            images.append(("after", present, _octets(data, begin, at)))
        if at == self.row_at:
            raise self._empty_row(bound.name)
        self.row_end = at
        return images

    def _behind(self, bound: BoundTable, images: list[Any]) -> DecodeError | None:
        """Why the row that comes next must wait, if it must."""
        transaction: Transaction = self.transaction
        changes: ChangeEvents = self.changes
        numbered = Revision(changes.epoch, changes.sequence)
        return self.dead_changes.behind(
            bound, images, numbered, transaction.text(), transaction.ordinal + 1
        )

    def _change(self, operation: str, images: list[tuple[str, bytes, bytes]]) -> RowChange:
        """All that is known of the row begun last."""
        changes: ChangeEvents = self.changes
        transaction: Transaction = self.transaction
        place = Place(
            transaction.text(),
            self.cursor.file,
            self.cursor.event_position,
            transaction.ordinal,
            changes.row,
        )
        return RowChange(
            place,
            operation,
            images,
            flavor=self.tables.flavor,
            has_gtid=transaction.gtid.n > 1,
            server_id=self.cursor.server_id,
            thread=transaction.thread,
            time_micros=self.boundaries.time_micros(),
            epoch=changes.epoch,
            sequence=changes.sequence + 1,
        )

    def _empty_row(self, name: str) -> DecodeError:
        """The error for a row image of no bytes, of which nobody can tell how many there are."""
        return DecodeError(
            f"a row of {name} at {self.cursor.place()} comes without any column",
            hint="a session wrote it with binlog_row_image other than FULL; set it to FULL"
            " everywhere, then begin after this place",
        )


@cython.cfunc
def _octets(data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """Those from `at` to `end` as an object of their own."""
    out: Out = Out(64)
    out.reserve(end - at)
    out.copy(data, at, end - at)
    return out.value()
