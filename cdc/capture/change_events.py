# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Row images become change event records, written one behind the other into a block.

Nothing here makes an object per row: value, key, revision and id are bytes of the block, and
`records.ENTRY` says where they lie. What is the same for all rows of an event, most of `source`,
is encoded once and copied."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import cython

from cdc.capture.avro_out import avro_string
from cdc.capture.statement_context import context_of
from cdc.model import ORDINAL_BITS, SEQUENCE_BITS, Headers
from cdc.records import ENTRY, RecordBlock

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.bound_table import BoundTable
    from cython.cimports.cdc.capture.cursor import Cursor
    from cython.cimports.cdc.capture.transaction import Transaction, decimal
    from cython.cimports.cdc.codec.partition import hash_of
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.bound_table import BoundTable
    from cdc.capture.cursor import Cursor
    from cdc.capture.transaction import Transaction, decimal
    from cdc.codec.partition import hash_of

FRAME_BYTES = cython.declare(cython.Py_ssize_t, 5)
REVISION_BYTES = cython.declare(cython.Py_ssize_t, 8)
ENTRY_BYTES = cython.declare(cython.Py_ssize_t, ENTRY.size)
_ORDINAL_BITS = cython.declare(cython.int, ORDINAL_BITS)
_SEQUENCE_BITS = cython.declare(cython.int, SEQUENCE_BITS)
NO_QUERY = b"\0"
UNCHANGED = "skip.messages.without.change: no published column changed"
DATA_BYTES_MIN, ENTRIES_BYTES_MIN = 1 << 14, 1 << 11


def context_headers(connector: str, flavor: str, run_id: str) -> Headers:
    """Debezium's headers about the connector (`extended.headers.enabled`)."""
    values = {
        "connectorLogicalName": connector,
        "taskId": "0",
        "connectorName": flavor,
        "runId": run_id,
    }
    return [(f"__debezium.context.{name}", text.encode()) for name, text in values.items()]


