"""A log in one SQLite file, for a laptop and small installations; several processes at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cdc.embedded_file import EmbeddedFile
from cdc.errors import LogError
from cdc.log.embedded_cleaner import clean
from cdc.log.embedded_reader import EmbeddedReader, follow
from cdc.log.embedded_writer import EmbeddedWriter
from cdc.log.membership import LEASE_SECONDS, Membership
from cdc.log.topics import compare
from cdc.model import Message, Offsets, TopicDifference, TopicSpec
from cdc.ports import Seam, untouched


class EmbeddedLog:
    """Topics in the file at `path`, which is made if missing."""

    def __init__(
        self,
        path: Path | str,
        *,
        timeout_seconds: float = 30.0,
        lease_seconds: float = LEASE_SECONDS,
        seam: Seam = untouched,
    ) -> None:
        self._path, self._seam = Path(path), seam
        self._timeout_seconds = timeout_seconds
        self._lease_seconds = lease_seconds
        self._file = self._open()

    def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[TopicDifference]:
        differences: list[TopicDifference] = []
        with self._file.transaction("creating topics") as connection:
            for spec in specs:
                found = _settings(connection, spec.name)
                if found is None:
                    _create(connection, spec)
                else:
                    differences += compare(spec, found)
        return differences

    def topics(self) -> Mapping[str, int]:
        rows = self._file.rows(
            "listing topics",
            "select name, count(*) from topics join partitions on topic = topics.id"
            " group by name order by name",
        )
        return dict(rows)

    def record_bytes_max(self, topic: str) -> int:
        return 0

    def end_offsets(self, topic: str) -> Offsets:
        rows = self._file.rows(
            f"asking for the end of {topic}",
            "select number, next from partitions join topics on topics.id = topic where name = ?",
            (topic,),
        )
        if not rows:
            raise LogError(
                f"topic {topic} does not exist",
                hint="a connector creates its topics when it first runs",
            )
        return {(topic, number): offset for number, offset in rows}

    def writer(self, name: str) -> EmbeddedWriter:
        return EmbeddedWriter(self._open(), name)

    def acknowledged_writer(self, name: str) -> EmbeddedWriter:
        return self.writer(name)  # a transaction costs nothing more here

    def reader(self, topics: Sequence[str], group: str, *, is_sole: bool = False) -> EmbeddedReader:
        file = self._open()  # who is dead is known at once, also where several may live
        membership = Membership(file, group, topics, lease_seconds=self._lease_seconds)
        return EmbeddedReader(file, group, membership)

    def follow(
        self, topic: str, start: Offsets, *, wait_seconds: float, is_whole: bool = False
    ) -> Iterator[Message]:
        # SQLite shows all that is committed, whoever is writing.
        return follow(self._open, topic, start, wait_seconds=wait_seconds)

    def clean(self) -> int:
        """Delete a bounded number of records that may go; writers do it by themselves."""
        return clean(self._file)

    def close(self) -> None:
        self._file.close()

    def _open(self) -> EmbeddedFile:
        return EmbeddedFile(self._path, wait_seconds=self._timeout_seconds, seam=self._seam)


def _settings(connection: sqlite3.Connection, topic: str) -> Mapping[str, str] | None:
    row = connection.execute(
        "select count(*), retention_ms, compacted from topics"
        " join partitions on topic = topics.id where name = ? group by name",
        (topic,),
    ).fetchone()
    if row is None:
        return None
    return {"partitions": str(row[0]), "retention_ms": str(row[1]), "compacted": str(bool(row[2]))}


def _create(connection: sqlite3.Connection, spec: TopicSpec) -> None:
    retention_ms = -1 if spec.retention_ms is None else spec.retention_ms
    (topic,) = connection.execute(
        "insert into topics (name, retention_ms, compacted) values (?, ?, ?) returning id",
        (spec.name, retention_ms, spec.compacted),
    ).fetchone()
    connection.executemany(
        "insert into partitions (topic, number, next, first, cleaned) values (?, ?, 0, 0, 0)",
        [(topic, number) for number in range(spec.partitions)],
    )
    # Readers that wait for the topic look again.
    connection.execute("update groups set version = version + 1")
