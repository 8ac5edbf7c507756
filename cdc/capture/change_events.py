# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Row images become change event records: envelope, key, revision and id of each.

Nothing here makes an object per row, and what is the same for all rows of an event is worked out
once: `begin_event` comes before its rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cython

from cdc.capture.prepared_rows import PreparedRow
from cdc.dead_letters import OVERSIZED_RECORD
from cdc.errors import DecodeError
from cdc.model import ORDINAL_BITS, SEQUENCE_BITS

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.block_writer import BlockWriter
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.context_headers import ContextHeaders
    from cython.cimports.cdc.capture.cursor import Cursor
    from cython.cimports.cdc.capture.source_field import SourceField
    from cython.cimports.cdc.capture.transaction import Transaction, decimal
    from cython.cimports.cdc.capture.transaction_metadata import TransactionMetadata
    from cython.cimports.cdc.codec.partition import hash_of
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.block_writer import BlockWriter
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.context_headers import ContextHeaders
    from cdc.capture.cursor import Cursor
    from cdc.capture.source_field import SourceField
    from cdc.capture.transaction import Transaction, decimal
    from cdc.capture.transaction_metadata import TransactionMetadata
    from cdc.codec.partition import hash_of

FRAME_BYTES = cython.declare(cython.Py_ssize_t, 5)
REVISION_BYTES = cython.declare(cython.Py_ssize_t, 8)
_ORDINAL_BITS = cython.declare(cython.int, ORDINAL_BITS)
_SEQUENCE_BITS = cython.declare(cython.int, SEQUENCE_BITS)
RECORD_OVERHEAD_BYTES = cython.declare(cython.Py_ssize_t, 1024)
"""What a record has beside images, `source`, keys and id at most: times, headers, the log's own."""
UNCHANGED = "skip.messages.without.change: no published column changed"