@cython.cclass
class ChangeEvents:
    """The records of a batch, as they come to be."""

    def __init__(
        self, binder: Any, settings: Any, transaction: Transaction, cursor: Cursor
    ) -> None:
        self.binder = binder
        self.cursor = cursor
        self.transaction = transaction
        self.tombstones = settings.tombstones_on_delete
        self.skipped = settings.skipped_operations
        self.skips_unchanged = settings.skip_messages_without_change
        self.run_id = str(uuid.uuid4()) if settings.extended_headers_enabled else ""
        self.connector_headers: Headers = ()
        """Headers of every record of a table, if these are wanted."""
        self.with_query = settings.include_query
        self.context_keys = settings.context_keys
        self.statement_headers: Headers = ()
        self.with_transactions = settings.provide_transaction_metadata
        self.dropped = Counter[tuple[str, str]]()
        """(table, reason) → changes that were dropped by a named rule (invariant 2)."""
        self.topics: list[str] = []
        self.topic_indexes: dict[str, int] = {}
        self.head, self.tail = Out(512), Out(64)
        """`source` before and after its `row`."""
        self.old_key, self.new_key = Out(256), Out(256)
        self.data, self.entries = Out(DATA_BYTES_MIN), Out(ENTRIES_BYTES_MIN)
        self.further: list[Headers] = []
        self.query = NO_QUERY
        """The text of the statement whose rows come, as an optional Avro string."""
        self.connector_index = self.context_index = -1
        """Of `further`: what every record has, and what those of this statement have."""
        self.total_order = 0
        self.collections: dict[str, int] = {}

    def start(self, checkpoint: Any) -> None:
        """Begin at a checkpoint: numbers go on behind its own."""
        self.epoch, self.sequence = checkpoint.epoch, checkpoint.sequence
        self.is_muted = False
        """The rows now read were published before a restart: count them, no more."""
        self.total_order = 0
        self.forget_statement()
        if self.run_id:
            self.connector_headers = context_headers(
                self.binder.connector, checkpoint.flavor, self.run_id
            )

    def begin_block(self, now_nanos: int) -> None:
        """The events that follow are of this time, and in one block."""
        # As large as the last one came to be, so that it needn't grow by copying.
        self.data = Out(max(DATA_BYTES_MIN, self.data.n + self.data.n // 8))
        self.entries = Out(max(ENTRIES_BYTES_MIN, self.entries.n + self.entries.n // 8))
        self.further = []
        self.connector_index = -1
        if self.connector_headers:
            self.further.append(self.connector_headers)
            self.connector_index = 0
        self._show_context()
        times = Out(64)
        for unit in (1_000_000, 1_000, 1):
            times.put(1)
            times.put(now_nanos // unit)
        self.now = times.value()

    def block(self) -> RecordBlock:
        """What was written since `begin_block`."""
        return RecordBlock(
            self.data.buffer,
            self.entries.buffer,
            self.entries.n // ENTRY_BYTES,
            self.topics,
            self.further,
        )

    def statement(self, text: str) -> None:
        """The rows that follow are of this statement."""
        if self.with_query:
            self.query = b"\2" + avro_string(text)
        if self.context_keys:
            self.statement_headers = context_of(text, self.context_keys)
            self._show_context()

    def forget_statement(self) -> None:
        """The statement's rows are over."""
        self.query = NO_QUERY
        self.statement_headers = ()
        self.context_index = self.connector_index

    def _show_context(self) -> None:
        self.context_index = self.connector_index
        if self.statement_headers:
            self.further.append([*self.connector_headers, *self.statement_headers])
            self.context_index = len(self.further) - 1

    @cython.cfunc
    @cython.exceptval(-1)
    def source(
        self,
        bound: BoundTable,
        micros: cython.longlong,
    ) -> cython.int:
        """What of `source` is the same for all rows of an event: before and after `row`."""
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
    def insert(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        """A row came; returns where its image ends, as the next two do."""
        out: Out = self.data
        value_at: cython.Py_ssize_t = out.n
        out.write(bound.value_frame)
        out.byte(0)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, present, out)
        self._key(bound, self.new_key)
        self._emit(bound, value_at, row, 0x63, self.new_key, -1)
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def delete(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        """A row went: the event, and the key's tombstone."""
        out: Out = self.data
        value_at: cython.Py_ssize_t = out.n
        out.write(bound.value_frame)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, present, out)
        out.reserve(1)
        out.byte(0)
        self._key(bound, self.old_key)
        self._emit(bound, value_at, row, 0x64, self.old_key, -1)
        self._tombstone(bound, self.old_key)
        return at

    @cython.cfunc
    @cython.exceptval(-1)
    def update(
        self,
        bound: BoundTable,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        before_present: cython.Py_ssize_t,
        after_present: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.Py_ssize_t:
        """A row changed."""
        out: Out = self.data
        value_at: cython.Py_ssize_t = out.n
        before_end: cython.Py_ssize_t
        out.write(bound.value_frame)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, before_present, out)
        before_end = out.n
        self._key(bound, self.old_key)
        out.reserve(1)
        out.byte(2)
        at = bound.plan.image(data, at, end, data, after_present, out)
        self._key(bound, self.new_key)
        if not self.new_key.equals(self.old_key):
            self._change_key(bound, value_at, before_end, row)
        elif self.skips_unchanged and self._is_unchanged(value_at, before_end):
            out.n = value_at
            self.dropped[bound.name, UNCHANGED] += 1
        else:
            self._emit(bound, value_at, row, 0x75, self.new_key, -1)
        return at

    @cython.cfunc
    @cython.exceptval(check=False)
    def _is_unchanged(
        self, value_at: cython.Py_ssize_t, before_end: cython.Py_ssize_t
    ) -> cython.bint:
        """True if the row is published alike before and after: what changed is left out."""
        out: Out = self.data
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
    def _change_key(
        self,
        bound: BoundTable,
        value_at: cython.Py_ssize_t,
        before_end: cython.Py_ssize_t,
        row: cython.longlong,
    ) -> cython.int:
        """The old key's row goes, the new key's row comes, as Debezium has it."""
        out: Out = self.data
        before = out.slice(value_at, before_end)
        after = out.slice(before_end + 1, out.n)
        out.n = value_at
        out.write(before)
        out.byte(0)
        context = (*self.connector_headers, *self.statement_headers)
        self.further.append([("__debezium.newkey", self.new_key.value()), *context])
        self._emit(bound, value_at, row, 0x64, self.old_key, len(self.further) - 1)
        self._tombstone(bound, self.old_key)
        value_at = out.n
        out.write(bound.value_frame)
        out.byte(0)
        out.byte(2)
        out.write(after)
        self.further.append([("__debezium.oldkey", self.old_key.value()), *context])
        self._emit(bound, value_at, row, 0x63, self.new_key, len(self.further) - 1)
        return 0

    def truncate(self, bound: BoundTable) -> None:
        """All rows went: an event with neither key nor rows; `source` was called before."""
        out: Out = self.data
        value_at: cython.Py_ssize_t = out.n
        out.write(bound.value_frame)
        out.byte(0)
        out.byte(0)
        self._finish(bound, 0, 0x74, 0)
        value_size: cython.Py_ssize_t = out.n - value_at
        revision_at: cython.Py_ssize_t = out.n
        self._revision()
        self._entry(
            self._topic(bound), 0, 0, -1, value_at, value_size, revision_at,
            out.n - revision_at - REVISION_BYTES, self.context_index,
        )  # fmt: skip

    def add(
        self, topic: str, place: int, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> None:
        """A record that was made elsewhere; it has no revision."""
        out: Out = self.data
        key_at: cython.Py_ssize_t = out.n
        if key is not None:
            out.write(key)
        value_at: cython.Py_ssize_t = out.n
        out.write(value)
        further: cython.Py_ssize_t = -1
        if headers:
            self.further.append(headers)
            further = len(self.further) - 1
        self._entry(
            self._index(topic), place, key_at, -1 if key is None else value_at - key_at,
            value_at, out.n - value_at, -1, 0, further,
        )  # fmt: skip

    @cython.cfunc
    @cython.exceptval(-1)
    def _key(self, bound: BoundTable, key: Out) -> cython.int:
        """The framed key of the image last written; nothing for a table without one."""
        key.n = 0
        if bound.plan.key_count:
            key.write(bound.key_frame)
            bound.plan.key(self.data, key)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _finish(
        self, bound: BoundTable, row: cython.longlong, operation: cython.int, order: cython.longlong
    ) -> cython.int:
        """Write `source`, `transaction`, `op` and times behind the images."""
        out: Out = self.data
        name: Out = self.transaction.name
        out.reserve(self.head.n + self.tail.n + name.n + 64)
        out.copy(self.head.p, 0, self.head.n)
        out.varint(row)
        out.copy(self.tail.p, 0, self.tail.n)
        if order:
            out.byte(2)
            out.varint(name.n)
            out.copy(name.p, 0, name.n)
            out.varint(order)
            out.varint(self.collections[bound.name])
        else:
            out.byte(0)
        out.byte(2)
        out.byte(operation)
        out.write(self.now)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _count_order(self, bound: BoundTable) -> cython.longlong:
        """The event's number in its transaction, and in its table there; 0 if not wanted."""
        if not self.with_transactions:
            return 0
        self.total_order += 1
        self.collections[bound.name] = self.collections.get(bound.name, 0) + 1
        return self.total_order

    @cython.cfunc
    @cython.exceptval(-1)
    def _emit(
        self,
        bound: BoundTable,
        value_at: cython.Py_ssize_t,
        row: cython.longlong,
        operation: cython.int,
        key: Out,
        further: cython.Py_ssize_t,
    ) -> cython.int:
        """Finish the change event whose images begin at `value_at`; key and headers behind it."""
        out: Out = self.data
        order: cython.longlong
        value_size: cython.Py_ssize_t
        key_at: cython.Py_ssize_t
        revision_at: cython.Py_ssize_t
        place: cython.longlong = 0
        if self.skipped and chr(operation) in self.skipped:
            out.n = value_at
            self.dropped[bound.name, f"operation {chr(operation)} is in skipped.operations"] += 1
            return 0
        order = self._count_order(bound)
        if self.is_muted:
            out.n = value_at
            return 0
        self._finish(bound, row, operation, order)
        value_size = out.n - value_at
        key_at = out.n
        if key.n:
            out.reserve(key.n)
            out.copy(key.p, 0, key.n)
            place = hash_of(key.p, FRAME_BYTES, key.n - FRAME_BYTES) & 0x7FFFFFFF
        revision_at = out.n
        self._revision()
        self._entry(
            self._topic(bound), place, key_at, key.n if key.n else -1, value_at, value_size,
            revision_at, out.n - revision_at - REVISION_BYTES,
            further if further >= 0 else self.context_index,
        )  # fmt: skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _tombstone(self, bound: BoundTable, key: Out) -> cython.int:
        """The key's last record; Debezium writes one for a table without a key as well."""
        out: Out = self.data
        key_at: cython.Py_ssize_t = out.n
        place: cython.longlong = 0
        if not self.tombstones or self.is_muted or "d" in self.skipped:
            return 0
        if key.n:
            out.reserve(key.n)
            out.copy(key.p, 0, key.n)
            place = hash_of(key.p, FRAME_BYTES, key.n - FRAME_BYTES) & 0x7FFFFFFF
        self._entry(
            self._topic(bound), place, key_at, key.n if key.n else -1, 0, -1, -1, 0,
            self.context_index,
        )  # fmt: skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _revision(self) -> cython.int:
        """The change's revision and id (invariant 4); a new sequence number each time."""
        out: Out = self.data
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

    @cython.cfunc
    @cython.exceptval(-1)
    def _entry(
        self,
        topic: cython.Py_ssize_t,
        place: cython.longlong,
        key_at: cython.Py_ssize_t,
        key_size: cython.Py_ssize_t,
        value_at: cython.Py_ssize_t,
        value_size: cython.Py_ssize_t,
        revision_at: cython.Py_ssize_t,
        id_size: cython.Py_ssize_t,
        further: cython.Py_ssize_t,
    ) -> cython.int:
        """Note a record: `records.ENTRY`."""
        entries: Out = self.entries
        entries.reserve(ENTRY_BYTES)
        if cython.compiled:
            fields = cython.cast(cython.p_longlong, entries.p + entries.n)
            fields[0] = topic
            fields[1] = place
            fields[2] = key_at
            fields[3] = key_size
            fields[4] = value_at
            fields[5] = value_size
            fields[6] = revision_at
            fields[7] = id_size
            fields[8] = further
            entries.n += ENTRY_BYTES
        else:
            entries.write(
                ENTRY.pack(
                    topic, place, key_at, key_size, value_at, value_size, revision_at, id_size,
                    further,
                )
            )  # fmt: skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def _topic(self, bound: BoundTable) -> cython.Py_ssize_t:
        """The index of the table's topic."""
        if bound.topic_index < 0:
            bound.topic_index = self._index(bound.topic)
        return bound.topic_index

    def _index(self, topic: str) -> int:
        index = self.topic_indexes.get(topic)
        if index is None:
            index = self.topic_indexes[topic] = len(self.topics)
            self.topics.append(topic)
        return index

    def heartbeat(self, now_nanos: int) -> None:
        """A record that says that the connector is alive, in partition 0."""
        key_frame, value_frame = self.binder.heartbeat_frames()
        out = Out(64)
        out.put(now_nanos // 1_000_000)
        key = key_frame + avro_string(self.binder.connector)
        self.add(self.binder.heartbeat_topic, 0, key, value_frame + out.value())

    def begin(self, micros: int) -> None:
        """A transaction has begun; its BEGIN record, if these are wanted."""
        self.total_order = 0
        self.collections = {}
        if self.with_transactions and not self.transaction.is_resumed:
            out = self._transaction_record("BEGIN")
            out.put(0)
            out.put(0)
            self._add_transaction_record(out, micros)

    def end(self, micros: int) -> None:
        """The END record of the transaction, with the number of its events by table."""
        out = self._transaction_record("END")
        out.put(1)
        out.put(self.total_order)
        out.put(1)
        if self.collections:
            out.put(len(self.collections))
        for name, count in self.collections.items():
            out.put(1)
            out.text(name)
            out.put(count)
        out.put(0)
        self._add_transaction_record(out, micros)

    def _transaction_record(self, status: str) -> Out:
        out = Out(256)
        out.write(self.binder.transaction_frames()[1])
        out.text(status)
        out.text(self.transaction.text())
        return out

    def _add_transaction_record(self, out: Out, micros: int) -> None:
        out.put(micros // 1000)
        key = Out(128)
        key.write(self.binder.transaction_frames()[0])
        key.text(self.transaction.text())
        key_bytes = key.value()
        place = self.binder.place(key_bytes[5:])
        self.add(self.binder.transaction_topic, place, key_bytes, out.value())
