# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Transaction metadata (`provide.transaction.metadata`): BEGIN and END records, and `transaction`
of change events, which has an event's number in its transaction and among those of its table."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.block_writer import BlockWriter
    from cython.cimports.cdc.capture.transaction import Transaction
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.block_writer import BlockWriter
    from cdc.capture.transaction import Transaction

FRAME_BYTES = cython.declare(cython.Py_ssize_t, 5)


@cython.cclass
class TransactionMetadata:
    """Counts the change events of the open transaction."""

    def __init__(
        self, binder: Any, is_wanted: bool, transaction: Transaction, block: BlockWriter
    ) -> None:
        self.binder, self.transaction, self.block = binder, transaction, block
        self.is_wanted = is_wanted
        self.total_order = 0
        self.collections: dict[str, int] = {}
        """Table → its events."""

    def begin(self, micros: int) -> None:
        """A transaction has begun; its BEGIN record, unless it was published before a restart."""
        self.total_order = 0
        self.collections = {}
        if not self.transaction.is_resumed:
            out = self._record("BEGIN")
            out.put(0)
            out.put(0)
            self._add(out, micros)

    def end(self, micros: int) -> None:
        """The END record of the transaction, with the number of its events by table."""
        out = self._record("END")
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
        self._add(out, micros)

    def _record(self, status: str) -> Out:
        out = Out(256)
        out.write(self.binder.transaction_frames()[1])
        out.text(status)
        out.text(self.transaction.text())
        return out

    def _add(self, out: Out, micros: int) -> None:
        out.put(micros // 1000)
        key = Out(128)
        key.write(self.binder.transaction_frames()[0])
        key.text(self.transaction.text())
        key_bytes = key.value()
        place = self.binder.place(key_bytes[FRAME_BYTES:])
        self.block.add(self.binder.transaction_topic, place, key_bytes, out.value())

    @cython.cfunc
    @cython.exceptval(-1)
    def count(self, table: str) -> cython.int:
        """One more event of this table."""
        self.total_order += 1
        self.collections[table] = self.collections.get(table, 0) + 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def write(self, out: Out, table: str) -> cython.int:
        """`transaction` of the event counted last."""
        name: Out = self.transaction.name
        out.reserve(name.n)
        out.byte(2)
        out.varint(name.n)
        out.copy(name.p, 0, name.n)
        out.varint(self.total_order)
        out.varint(self.collections[table])
        return 0
