# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Row images to Avro: a table's columns as a plan of opcodes, one pass, no object per column.

One source, two forms: plain Python as it stands, or compiled by Cython (types in rows.pxd).
"""

from __future__ import annotations

from typing import Any

import cython

from cdc.capture.columns import short_row
from cdc.dead_letters import UNREADABLE_VALUE
from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.columns import ColumnPlan, VeiledColumn
    from cython.cimports.cdc.capture.opcodes import CHANGED, CONSTANT, EXCLUDED
    from cython.cimports.cdc.capture.values import put_value, step_over
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.columns import ColumnPlan, VeiledColumn
    from cdc.capture.opcodes import CHANGED, CONSTANT, EXCLUDED
    from cdc.capture.values import put_value, step_over

KEY_COLUMNS_MAX = 64


@cython.cclass
class RowPlan:
    """Turns row images of one shape into Avro record bodies and keys."""

    def __init__(self, table: str, columns: list[ColumnPlan]) -> None:
        self.table = table
        self.columns = columns
        self.count = len(columns)
        self.read_columns = [
            column.plain if isinstance(column, VeiledColumn) else column for column in columns
        ]
        """The columns as they are read: what was substituted is counted there."""
        self.key_count = sum(column.key_slot >= 0 for column in columns)
        self.aside = Out(64)
        """Parts of the key that the value doesn't hold in the same form."""
        if self.key_count > KEY_COLUMNS_MAX:
            raise DecodeError(
                f"the key of {table} has {self.key_count} columns, {KEY_COLUMNS_MAX} are possible",
                hint="name fewer columns in message.key.columns",
            )
        if not cython.compiled:
            self.key_start = [0] * KEY_COLUMNS_MAX
            self.key_end = [0] * KEY_COLUMNS_MAX

    @cython.cfunc
    @cython.exceptval(-1)
    def image(
        self,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.p_const_uchar,
        present_at: cython.Py_ssize_t,
        out: Out,
    ) -> cython.Py_ssize_t:
        """Write the image that begins at `at` as an Avro record body; return where it ends.

        `present` holds the columns-present bitmap from `present_at` on; the null bitmap in the
        image has one bit for each column present."""
        i: cython.Py_ssize_t
        nth: cython.Py_ssize_t = 0
        nulls: cython.Py_ssize_t = at
        is_here: cython.bint
        is_null: cython.bint
        column: ColumnPlan
        for i in range(self.count):
            nth += (present[present_at + (i >> 3)] >> (i & 7)) & 1
        at += (nth + 7) >> 3
        if at > end:
            raise short_row(self.table, at, end)
        nth = 0
        self.aside.n = 0
        for i in range(self.count):
            column = self.columns[i]
            out.reserve(0)
            is_here = (present[present_at + (i >> 3)] >> (i & 7)) & 1
            is_null = False
            if is_here:
                is_null = (data[nulls + (nth >> 3)] >> (nth & 7)) & 1
                nth += 1
            if column.kind >= EXCLUDED:
                at = self._veiled(column, is_here, is_null, data, at, end, out)
                continue
            if column.key_slot >= 0:
                self.key_start[column.key_slot] = out.n
            at = _put(column, is_here, is_null, data, at, end, out)
            if column.key_slot >= 0:
                self.key_end[column.key_slot] = out.n
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def _veiled(
        self,
        veiled: VeiledColumn,
        is_here: cython.bint,
        is_null: cython.bint,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        out: Out,
    ) -> cython.Py_ssize_t:
        """Write what a veiled column shows, and its part of the key; return where it ends."""
        begin: cython.Py_ssize_t = out.n
        after: cython.Py_ssize_t = at
        if veiled.kind == EXCLUDED or veiled.kind == CONSTANT:
            if is_here and not is_null:
                after = step_over(veiled, data, at, end)
            if veiled.kind == CONSTANT:
                out.write(veiled.constant)
        elif veiled.kind == CHANGED:
            after = _put_changed(veiled, is_here, is_null, data, at, end, out)
        else:  # APART
            after = _put(veiled.plain, is_here, is_null, data, at, end, out)
        if veiled.key_slot < 0:
            return after
        if veiled.keyed is None:
            self.key_start[veiled.key_slot] = begin
            self.key_end[veiled.key_slot] = out.n
            return after
        self.aside.reserve(0)
        self.key_start[veiled.key_slot] = -1 - self.aside.n
        _put(veiled.keyed, is_here, is_null, data, at, end, self.aside)
        self.key_end[veiled.key_slot] = self.aside.n
        return after

    @cython.cfunc
    @cython.exceptval(-1)
    def skip(
        self,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.p_const_uchar,
        present_at: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Where the image that begins at `at` ends, without reading its values."""
        i: cython.Py_ssize_t
        nth: cython.Py_ssize_t = 0
        nulls: cython.Py_ssize_t = at
        for i in range(self.count):
            nth += (present[present_at + (i >> 3)] >> (i & 7)) & 1
        at += (nth + 7) >> 3
        nth = 0
        for i in range(self.count):
            if at > end:
                raise short_row(self.table, at, end)
            if not (present[present_at + (i >> 3)] >> (i & 7)) & 1:
                continue
            if not (data[nulls + (nth >> 3)] >> (nth & 7)) & 1:
                at = step_over(self.columns[i], data, at, end)
            nth += 1
        if at > end:
            raise short_row(self.table, at, end)
        return at

    @cython.cfunc
    @cython.exceptval(check=False)
    def is_whole(self, present: cython.p_const_uchar, present_at: cython.Py_ssize_t) -> cython.bint:
        """True if the columns-present bitmap leaves no column out."""
        i: cython.Py_ssize_t
        last: cython.int = (1 << (self.count & 7)) - 1
        for i in range(self.count >> 3):
            if present[present_at + i] != 0xFF:
                return False
        # What the last byte has beyond the columns may be set or not.
        return last == 0 or present[present_at + (self.count >> 3)] & last == last

    @cython.cfunc
    def left_out(self, present: cython.p_const_uchar, present_at: cython.Py_ssize_t) -> list[Any]:
        """The columns that the bitmap leaves out, but for those that no record shows."""
        i: cython.Py_ssize_t
        column: ColumnPlan
        found = []
        for i in range(self.count):
            column = self.columns[i]
            is_shown = column.kind != EXCLUDED and column.kind != CONSTANT
            is_here = (present[present_at + (i >> 3)] >> (i & 7)) & 1
            if not is_here and (is_shown or column.key_slot >= 0):
                found.append(self.read_columns[i])
        return found

    def value_end(self, index: int, data: bytes, at: int, end: int) -> int:
        """Where the value of a column ends that begins at `at`; for what needs no speed."""
        octets: cython.p_const_uchar
        if cython.compiled:  # each form knows its own branch only
            octets = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(data))
        else:
            octets = data
        return step_over(self.columns[index], octets, at, end)

    def key_parts(self, present: bytes, image: bytes) -> list[bytes | None]:
        """The key's columns in an image, in key order, None where it leaves one out; for what
        needs no speed. Reads no other column: one that can't be read isn't met."""
        i: cython.Py_ssize_t
        nth: cython.Py_ssize_t = 0
        slot: cython.Py_ssize_t
        at: cython.Py_ssize_t
        end: cython.Py_ssize_t = len(image)
        is_null: cython.bint
        octets: cython.p_const_uchar
        column: ColumnPlan
        counted: ColumnPlan
        out: Out = Out(64)
        aside: Out = self.aside
        parts: list[bytes | None] = [None] * self.key_count
        if cython.compiled:  # each form knows its own branch only
            octets = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(image))
        else:
            octets = image
        here = [i for i in range(self.count) if (present[i >> 3] >> (i & 7)) & 1]
        at = (len(here) + 7) >> 3
        for i in here:
            column = self.columns[i]
            slot = column.key_slot
            is_null = (octets[nth >> 3] >> (nth & 7)) & 1
            nth += 1
            if slot < 0:
                if not is_null:
                    at = step_over(column, octets, at, end)
                continue
            out.n = aside.n = 0
            out.reserve(0)
            counted = self.read_columns[i]
            substitutions = counted.substitutions  # of what is published, which this isn't
            if column.kind >= EXCLUDED:
                at = self._veiled(column, True, is_null, octets, at, end, out)
            else:
                self.key_start[slot] = 0
                at = _put(column, True, is_null, octets, at, end, out)
            counted.substitutions = substitutions
            is_aside = self.key_start[slot] < 0
            parts[slot] = aside.slice(0, aside.n) if is_aside else out.slice(0, out.n)
        return parts

    @cython.cfunc
    @cython.exceptval(-1)
    def key(self, values: Out, out: Out) -> cython.int:
        """Write the key of the image that `values` holds: its columns' bytes, in key order."""
        slot: cython.Py_ssize_t
        start: cython.Py_ssize_t
        size: cython.Py_ssize_t
        for slot in range(self.key_count):
            start = self.key_start[slot]
            if start >= 0:
                size = self.key_end[slot] - start
                out.reserve(size)
                out.copy(values.p, start, size)
            else:
                start = -1 - start
                size = self.key_end[slot] - start
                out.reserve(size)
                out.copy(self.aside.p, start, size)
        return 0


@cython.cfunc
@cython.inline
@cython.exceptval(-1)
def _put(
    column: ColumnPlan,
    is_here: cython.bint,
    is_null: cython.bint,
    data: cython.p_const_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    out: Out,
) -> cython.Py_ssize_t:
    """Write a column, its branch included; return where its value ends in the image."""
    if not is_here:
        _put_absent(column, out)
        return at
    if is_null:
        _put_null(column, out)
        return at
    if column.null_branch >= 0:
        out.byte(2 * column.value_branch)
    return put_value(column, data, at, end, out)


@cython.cfunc
@cython.exceptval(-1)
def _put_null(column: ColumnPlan, out: Out) -> cython.int:
    if column.null_branch < 0:
        raise DecodeError(
            f"column {column.name} of {column.owner} is NOT NULL, but null in a row",
            hint="the binlog contradicts its own table map; check the source",
            kind=UNREADABLE_VALUE,
        )
    if column.null_value is None:
        out.byte(2 * column.null_branch)
    else:
        out.write(column.null_value)
        column.substitutions += 1
    return 0


@cython.cfunc
@cython.exceptval(-1)
def _put_absent(column: ColumnPlan, out: Out) -> cython.int:
    """A column that the row image leaves out."""
    # `Unpublishable.left_out` was asked once for the rows event.
    assert column.absent is not None, f"{column.owner} without {column.name}"
    out.write(column.absent)
    column.substitutions += 1
    return 0


@cython.cfunc
@cython.exceptval(-1)
def _put_changed(
    veiled: VeiledColumn,
    is_here: cython.bint,
    is_null: cython.bint,
    data: cython.p_const_uchar,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    out: Out,
) -> cython.Py_ssize_t:
    """Write a column whose value goes through a function; null and placeholders stay."""
    begin: cython.Py_ssize_t = out.n
    plain: ColumnPlan = veiled.plain
    try:
        at = _put(plain, is_here, is_null, data, at, end, out)
    except DecodeError as error:
        raise veiled.unreadable(error.kind) from None
    if not is_here or is_null:
        return at
    if plain.null_branch >= 0:
        if out.p[begin] != 2 * plain.value_branch:
            return at
        begin += 1
    changed = veiled.change(out.slice(begin, out.n))
    out.n = begin
    out.write(changed)
    return at