@cython.cclass
class ChangeEvents:
    """Writes those of rows into the block."""

    def __init__(
        self,
        binder: Any,
        settings: Any,
        block: BlockWriter,
        transaction: Transaction,
        cursor: Cursor,
    ) -> None:
        self.block = block
        self.transaction = transaction
        self.source = SourceField(transaction, cursor, settings.include_query)
        self.metadata = TransactionMetadata(
            binder, settings.provide_transaction_metadata, transaction, block
        )
        self.context = ContextHeaders(binder.connector, settings, block)
        self.reads_statements = bool(settings.include_query or settings.context_keys)
        """The records say something of the statement that their rows are of."""
        self.tombstones = settings.tombstones_on_delete
        self.skipped = settings.skipped_operations
        self.skips_unchanged = settings.skip_messages_without_change
        self.dropped = Counter[tuple[str, str]]()
        """(table, reason) → changes that were dropped by a named rule (invariant 2)."""
        self.old_key, self.new_key = Out(256), Out(256)

    def start(self, checkpoint: Any) -> None:
        """Begin at a checkpoint: numbers go on behind its own."""
        self.epoch, self.sequence = checkpoint.epoch, checkpoint.sequence
        self.is_muted = False
        """The rows now read were published before a restart: count them, no more."""
        self.keeper: Any = None
        """Takes the rows now read, which are muted: they are of a transaction that is prepared."""
        self.source.forget_statement()
        self.context.start(checkpoint.flavor)

    def begin_block(self, now_nanos: int) -> None:
        """The events that follow are of this time, and in one block."""
        self.block.begin()
        self.now_nanos = now_nanos
        self.context.begin_block()
        times = Out(64)
        for unit in (1_000_000, 1_000, 1):
            times.put(1)
            times.put(now_nanos // unit)
        self.now = times.value()
        """As every envelope has it: milliseconds, microseconds, nanoseconds."""

    @cython.cfunc
    @cython.exceptval(-1)
    def statement(self, text: str) -> cython.int:
        """The rows that follow are of this statement."""
        self.source.statement(text)
        self.context.statement(text)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def forget_statement(self) -> cython.int:
        """The statement's rows are over."""
        self.source.forget_statement()
        self.context.forget_statement()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def begin_event(
        self,
        bound: BoundTable,
        micros: cython.longlong,
        data: cython.p_const_uchar,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
    ) -> cython.int:
        """Rows of this table follow; images lie in `data` up to `end`.

        `before_present` and `after_present`: where the bitmaps of the columns in them begin."""
        self.bound, self.topic = bound, self.block.topic_of(bound)
        self.images, self.images_end = data, end
        self.before_present, self.after_present = before_present, after_present
        self.row = 0
        """The row's number in its event."""
        self.source.fill(bound, micros)
        self.images_bytes_max = 0
        """Of a record's images and keys; 0: any number."""
        if bound.record_bytes_max:
            self.images_bytes_max = max(
                1,
                bound.record_bytes_max
                - RECORD_OVERHEAD_BYTES
                - self.source.head.n
                - self.source.tail.n
                - self.transaction.id_prefix.n,
            )
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def insert(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """A row came; returns where its image ends, as the next two do."""
        out: Out = self.block.data
        value_at: cython.Py_ssize_t = out.n
        out.write(self.bound.value_frame)
        out.byte(0)
        out.byte(2)
        at = self.bound.plan.image(
            self.images, at, self.images_end, self.images, self.after_present, out
        )
        self._key(self.new_key)
        self._emit(value_at, 0x63, self.new_key, -1)
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def delete(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """A row went: the event, and the key's tombstone."""
        out: Out = self.block.data
        value_at: cython.Py_ssize_t = out.n
        out.write(self.bound.value_frame)
        out.byte(2)
        at = self.bound.plan.image(
            self.images, at, self.images_end, self.images, self.before_present, out
        )
        out.reserve(1)
        out.byte(0)
        self._key(self.old_key)
        self._emit(value_at, 0x64, self.old_key, -1)
        self._tombstone(self.old_key)
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def update(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """A row changed."""
        data: cython.p_const_uchar = self.images
        end: cython.Py_ssize_t = self.images_end
        out: Out = self.block.data
        value_at: cython.Py_ssize_t = out.n
        before_end: cython.Py_ssize_t
        out.write(self.bound.value_frame)
        out.byte(2)
        at = self.bound.plan.image(data, at, end, data, self.before_present, out)
        before_end = out.n
        self._key(self.old_key)
        out.reserve(1)
        out.byte(2)
        at = self.bound.plan.image(data, at, end, data, self.after_present, out)
        self._key(self.new_key)
        if not self.new_key.equals(self.old_key):
            self._change_key(value_at, before_end)
        elif self.skips_unchanged and self._is_unchanged(value_at, before_end):
            out.n = value_at
            self.dropped[self.bound.name, UNCHANGED] += 1
        else:
            self._emit(value_at, 0x75, self.new_key, -1)
        return at

    @cython.cfunc
    @cython.exceptval(check=False)
    def _is_unchanged(
        self, value_at: cython.Py_ssize_t, before_end: cython.Py_ssize_t
    ) -> cython.bint:
        """True if the row is published alike before and after: what changed is left out."""
        out: Out = self.block.data
        before: cython.Py_ssize_t = value_at + FRAME_BYTES
        size: cython.Py_ssize_t = before_end - before
        i: cython.Py_ssize_t
        if out.n - before_end != size:
            return False
        for i in range(size):  # noqa: SIM110  # a generator would be an object per byte
            if out.p[before + i] != out.p[before_end + i]:
                return False
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _change_key(self, value_at: cython.Py_ssize_t, before_end: cython.Py_ssize_t) -> cython.int:
        """The old key's row goes, the new key's row comes, as Debezium has it."""
        out: Out = self.block.data
        # Both, before the first of them is noted; each has the other's key as a header.
        keys: cython.Py_ssize_t = self.old_key.n + self.new_key.n
        self._check_size(before_end - value_at + keys)
        self._check_size(out.n - before_end + keys)
        before = out.slice(value_at, before_end)
        after = out.slice(before_end + 1, out.n)
        out.n = value_at
        out.write(before)
        out.byte(0)
        further: cython.Py_ssize_t
        further = self.context.with_key("__debezium.newkey", self.new_key.value())
        self._emit(value_at, 0x64, self.old_key, further)
        self._tombstone(self.old_key)
        value_at = out.n
        out.write(self.bound.value_frame)
        out.byte(0)
        out.byte(2)
        out.write(after)
        further = self.context.with_key("__debezium.oldkey", self.old_key.value())
        self._emit(value_at, 0x63, self.new_key, further)
        return 0

    def truncate(self, bound: BoundTable, micros: int) -> None:
        """All rows went: an event with neither key nor rows."""
        self.bound, self.topic, self.row = bound, self.block.topic_of(bound), 0
        self.source.fill(bound, micros)
        out: Out = self.block.data
        value_at: cython.Py_ssize_t = out.n
        out.write(bound.value_frame)
        out.byte(0)
        out.byte(0)
        self._finish(out, 0x74, False)
        value_size: cython.Py_ssize_t = out.n - value_at
        revision_at: cython.Py_ssize_t = out.n
        self._revision(out)
        self.block.note(
            self.topic, 0, 0, -1, value_at, value_size, revision_at,
            out.n - revision_at - REVISION_BYTES, self.context.index,
        )  # fmt: skip

    @cython.cfunc
    @cython.exceptval(-1)
    def _key(self, key: Out) -> cython.int:
        """The framed key of the image last written; nothing for a table without one."""
        key.n = 0
        if self.bound.plan.key_count:
            key.write(self.bound.key_frame)
            self.bound.plan.key(self.block.data, key)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _put_key(self, out: Out, key: Out) -> cython.longlong:
        """Write a record's key; returns its place."""
        if not key.n:
            return 0
        out.reserve(key.n)
        out.copy(key.p, 0, key.n)
        return hash_of(key.p, FRAME_BYTES, key.n - FRAME_BYTES) & 0x7FFFFFFF

    @cython.cfunc
    @cython.exceptval(-1)
    def _finish(self, out: Out, operation: cython.int, is_counted: cython.bint) -> cython.int:
        """Write `source`, `transaction`, `op` and times behind the images."""
        self.source.write(out, self.row)
        if is_counted:
            self.metadata.write(out, self.bound.name)
        else:
            out.byte(0)
        out.byte(2)
        out.byte(operation)
        out.write(self.now)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _emit(
        self,
        value_at: cython.Py_ssize_t,
        operation: cython.int,
        key: Out,
        further: cython.Py_ssize_t,
    ) -> cython.int:
        """Finish the change event whose images begin at `value_at`; key and headers behind it."""
        out: Out = self.block.data
        value_size: cython.Py_ssize_t
        key_at: cython.Py_ssize_t
        revision_at: cython.Py_ssize_t
        place: cython.longlong
        if self.skipped and chr(operation) in self.skipped:
            out.n = value_at
            self.dropped[
                self.bound.name, f"operation {chr(operation)} is in skipped.operations"
            ] += 1
            return 0
        self._check_size(out.n - value_at + key.n)
        if self.metadata.is_wanted:
            self.metadata.count(self.bound.name)
        if self.is_muted:
            if self.keeper is not None:
                return self._keep(value_at, operation, key, further)
            out.n = value_at
            return 0
        self._finish(out, operation, self.metadata.is_wanted)
        value_size = out.n - value_at
        key_at = out.n
        place = self._put_key(out, key)
        revision_at = out.n
        self._revision(out)
        self.block.note(
            self.topic, place, key_at, key.n if key.n else -1, value_at, value_size,
            revision_at, out.n - revision_at - REVISION_BYTES,
            further if further >= 0 else self.context.index,
        )  # fmt: skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _keep(
        self,
        value_at: cython.Py_ssize_t,
        operation: cython.int,
        key: Out,
        further: cython.Py_ssize_t,
    ) -> cython.int:
        """Give the change event whose images begin at `value_at` to the keeper."""
        out: Out = self.block.data
        bound: BoundTable = self.bound
        images = out.slice(value_at, out.n)
        out.n = value_at  # the keeper may write a record there
        self.keeper.row(
            PreparedRow(
                operation,
                self.transaction.ordinal,
                self.row,
                self.source.cursor.server_id,
                self.transaction.thread,
                bound.name,
                operation == 0x64 and further >= 0 and "c" not in self.skipped,
                bound.topic,
                bound.database,
                bound.table,
                self.source.query,
                self.context.of_statement,
                self.block.further[further][0] if further >= 0 else None,
                key.value(),
                images,
            )
        )
        return 0

    def put_back(self, bound: BoundTable, row: Any, micros: int) -> None:
        """A row that was kept is committed: its change event."""
        self.is_muted = self.transaction.ordinal <= self.transaction.skip_until
        if self.is_muted and not self.metadata.is_wanted:
            return
        self.bound, self.topic, self.row = bound, self.block.topic_of(bound), row.row
        self.images_bytes_max = 0  # that was looked at
        if self.reads_statements:
            self.source.query = row.query
            self.context.of_statement = row.headers
            self.context._show()
        self.source.fill(bound, micros)
        further: cython.Py_ssize_t = -1
        if row.other_key is not None:
            further = self.context.with_key(row.other_key[0], row.other_key[1])
        out: Out = self.block.data
        value_at: cython.Py_ssize_t = out.n
        out.write(row.images)
        key: Out = self.new_key
        key.n = 0
        key.write(row.key)
        self._emit(value_at, row.operation, key, further)
        if row.operation == 0x64:
            self._tombstone(key)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1)
    def _check_size(self, size: cython.Py_ssize_t) -> cython.int:
        """Images and keys of so many bytes fit into a record; nothing of it is noted yet."""
        if self.images_bytes_max and size > self.images_bytes_max:
            raise DecodeError(
                f"a change of {self.bound.name} has {size} bytes of images and key, more than a"
                f" record of {self.bound.topic} can hold: {self.bound.record_bytes_max} bytes",
                hint="raise max.message.bytes of the topic and message.max.bytes in log.options, or"
                " leave the large column out",
                kind=OVERSIZED_RECORD,
            )
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _tombstone(self, key: Out) -> cython.int:
        """The key's last record; Debezium writes one for a table without a key as well."""
        out: Out = self.block.data
        key_at: cython.Py_ssize_t = out.n
        if not self.tombstones or self.is_muted or "d" in self.skipped:
            return 0
        place: cython.longlong = self._put_key(out, key)
        self.block.note(
            self.topic, place, key_at, key.n if key.n else -1, 0, -1, -1, 0,
            self.context.index,
        )  # fmt: skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _revision(self, out: Out) -> cython.int:
        """The change's revision and id (invariant 4); a new sequence number each time."""
        prefix: Out = self.transaction.id_prefix
        revision: cython.ulonglong
        i: cython.int
        self.sequence += 1
        revision = (self.epoch << _SEQUENCE_BITS | self.sequence) << _ORDINAL_BITS
        out.reserve(REVISION_BYTES + prefix.n)
        for i in range(8):
            out.byte((revision >> (56 - 8 * i)) & 0xFF)
        out.copy(prefix.p, 0, prefix.n)
        decimal(out, self.transaction.ordinal)
        return 0
