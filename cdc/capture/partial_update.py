"""PARTIAL_UPDATE_ROWS events (39) as the ordinary UPDATE_ROWS events that they stand for.

Where `binlog_row_value_options=PARTIAL_JSON` is on, an after image may hold diffs of a JSON
value instead of the value. Each is applied to the before image's. Pure: a body in, a body out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cdc.capture import binlog
from cdc.capture.json_diff import apply_diffs
from cdc.errors import DecodeError

_PARTIAL_JSON = 1
"""Bit of the value options that stand before each after image."""
_HEAD_BYTES = 8
_LENGTH_BYTES = 4
"""In front of a JSON value, partial or not."""


class Columns(Protocol):
    """What must be known of the table's columns."""

    table: str
    count: int

    def value_end(self, index: int, data: bytes, at: int, end: int) -> int:
        """Where a column's value ends that begins at `at`."""
        ...


def ordinary_update(
    body: bytes, columns: Columns, json_columns: Sequence[int], *, with_values: bool
) -> bytes:
    """The body of the UPDATE_ROWS event with whole values in its after images.

    Without `with_values` partial values become empty ones: the rows are only stepped over."""
    at = _HEAD_BYTES + int.from_bytes(body[_HEAD_BYTES : _HEAD_BYTES + 2], "little")
    is_wide = body[at : at + 1] == b"\xfc"
    count = int.from_bytes(body[at + 1 : at + 3] if is_wide else body[at : at + 1], "little")
    at += 3 if is_wide else 1
    width = (columns.count + 7) // 8
    images = at + 2 * width
    if count != columns.count or images > len(body):
        raise _damaged(columns, f"it has {count} columns, its table {columns.count}")
    reader = _Reader(body, columns, json_columns, with_values=with_values)
    before, after = body[at : at + width], body[at + width : images]
    parts = [body[:images]]
    at = images
    while at < len(body):
        begin = at
        values, at = reader.image(at, before)
        parts.append(body[begin:at])
        at = reader.after_image(at, after, values, parts)
        if at == begin:
            raise _damaged(columns, "a row has no bytes")
    return b"".join(parts)


class _Reader:
    """Steps over the images of one event."""

    def __init__(
        self, body: bytes, columns: Columns, json_columns: Sequence[int], *, with_values: bool
    ) -> None:
        self._body, self._columns, self._with_values = body, columns, with_values
        self._json_bits = {column: bit for bit, column in enumerate(json_columns)}

    def image(self, at: int, present: bytes) -> tuple[dict[int, tuple[int, int]], int]:
        """Begin and end of the values that aren't null, by column; where the image ends."""
        values: dict[int, tuple[int, int]] = {}
        there = [i for i in range(self._columns.count) if _bit(present, i)]
        nulls = self._take(at, (len(there) + 7) // 8)
        at += len(nulls)
        for nth, column in enumerate(there):
            if not _bit(nulls, nth):
                begin = at
                at = self._columns.value_end(column, self._body, begin, len(self._body))
                values[column] = (begin, at)
        return values, at

    def after_image(
        self, at: int, present: bytes, before: dict[int, tuple[int, int]], parts: list[bytes]
    ) -> int:
        """Append the image with whole values; return where it ends."""
        options = self._take(at, 1)[0]
        if options not in (0, _PARTIAL_JSON):
            raise _damaged(self._columns, f"its value options are {options}")
        at += 1
        # One bit for each JSON column of the table, whether the image has it or not.
        partial = self._take(at, (len(self._json_bits) + 7) // 8) if options else b""
        begin = at + len(partial)
        values, end = self.image(begin, present)
        copied = begin
        for column, (value_at, value_end) in values.items():
            bit = self._json_bits.get(column)
            if bit is None or not partial or not _bit(partial, bit):
                continue
            whole = b""
            if self._with_values:
                whole = self._applied(column, before, value_at, value_end)
            parts += (self._body[copied:value_at], len(whole).to_bytes(_LENGTH_BYTES, "little"))
            parts.append(whole)
            copied = value_end
        parts.append(self._body[copied:end])
        return end

    def _applied(
        self, column: int, before: dict[int, tuple[int, int]], begin: int, end: int
    ) -> bytes:
        if column not in before:
            raise DecodeError(
                f"a JSON value of {self._columns.table} comes as an update in part, without the"
                " value before it",
                hint="a session wrote it with binlog_row_value_options=PARTIAL_JSON and a"
                " binlog_row_image other than FULL; leave one of them out everywhere, then begin"
                " after this place",
            )
        old_begin, old_end = before[column]
        document = self._body[old_begin + _LENGTH_BYTES : old_end]
        return apply_diffs(document, self._body[begin + _LENGTH_BYTES : end])

    def _take(self, at: int, size: int) -> bytes:
        if at + size > len(self._body):
            raise _damaged(self._columns, f"it ends at byte {len(self._body)}")
        return self._body[at : at + size]


def _bit(bitmap: bytes, index: int) -> int:
    return bitmap[index >> 3] >> (index & 7) & 1


def _damaged(columns: Columns, what: str) -> DecodeError:
    return DecodeError(
        f"a PARTIAL_UPDATE_ROWS event of {columns.table} can't be read: {what}",
        hint=binlog.DAMAGED_HINT,
    )
