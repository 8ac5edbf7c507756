# cython: language_level=3
"""A captured table as the decoder knows it: its plan with what this connector fixes."""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cdc.capture.rows import RowPlan
else:
    from cdc.capture.rows import RowPlan


@cython.cclass
class BoundTable:
    """A table's plan with what is fixed for this connector: topic, frames, names."""

    def __init__(
        self,
        name: str,
        plan: RowPlan,
        topic: str = "",
        frames: tuple[bytes, bytes] = (b"", b""),
        static_source: bytes = b"",
        names: tuple[bytes, bytes] = (b"", b""),
        drop_reason: str = "",
        record_bytes_max: int = 0,
    ) -> None:
        self.name = name
        """`database.table`, for counters and transaction records."""
        self.plan = plan
        self.topic = topic
        self.table_map = b""
        """Behind the table's id, as the server sent it."""
        self.json_columns: tuple[int, ...] = ()
        """Indexes of the columns that a partial update may change in part."""
        self.topic_index = -1
        """Of `BlockWriter.topics`; -1 before its first record."""
        self.captured = bool(topic)
        self.value_frame, self.key_frame = frames
        self.static_source = static_source
        """`source` from version to name, as Avro."""
        self.database, self.table = names
        """As Avro strings."""
        self.drop_reason = drop_reason
        """Why its rows aren't captured, if they aren't."""
        self.record_bytes_max = record_bytes_max
        """What its topic takes; 0: that isn't looked at."""
