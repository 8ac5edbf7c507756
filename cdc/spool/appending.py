"""Events of a dump into the spool, so that it always ends between two transactions."""

from __future__ import annotations

import time
from collections.abc import Callable

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.scan import headers
from cdc.spool.segment import Mark, SegmentWriter, frame_bytes
from cdc.spool.store import Spool, SpoolFull
from cdc.spool.trail import Trail

FLUSH_BYTES = 1 << 20
"""Of events that wait in memory for the next write, and so of one frame; a larger event is one."""
SYNC_SECONDS = 0.2
"""How long they may wait for the disk while more come."""
SEGMENT_BYTES = 64 << 20
"""From so many on a new segment begins: what is drained is removed by segments."""


class Appender:
    """Takes one dump's batches."""

    def __init__(
        self,
        spool: Spool,
        start: Checkpoint,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool, self._trail, self._clock = spool, Trail(start), clock
        self._segment_bytes = segment_bytes
        self._writer: SegmentWriter | None = None
        self._waiting = b""
        self._whole = -1
        """Where the last boundary is in what waits; -1: none."""
        self._synced_at = clock()
        self._is_sound = True
        """Whether what waits is what the trail knows of, and can be written."""

    def take(self, events: bytes) -> None:
        """Raises SpoolFull, or what a reading of the events does; nothing more can be taken then,
        and what went before is on disk once it is closed."""
        self._is_sound = False
        self._take(events)
        self._is_sound = True

    def _take(self, events: bytes) -> None:
        if self._writer is None:
            events = self._begin(events)
        if not events:
            return
        before = len(self._waiting)
        is_file_done = False
        for at in self._trail.boundaries(events):
            self._whole = before + at
            is_file_done = is_file_done or events[at + 4] == binlog.ROTATE
        if not _is_heartbeat(events):
            self._waiting += events
        # A server may purge a file as soon as it has sent the next one's name.
        is_due = is_file_done or self._clock() - self._synced_at >= SYNC_SECONDS
        if is_due or len(self._waiting) >= FLUSH_BYTES:
            self.flush(is_synced=is_due)

    def _begin(self, events: bytes) -> bytes:
        """A dump names and describes its first file; what stands behind that."""
        ends = (end for kind, _, _, end in headers(events) if kind == binlog.FORMAT_DESCRIPTION)
        end = next(ends, 0)
        for _ in self._trail.boundaries(events[:end] or events):
            pass
        if not end:
            return b""
        try:
            self._writer = self._spool.append(self._mark())
        except OSError as error:
            raise _no_room(error) from error
        return events[end:]

    def flush(self, *, is_synced: bool = True) -> None:
        """What waits is written, but for the begin of a transaction that isn't whole.

        Raises SpoolFull."""
        if self._writer is None:
            return
        whole = self._waiting[: max(self._whole, 0)]
        mark = self._mark() if self._whole >= 0 else None
        if mark is None and len(self._waiting) >= FLUSH_BYTES:
            whole = self._waiting  # of one large transaction
        try:
            self._write(self._writer, whole, mark)
            if is_synced:
                self._writer.sync()
                self._synced_at = self._clock()
        except OSError as error:
            raise _no_room(error) from error
        self._waiting = self._waiting[len(whole) :]
        self._whole = -1

    def _write(self, writer: SegmentWriter, events: bytes, mark: Mark | None) -> None:
        if not events and mark in (None, writer.segment().end):
            return
        marked = mark.to_bytes() if mark is not None else b""
        self._spool.check_room(frame_bytes(events) + frame_bytes(marked))
        if events:
            writer.events(events)
        if mark is not None:
            writer.mark(mark)
        self._spool.grown(writer)
        if mark is not None and writer.size >= self._segment_bytes:
            self._writer = None
            writer.close()
            self._writer = self._spool.append(mark)

    def _mark(self) -> Mark:
        return Mark(self._trail.checkpoint(), self._trail.description)

    def close(self) -> None:
        """What is whole is on disk, but for what comes with an error (`take`)."""
        try:
            if self._is_sound:
                self.flush()
        finally:
            writer, self._writer = self._writer, None
            if writer is not None:
                try:
                    writer.sync()
                except OSError as error:
                    raise _no_room(error) from error
                finally:
                    writer.close()


def _is_heartbeat(events: bytes) -> bool:
    """Whether it is one and nothing else, as it comes while the server has nothing."""
    is_one = int.from_bytes(events[9:13], "little") == len(events)
    return is_one and events[4] in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2)


def _no_room(error: OSError) -> SpoolFull:
    return SpoolFull(f"writing it failed: {error.strerror}")
