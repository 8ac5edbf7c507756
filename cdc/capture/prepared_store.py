"""Keeps the rows of prepared XA transactions in a topic of the connector, until they are decided.

They are written in the transactions of the records around them, and count once a checkpoint names
their XA transaction and how many records they are (invariant 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from cdc.capture.checkpoint import Prepared
from cdc.capture.holding import Hold, Holds
from cdc.capture.prepared_rows import PreparedRow, pack, whole_bytes
from cdc.errors import DecodeError, LogError
from cdc.model import TopicSpec
from cdc.ports import Log

CHUNK_BYTES_MAX = 512 * 1024
"""Of a record, so that it fits wherever others do (invariant 7)."""

Add = Callable[[str, int, bytes, bytes | None], None]
"""Writes a record among the others: topic, place, key, value."""

logger = structlog.get_logger()


def prepared_topic(connector: str) -> str:
    """The internal topic that rows of prepared XA transactions are kept in."""
    return f"{connector}.prepared"


def _key(xid: str, place: Prepared, number: int) -> bytes:
    """An application may use a name again: its place tells the transactions apart."""
    return f"{xid} {place.file}:{place.pos} {number}".encode()


class PreparedStore:
    """The topic, which is made when it is first needed."""

    def __init__(self, log: Log, spec: TopicSpec) -> None:
        self._log, self._spec = log, spec
        self._is_there = False
        self.topic = spec.name

    def ensure(self) -> None:
        """Make the topic if it isn't there."""
        if not self._is_there:
            self._log.create_topics([self._spec])
            self._is_there = True

    def restored(self, prepared: Mapping[str, Prepared], holds: Holds) -> dict[str, Hold]:
        """The rows of these transactions; LogError where some are missing."""
        parts = {xid: _Part(holds) for xid, place in prepared.items() if place.is_kept}
        places = {
            _key(xid, place, number): (xid, number)
            for xid, place in prepared.items()
            for number in range(place.chunks)
        }
        try:
            if places:
                for message in self._log.follow(self.topic, {}, wait_seconds=0):
                    if message.key in places and message.value is not None:
                        xid, number = places[message.key]
                        parts[xid].take(number, message.value)
            for xid, part in parts.items():
                part.check(xid, prepared[xid], self.topic)
        except BaseException:
            for part in parts.values():
                part.hold.close()
            raise
        return {xid: part.hold for xid, part in parts.items()}


class _Part:
    """The rows of one transaction, as its records are read in order."""

    def __init__(self, holds: Holds) -> None:
        self.hold = holds.open()
        self._count, self._rest = 0, b""

    def take(self, number: int, chunk: bytes) -> None:
        """The next record; the first one again where the transaction was read again."""
        if number == 0:
            self.hold.truncate(0)
            self._count, self._rest = 0, b""
        if number != self._count:
            return  # of a reading that another one has replaced
        self._count += 1
        data = self._rest + chunk
        end = whole_bytes(data)
        self.hold.append(data[:end])
        self._rest = data[end:]

    def check(self, xid: str, place: Prepared, topic: str) -> None:
        if self._count != place.chunks or self._rest:
            raise LogError(
                f"the rows of the XA transaction {xid}, which is prepared at"
                f" {place.file}:{place.pos}, are {place.chunks} records in topic {topic}, and"
                f" {self._count} are there",
                hint="restore the topic, or begin anew under another connector name and compare"
                " the tables",
            )


class Keeper:
    """Writes the rows of the transaction that is being prepared; drops those of decided ones."""

    def __init__(self, store: PreparedStore, add: Add) -> None:
        self._store, self._add = store, add
        self.forget()

    def forget(self) -> None:
        """No transaction is being prepared."""
        self._xid, self._place = "", Prepared("", 0)
        self._waiting = bytearray()
        self._chunks = 0
        self.has_failed = False

    @property
    def is_open(self) -> bool:
        return bool(self._xid)

    def begin(self, xid: str, file: str, pos: int) -> None:
        """Its rows follow."""
        self.forget()
        self._xid, self._place = xid, Prepared(file, pos)

    def row(self, row: PreparedRow) -> None:
        self._waiting += pack(row)
        while len(self._waiting) >= CHUNK_BYTES_MAX:
            self._write(CHUNK_BYTES_MAX)

    def fail(self, error: DecodeError) -> None:
        """A row can't be published: what becomes of that is decided where it is committed."""
        logger.warning(
            "the rows of a prepared XA transaction can't be kept: after a restart they are read"
            " from the source's binlog again",
            transaction=self._xid,
            why=error.message,
        )
        self._drop(self._xid, self._place, self._chunks)
        self.has_failed = True

    def end(self) -> int:
        """How many records its rows are; -1: they aren't kept."""
        chunks = -1
        if self.is_open and not self.has_failed:
            if self._waiting:
                self._write(len(self._waiting))
            chunks = self._chunks
        self.forget()
        return chunks

    def drop(self, xid: str, place: Prepared) -> None:
        """A transaction is decided."""
        self._drop(xid, place, place.chunks)

    def _write(self, size: int) -> None:
        self._store.ensure()
        key = _key(self._xid, self._place, self._chunks)
        self._add(self._store.topic, 0, key, bytes(self._waiting[:size]))
        del self._waiting[:size]
        self._chunks += 1

    def _drop(self, xid: str, place: Prepared, chunks: int) -> None:
        for number in range(chunks):
            self._add(self._store.topic, 0, _key(xid, place, number), None)
