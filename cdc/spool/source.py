"""The spool first, then the live server behind it: one stream."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Protocol

import structlog

from cdc.capture import binlog
from cdc.capture.artificial import is_checksummed, repeated, rotate
from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.prepared_store import PreparedStore
from cdc.capture.scan import headers
from cdc.capture.unfolding import Unfolder
from cdc.errors import PositionLost, SourceError, Unreachable
from cdc.spool.ahead import SpoolAhead
from cdc.spool.order import Done, at_server
from cdc.spool.segment import Mark, Segment, SegmentDamaged, events_of
from cdc.spool.store import Spool
from cdc.spool.trail import Trail

EVENTS_LOOKED_AT = 16
"""For the time of a batch."""

logger = structlog.get_logger()


class LiveEvents(Protocol):
    """The server's own events; see `ServerSource`."""

    def events(self, after: Checkpoint | None, unfolder: Unfolder) -> Iterator[EventBatch]: ...

    def recall(self, prepared: Mapping[str, Prepared], unfolder: Unfolder) -> None: ...

    def close(self) -> None: ...


class SpooledSource:
    """Implements `ports.Source[EventBatch, Checkpoint]`."""

    def __init__(
        self,
        live: LiveEvents,
        spool: Spool,
        *,
        place: str,
        stop: threading.Event,
        batch_bytes_max: int,
        event_bytes_max: int,
        on_seen: Callable[[int], None] = lambda seconds: None,
        store: PreparedStore | None = None,
    ) -> None:
        """`place` is what checkpoints of this spool name; `store` keeps the rows of prepared XA
        transactions."""
        self._store = store
        self._live, self._spool, self._place, self._stop = live, spool, place, stop
        self._batch_bytes_max, self._event_bytes_max = batch_bytes_max, event_bytes_max
        self._on_seen = on_seen
        self.is_draining = False

    def read(self, after: Checkpoint | None) -> Iterator[EventBatch]:
        """Batches from just after the checkpoint, until `stop`; see `ServerSource.read`."""
        unfolder = Unfolder(self._batch_bytes_max, self._event_bytes_max, self._store)
        return unfolder.unfold(self._events(after, unfolder), self._stop)

    def close(self) -> None:
        self._live.close()

    def _events(self, after: Checkpoint | None, unfolder: Unfolder) -> Iterator[EventBatch]:
        spool = self._spool
        if after is not None:
            spool.passed(after)
            if after.spool == self._place:
                after = replace(after, spool="")  # nobody has to be told where it lies
        end = spool.end
        if end is None:
            yield from self._behind(after, unfolder)
        elif after is None:
            raise SourceError(
                f"the spool {spool.folder} holds events, and the log knows no checkpoint of this"
                " connector",
                hint="is it the right log? to begin anew, remove the spool's folder",
            )
        elif not spool.holds_from(after):
            logger.warning(
                "the spool begins behind the checkpoint: reading the server",
                folder=str(spool.folder),
            )
            yield from self._behind(after, unfolder)
        else:
            yield from self._through(after, end, unfolder)

    def _through(self, after: Checkpoint, end: Mark, unfolder: Unfolder) -> Iterator[EventBatch]:
        """Invariant 3: what is in the spool, then what the server has behind it."""
        self._recall(self._spool.order.recalls(after), after.server, unfolder)
        drained = _Drained(self._spool, after, self._batch_bytes_max)
        logger.info("draining the spool", folder=str(self._spool.folder), bytes=self._spool.bytes)
        start: Checkpoint | None = None
        self.is_draining = True
        for events in drained.events():
            if start is None:
                start = at_server(after, drained.server)
                yield EventBatch(events, start)
            else:
                yield EventBatch(events)
            if seconds := _seconds_of(events):
                self._on_seen(seconds)
            if self._stop.is_set():
                return
        self.is_draining = False
        onward = self._spool.order.onward(end.checkpoint, after)
        for batch in self._behind(onward, unfolder):
            if batch.start is None:
                yield batch
            elif start is None:
                place = batch.start
                here = at_server(after, place.server)
                here = replace(here, gtid_set=place.gtid_set, file=place.file, pos=place.pos)
                yield replace(batch, start=here)
            elif batch.start.server != start.server:
                raise _other_server(start.server, batch.start.server)
            else:
                logger.info("the spool is drained: going on at the server")
                yield EventBatch(_renamed(batch.events, is_checksummed(end.description)))

    def _recall(self, prepared: Mapping[str, Prepared], server: str, unfolder: Unfolder) -> None:
        """Fetch the rows of prepared transactions: from the spool, else the server."""
        ahead, elsewhere = SpoolAhead(self._spool), {}
        for xid, place in prepared.items():
            kept = ahead.behind(server, place.file, place.pos)
            if kept is None or not unfolder.recall(xid, kept.events):
                elsewhere[xid] = place
        if elsewhere:
            self._live.recall(elsewhere, unfolder)

    def _behind(self, onward: Checkpoint | None, unfolder: Unfolder) -> Iterator[EventBatch]:
        """What the server has behind the spool."""
        try:
            for batch in self._live.events(onward, unfolder):
                if batch.start is not None:
                    self._spool.mended()
                yield batch
        except PositionLost as error:
            if not self._spool.damage:
                raise
            raise PositionLost(
                f"{self._spool.damage}, and the server no longer has what stands there:"
                f" {error.message}",
                hint=f"restore the file from a copy; {error.hint}",
            ) from error


