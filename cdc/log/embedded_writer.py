"""A writer of the embedded log: records, checkpoint and group offsets in one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence

from cdc.embedded_file import OFFSET_BITS, OFFSET_MASK, EmbeddedFile
from cdc.errors import Fenced, LogError
from cdc.log.embedded_cleaner import CLEAN_RECORDS_MAX, clean
from cdc.log.embedded_reader import EmbeddedReader
from cdc.log.headers import pack
from cdc.model import Record
from cdc.ports import LogReader

CLEAN_EVERY_SECONDS = 5.0


class _Ends(dict[str, tuple[int, int]]):
    """Topic → where its partitions begin in `places`, and how many they are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection
        self.places: list[int] = []
        """The place after the last record of each partition."""

    def __missing__(self, topic: str) -> tuple[int, int]:
        rows = self._connection.execute(
            "select partitions.id, next from partitions join topics on topics.id = topic"
            " where name = ? order by number",
            (topic,),
        ).fetchall()
        if not rows:
            raise LogError(
                f"topic {topic} does not exist",
                hint="`cdc run` creates what the connector file names",
            )
        found = self[topic] = (len(self.places), len(rows))
        self.places += [partition << OFFSET_BITS | offset for partition, offset in rows]
        return found


class EmbeddedWriter:
    """The one writer of its name; each opening raises the name's epoch."""

    def __init__(self, file: EmbeddedFile, name: str) -> None:
        self._file = file
        self._name = name
        self._written = 0
        self._clean_at = time.monotonic() + CLEAN_EVERY_SECONDS
        with file.transaction(f"opening writer {name}") as connection:
            (self._epoch,) = connection.execute(
                "insert into writers values (?, 1, null)"
                " on conflict do update set epoch = epoch + 1 returning epoch",
                (name,),
            ).fetchone()

    def last_checkpoint(self) -> bytes | None:
        rows = self._file.rows(
            f"reading the checkpoint of {self._name}",
            "select checkpoint from writers where name = ?",
            (self._name,),
        )
        found: bytes | None = rows[0][0]
        return found

    def write(
        self,
        records: Sequence[Record],
        *,
        checkpoint: bytes | None = None,
        reader: LogReader | None = None,
    ) -> None:
        # Invariant 1: records, checkpoint and the group's offsets in one transaction.
        with self._file.transaction(f"writing {len(records)} records as {self._name}") as kept:
            (epoch,) = kept.execute(
                "select epoch from writers where name = ?", (self._name,)
            ).fetchone()
            if epoch != self._epoch:
                raise Fenced(
                    f"writing as {self._name}: a newer writer of the same name took over",
                    hint="leave the newer one running; two at once need two connector names",
                )
            self._insert(kept, records)
            if checkpoint is not None:
                kept.execute(
                    "update writers set checkpoint = ? where name = ?", (checkpoint, self._name)
                )
            if reader is not None:
                assert isinstance(reader, EmbeddedReader)
                reader.commit_offsets(kept)
        self._clean_after(len(records))

    def close(self) -> None:
        self._file.close()

    def _clean_after(self, written: int) -> None:
        """Now and then delete what may go, twice as fast as it comes."""
        self._written += written
        if self._written >= CLEAN_RECORDS_MAX // 2 or time.monotonic() >= self._clean_at:
            clean(self._file)
            self._written = 0
            self._clean_at = time.monotonic() + CLEAN_EVERY_SECONDS

    def _insert(self, kept: sqlite3.Connection, records: Sequence[Record]) -> None:
        ends = _Ends(kept)
        kept.executemany("insert into records values (?, ?, ?, ?, ?)", _rows(records, ends))
        kept.executemany(
            "update partitions set next = ? where id = ?",
            [(place & OFFSET_MASK, place >> OFFSET_BITS) for place in ends.places],
        )


def _rows(
    records: Sequence[Record], ends: _Ends
) -> Iterator[tuple[int, int, bytes | None, bytes | None, bytes | None]]:
    """The rows of the records, each at the end of its partition; the hot path."""
    now = int(time.time() * 1000)
    places = ends.places
    for topic, place, key, value, headers in records:
        first, count = ends[topic]
        at = first + place % count
        end = places[at]
        places[at] = end + 1
        yield end, now, key, pack(headers) if headers else None, value
