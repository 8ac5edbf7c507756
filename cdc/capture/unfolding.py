"""Between reading and decoding: opens what is packed, holds back what isn't decided.

The decoder gets events that count, in bounded batches:
- a TRANSACTION_PAYLOAD comes as the events inside;
- the rows of an XA transaction wait from XA PREPARE on; they come at XA COMMIT, at its place, or
  go at XA ROLLBACK;
- a transaction of MariaDB waits for its end, which may be a ROLLBACK (after CREATE TEMPORARY
  TABLE, say), and what stands behind a SAVEPOINT goes at ROLLBACK TO.
Everything else goes on as it was read, in the same bytes.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from cdc.capture import binlog
from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.compressed_events import plain_query
from cdc.capture.folds import FoldFinder
from cdc.capture.holding import Hold, Holds
from cdc.capture.payload import payload_pieces
from cdc.capture.prepared_store import PreparedStore
from cdc.capture.query_event import query_of
from cdc.capture.xa import xa_prepare, xa_statement
from cdc.errors import DecodeError

_SAVEPOINT = re.compile(r"SAVEPOINT\s+(.+)", re.DOTALL)
_ROLLBACK_TO = re.compile(r"ROLLBACK\s+TO\s+(?:SAVEPOINT\s+)?(.+)", re.DOTALL)
_MARIADB_FLAGS_AT = binlog.HEADER_BYTES + 12


@dataclass(slots=True)
class _Held:
    """The events of one transaction that wait."""

    events: Hold
    outer: bytes
    is_sealed: bool
    savepoints: dict[str, int] = field(default_factory=dict)
    """Name → how many chunks stand before it."""
    is_kept: bool = False
    """They are no events but `prepared_rows`."""


@dataclass(slots=True)
class _Stretch:
    """Events that stand back to back, as read or as the inside of a payload."""

    events: bytes
    outer: bytes = b""
    """Header of the payload."""
    begin: int = 0
    """What stands before is done with."""
    at: int = 0
    """Where to look on."""


class Unfolder:
    """Follows one reading of a binlog."""

    def __init__(
        self, batch_bytes_max: int, event_bytes_max: int, store: PreparedStore | None = None
    ) -> None:
        """`store` keeps the rows of prepared transactions through restarts."""
        self._store = store
        self._batch_bytes_max, self._event_bytes_max = batch_bytes_max, event_bytes_max
        self._finder, self._holds = FoldFinder(), Holds()
        self._held: _Held | None = None
        """Of the transaction that the stream is in."""
        self._prepared: dict[str, _Held] = {}
        """By name."""
        self._file, self._is_checksummed = "", False
        self._handlers = {
            binlog.ROTATE: self._rotate,
            binlog.FORMAT_DESCRIPTION: self._format_description,
            binlog.TRANSACTION_PAYLOAD: self._payload,
            binlog.QUERY: self._query,
            binlog.MARIADB_QUERY_COMPRESSED: self._query,
            binlog.XID: self._commit,
            binlog.XA_PREPARE: self._xa_prepare,
            binlog.MARIADB_GTID: self._gtid,
        }

    def unfold(self, batches: Iterable[EventBatch], stop: threading.Event) -> Iterator[EventBatch]:
        """The batches as the decoder is to have them; ends with them, or when `stop` is set."""
        try:
            for batch in batches:
                start = batch.start
                if start is not None:
                    self._file = start.file
                    self._restore(start)
                for piece in self._walk(_Stretch(batch.events)):
                    yield piece if start is None else replace(piece, start=start)
                    start = None
                    if stop.is_set():
                        return
                if start is not None:
                    yield EventBatch(b"", start)
        finally:
            for held in (self._held, *self._prepared.values()):
                if held is not None:
                    held.events.close()

    def recall(self, name: str, batches: Iterable[bytes]) -> bool:
        """Hold the rows of a prepared transaction, which begins these events; whether it's there.

        For before `unfold`: what lies before the place where that begins."""
        self._finder = FoldFinder()
        try:
            for events in batches:
                stretch = _Stretch(events)
                # What is decided was decoded before; it goes.
                while (at := self._finder.find(events, stretch.at)) < len(events):
                    for _ in self._handle(stretch, at):
                        pass
                    if name in self._prepared:
                        return True
                for _ in self._pass(stretch, len(events)):
                    pass
            return False
        finally:
            if self._held is not None:
                self._held.events.close()
                self._held = None
            self._finder = FoldFinder()

    def _walk(self, stretch: _Stretch) -> Iterator[EventBatch]:
        finder, events = self._finder, stretch.events
        while (at := finder.find(events, stretch.at)) < len(events):
            yield from self._handle(stretch, at)
        if finder.is_open and self._held is None:
            yield from self._hold_open_one(stretch)
        yield from self._pass(stretch, len(events))

    def _handle(self, stretch: _Stretch, at: int) -> Iterable[EventBatch]:
        """Treat the event at `at`, and look on behind it."""
        events = stretch.events
        stretch.at = at + int.from_bytes(events[at + 9 : at + 13], "little")
        return self._handlers[events[at + 4]](stretch, at, stretch.at)

    def _pass(self, stretch: _Stretch, at: int) -> Iterator[EventBatch]:
        """What stands before `at` goes on, or waits with what waits already."""
        begin, stretch.begin = stretch.begin, at
        if begin == at:
            return
        events = stretch.events[begin:at]
        if self._held is not None:
            self._held.events.append(events)
        else:
            yield EventBatch(events, outer=stretch.outer)

    # What a file and a payload say

    def _rotate(self, stretch: _Stretch, at: int, end: int) -> Iterable[EventBatch]:
        end -= binlog.CHECKSUM_BYTES * self._is_checksummed
        self._file = stretch.events[at + binlog.HEADER_BYTES + 8 : end].decode("utf-8", "replace")
        return ()

    def _format_description(self, stretch: _Stretch, at: int, end: int) -> Iterable[EventBatch]:
        self._is_checksummed = stretch.events[end - 1 - binlog.CHECKSUM_BYTES] == 1
        return ()

    def _payload(self, stretch: _Stretch, at: int, end: int) -> Iterator[EventBatch]:
        yield from self._pass(stretch, at)
        stretch.begin = end
        if stretch.outer:
            raise self._damaged(stretch, at, "a payload stands inside another")
        body = memoryview(stretch.events)[at + binlog.HEADER_BYTES : self._body_end(stretch, at)]
        header = stretch.events[at : at + binlog.HEADER_BYTES]

        def damaged(why: str) -> DecodeError:
            return self._damaged(stretch, at, why)

        for events in payload_pieces(body, self._batch_bytes_max, self._event_bytes_max, damaged):
            yield from self._walk(_Stretch(events, header))

    # Transactions of MariaDB, which may be rolled back

    def _gtid(self, stretch: _Stretch, at: int, end: int) -> Iterator[EventBatch]:
        """One that is prepared; any, where the one before it hasn't ended."""
        if self._held is not None:
            yield from self._pass(stretch, at)
            yield from self._release()
            stretch.at = at
        elif stretch.events[at + _MARIADB_FLAGS_AT] & binlog.MARIADB_GTID_PREPARED_XA:
            yield from self._pass(stretch, end)
            self._hold(stretch)

    def _hold_open_one(self, stretch: _Stretch) -> Iterator[EventBatch]:
        """Hold what stands from the open transaction's begin on."""
        at = self._finder.open_at
        yield from self._pass(stretch, at)
        self._hold(stretch)
        self._finder.stops_at_end = True
        # Its begin is a chunk of its own: it counts even if the rest doesn't.
        end = at + int.from_bytes(stretch.events[at + 9 : at + 13], "little")
        yield from self._pass(stretch, end)

    def _commit(self, stretch: _Stretch, at: int, end: int) -> Iterator[EventBatch]:
        yield from self._pass(stretch, at)
        yield from self._release()

    def _query(self, stretch: _Stretch, at: int, end: int) -> Iterator[EventBatch]:
        text = self._text(stretch, at)
        if text.startswith("XA "):
            yield from self._xa(stretch, at, text)
        elif not self._finder.is_open and self._held is None:
            pass
        elif text == "COMMIT":
            yield from self._commit(stretch, at, end)
        elif text.startswith(("SAVEPOINT", "ROLLBACK")):
            if self._held is None:
                yield from self._hold_open_one(stretch)
            yield from self._pass(stretch, at)
            if self._undo(text):
                stretch.begin = end
            if text == "ROLLBACK":
                yield from self._release()

    def _undo(self, text: str) -> bool:
        """Forget what a statement undoes; True if the statement goes with it."""
        held = self._held
        assert held is not None, "what may be undone waits"
        if savepoint := _SAVEPOINT.match(text):
            held.savepoints[savepoint[1]] = len(held.events)
        elif text == "ROLLBACK":
            # Rows of tables without transactions come in groups of their own, before this one.
            held.events.truncate(1)
        elif (back_to := _ROLLBACK_TO.match(text)) and back_to[1] in held.savepoints:
            held.events.truncate(held.savepoints[back_to[1]])
            return True
        return False

    # XA

    def _xa(self, stretch: _Stretch, at: int, text: str) -> Iterator[EventBatch]:
        verb, xid = xa_statement(text) or ("", None)
        if verb == "START" and self._held is None:
            yield from self._pass(stretch, at)
            self._hold(stretch)
        elif verb in ("COMMIT", "ROLLBACK") and str(xid) in self._prepared:
            held = self._prepared.pop(str(xid))
            if verb == "COMMIT":
                yield from self._pass(stretch, at)
                header = stretch.events[at : at + binlog.HEADER_BYTES]
                yield EventBatch(b"", outer=stretch.outer or header)
                for events in held.events.pieces(self._batch_bytes_max):
                    yield EventBatch(
                        events,
                        outer=stretch.outer or header,
                        is_sealed=held.is_sealed,
                        is_kept=held.is_kept,
                    )
            held.events.close()

    def _xa_prepare(self, stretch: _Stretch, at: int, end: int) -> Iterator[EventBatch]:
        body = stretch.events[at + binlog.HEADER_BYTES : self._body_end(stretch, at)]
        try:
            is_one_phase, xid = xa_prepare(body)
        except ValueError as error:
            raise self._damaged(stretch, at, str(error)) from error
        yield from self._pass(stretch, at)
        if is_one_phase:
            yield from self._release()
        elif self._held is not None:
            name, held = str(xid), self._held
            if name in self._prepared:  # read again after a restart of the server
                self._prepared[name].events.close()
            self._prepared[name], self._held = held, None
            if self._store is not None:
                yield EventBatch(b"", prepares=name)
                for events in held.events.pieces(self._batch_bytes_max):
                    yield EventBatch(events, is_sealed=held.is_sealed, prepares=name)

    def _restore(self, start: Checkpoint) -> None:
        """Hold the rows that were kept of transactions prepared before."""
        if self._store is not None and start.prepared:
            for name, events in self._store.restored(start.prepared, self._holds).items():
                self._prepared[name] = _Held(events, b"", is_sealed=False, is_kept=True)

    # Holding

    def _hold(self, stretch: _Stretch) -> None:
        """What comes from here on waits."""
        self._held = _Held(
            self._holds.open(),
            stretch.outer,
            self._is_checksummed and not stretch.outer,
        )

    def _release(self) -> Iterator[EventBatch]:
        """What waits goes on."""
        held, self._held = self._held, None
        self._finder.is_open = self._finder.stops_at_end = False
        if held is not None:
            for events in held.events.pieces(self._batch_bytes_max):
                yield EventBatch(events, outer=held.outer, is_sealed=held.is_sealed)
            held.events.close()

    # Reading events

    def _text(self, stretch: _Stretch, at: int) -> str:
        """The text of a statement."""
        body = stretch.events[at + binlog.HEADER_BYTES : self._body_end(stretch, at)]
        if stretch.events[at + 4] == binlog.MARIADB_QUERY_COMPRESSED:
            try:
                body = plain_query(body)
            except DecodeError as error:
                raise self._damaged(stretch, at, error.message) from error
        try:
            return query_of(body).text.decode("utf-8", "replace")
        except ValueError as error:
            raise self._damaged(stretch, at, str(error)) from error

    def _body_end(self, stretch: _Stretch, at: int) -> int:
        """Where an event's body ends, its checksum verified: what it says decides over others."""
        end = at + int.from_bytes(stretch.events[at + 9 : at + 13], "little")
        if stretch.outer or not self._is_checksummed:
            return end
        end -= binlog.CHECKSUM_BYTES
        expected = int.from_bytes(stretch.events[end : end + binlog.CHECKSUM_BYTES], "little")
        if zlib.crc32(memoryview(stretch.events)[at:end]) != expected:
            raise self._damaged(stretch, at, "its checksum is wrong")
        return end

    def _damaged(self, stretch: _Stretch, at: int, why: str) -> DecodeError:
        header = stretch.outer or stretch.events[at : at + binlog.HEADER_BYTES]
        size, end = (int.from_bytes(header[i : i + 4], "little") for i in (9, 13))
        return DecodeError(
            f"{binlog.name_of(stretch.events[at + 4])} at {self._file}:{max(end - size, 0)} can't"
            f" be read: {why}",
            hint=binlog.DAMAGED_HINT,
        )
