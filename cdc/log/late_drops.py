"""Tombstones of rows that a checkpoint names, where records and checkpoint are no transaction."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.model import Record
from cdc.ports import LogReader, LogWriter
from cdc.records import Joined, RecordBlock


class LateDrops:
    """A writer that writes the tombstones of one topic two writes later.

    By then the checkpoint that came with them is acknowledged: the one before it, which a crash
    would go on from, still needs what they delete. A crash may leave that for good, unread."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer, self._topic = writer, topic
        self._sent: list[Record] = []
        """Their checkpoint is on its way."""
        self._due: list[Record] = []

    def last_checkpoint(self) -> bytes | None:
        return self._writer.last_checkpoint()

    def write(
        self,
        records: Sequence[Record],
        *,
        checkpoint: bytes | None = None,
        reader: LogReader | None = None,
    ) -> None:
        drops: list[Record] = []
        if self._may_have(records):
            drops = [record for record in records if self._is_drop(record)]
            if drops:
                records = [record for record in records if not self._is_drop(record)]
        if self._due:
            records = Joined([self._due, records])
        self._writer.write(records, checkpoint=checkpoint, reader=reader)
        self._due, self._sent = self._sent, drops

    def close(self) -> None:
        self._writer.close()

    def _may_have(self, records: Sequence[Record]) -> bool:
        """Blocks tell without a look at each record."""
        parts = records.parts if isinstance(records, Joined) else [records]
        return any(not isinstance(p, RecordBlock) or self._topic in p.topics for p in parts)

    def _is_drop(self, record: Record) -> bool:
        return record.topic == self._topic and record.value is None
