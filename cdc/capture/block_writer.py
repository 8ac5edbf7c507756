# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""The block that a batch's records are written into, one behind the other.

Nothing here makes an object per record: value, key, revision and id are bytes of the block, and
`records.ENTRY` says where they lie."""

from __future__ import annotations

import cython

from cdc.model import Headers
from cdc.records import ENTRY, RecordBlock

if cython.compiled:
    from cython.cimports.cdc.capture.avro_out import Out
    from cython.cimports.cdc.capture.bound_table import BoundTable
else:
    from cdc.capture.avro_out import Out
    from cdc.capture.bound_table import BoundTable

ENTRY_BYTES = cython.declare(cython.Py_ssize_t, ENTRY.size)
DATA_BYTES_MIN, ENTRIES_BYTES_MIN = 1 << 14, 1 << 11


@cython.cclass
class BlockWriter:
    """The records of a batch, as they come to be."""

    def __init__(self) -> None:
        self.data, self.entries = Out(DATA_BYTES_MIN), Out(ENTRIES_BYTES_MIN)
        self.topics: list[str] = []
        self.topic_indexes: dict[str, int] = {}
        self.further: list[Headers] = []

    def begin(self) -> None:
        """The records that follow are in a new block."""
        # As large as the last one came to be, so that it needn't grow by copying.
        self.data = Out(max(DATA_BYTES_MIN, self.data.n + self.data.n // 8))
        self.entries = Out(max(ENTRIES_BYTES_MIN, self.entries.n + self.entries.n // 8))
        self.further = []

    def block(self) -> RecordBlock:
        """What was written since `begin`."""
        return RecordBlock(
            self.data.buffer,
            self.entries.buffer,
            self.entries.n // ENTRY_BYTES,
            self.topics,
            self.further,
        )

    def add(
        self,
        topic: str,
        place: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
    ) -> None:
        """A record that was made elsewhere; it has no revision."""
        out: Out = self.data
        key_at: cython.Py_ssize_t = out.n
        if key is not None:
            out.write(key)
        value_at: cython.Py_ssize_t = out.n
        if value is not None:
            out.write(value)
        self.note(
            self._index(topic), place, key_at, -1 if key is None else value_at - key_at,
            value_at, -1 if value is None else out.n - value_at, -1, 0,
            self.further_index(headers) if headers else -1,
        )  # fmt: skip

    @cython.cfunc
    @cython.exceptval(-1)
    def note(
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
        """A record lies in `data`: `records.ENTRY` has what is said of it."""
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
    def topic_of(self, bound: BoundTable) -> cython.Py_ssize_t:
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

    @cython.cfunc
    @cython.exceptval(-1)
    def further_index(self, headers: Headers) -> cython.Py_ssize_t:
        """The index under which a record has these headers beside its revision and id."""
        self.further.append(headers)
        return len(self.further) - 1