class _Drained:
    """One reading of the spool."""

    def __init__(self, spool: Spool, after: Checkpoint, batch_bytes_max: int) -> None:
        self._spool, self._after = spool, after
        self._batch_bytes_max = batch_bytes_max
        self.server = ""
        """Known with the first events."""
        self._has_begun = self._is_checksummed = False

    def events(self) -> Iterator[bytes]:
        """Whole events in bounded batches; one that is larger comes alone.

        Unreachable where they go on in another way: read again from the last checkpoint."""
        parts: list[bytes] = []
        size = 0
        failure: Unreachable | None = None
        try:
            for events in self._parts():
                if parts and size + len(events) > self._batch_bytes_max:
                    yield b"".join(parts)
                    parts, size = [], 0
                parts.append(events)
                size += len(events)
        except Unreachable as error:
            failure = error  # what was read before it goes on, so that the next reading is further
        if parts:
            yield b"".join(parts)
        if failure is not None:
            raise failure

    def _parts(self) -> Iterator[bytes]:
        order = self._spool.order
        for segment, at, mark in self._spool.read_from(self._after):
            server = mark.checkpoint.server
            if self._has_begun and server != self.server:
                raise _other_server(self.server, server)
            self.server = server
            is_new = order.is_behind(mark.checkpoint, self._after)
            try:
                yield from (self._all if is_new else self._new)(segment, at, mark)
            except SegmentDamaged as error:
                self._spool.cut(segment, error.at, str(error))
                raise Unreachable(
                    f"{error}; going on at the server from the last place before it",
                    hint="look at the disk",
                ) from error
            self._is_checksummed = is_checksummed(segment.end.description)

    def _all(self, segment: Segment, at: int, mark: Mark) -> Iterator[bytes]:
        yield self._head(mark.checkpoint.file, mark.checkpoint.pos, mark.description)
        for _, events in events_of(segment, at):
            yield events

    def _new(self, segment: Segment, at: int, mark: Mark) -> Iterator[bytes]:
        """From the first transaction on that isn't processed, without those that are."""
        trail = Trail(mark.checkpoint, mark.description)
        done = Done(self._after, mark.checkpoint.server)
        is_kept = has_begun = False
        for _, events in events_of(segment, at):
            begin = 0
            for boundary in trail.boundaries(events):
                if is_kept and begin < boundary:
                    yield events[begin:boundary]
                begin, opening = boundary, trail.opening
                is_kept = has_begun
                if opening is not None:
                    is_kept = not self._spool.order.is_done(done, opening)
                if is_kept and not has_begun:
                    has_begun = True
                    yield self._head(trail.file, trail.pos, trail.description)
            if is_kept:
                yield events[begin:]

    def _head(self, file: str, pos: int, description: bytes) -> bytes:
        is_sealed = self._has_begun and self._is_checksummed
        self._has_begun = True
        return rotate(file, pos, is_sealed) + repeated(description)


def _renamed(events: bytes, is_sealed: bool) -> bytes:
    """A dump's first events, its ROTATE like the events before: with a checksum, or without."""
    size = int.from_bytes(events[9:13], "little")
    assert events[4] == binlog.ROTATE, "a dump names its file first"
    end = size - binlog.CHECKSUM_BYTES
    has_checksum = zlib.crc32(events[:end]) == int.from_bytes(events[end:size], "little")
    body = events[binlog.HEADER_BYTES : end if has_checksum else size]
    pos = int.from_bytes(body[:8], "little")
    return rotate(body[8:].decode(), pos, is_sealed) + events[size:]


def _seconds_of(events: bytes) -> int:
    """The server's time of the first transaction; 0 if none begins among the first events."""
    for kind, _, at, _ in islice(headers(events), EVENTS_LOOKED_AT):
        if kind in binlog.OPENING:
            return int.from_bytes(events[at : at + 4], "little")
    return 0


def _other_server(before: str, now: str) -> Unreachable:
    return Unreachable(
        f"the source was the server {before}, and is {now} from here on",
        hint="going on there after what is read",
    )
