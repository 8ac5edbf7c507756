"""Writing beside reading: further batches are read and decoded while one is written."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from cdc.model import Output
from cdc.ports import Sink
from cdc.records import Joined, bytes_held

C = TypeVar("C")
R = TypeVar("R")

WAITING_BYTES_MAX = 4 << 20
"""Of records that wait while others are written; one output may wait whatever its size."""
WAITING_MAX = 8
"""Outputs that wait."""


class Overlapped(Generic[R, C]):
    """A sink whose `write` returns at once, within bounds; what waits is written together.

    So a transaction of the log is small while there is little to do, and large where one costs
    more time than its records do. Order and invariant 1 are the inner sink's, which is called
    from one thread, in turn. A write that failed is raised by the next call; nothing is written
    after it."""

    def __init__(self, sink: Sink[R, C], failed: threading.Event, idle: threading.Event) -> None:
        """`failed` is set when a write has failed, so that who waits for the source can stop;
        `idle` while nothing is being written."""
        self._sink = sink
        self._failed, self._idle = failed, idle
        idle.set()
        self._changed = threading.Condition()
        self._waiting: deque[Output[R, C]] = deque()
        self._waiting_bytes = 0
        self._is_closing = False
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def last_checkpoint(self) -> C | None:
        return self._sink.last_checkpoint()

    def write(self, output: Output[R, C]) -> None:
        size = bytes_held(output.records)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="write", daemon=True)
            self._thread.start()
        with self._changed:
            while not self._has_room(size):
                self._changed.wait()  # bounded by the inner sink's own limits
            self._raise_failure()
            self._waiting.append(output)
            self._waiting_bytes += size
            self._idle.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Let all be written, then close; raises if a write failed and nobody knows yet."""
        if self._thread is not None:
            with self._changed:
                self._is_closing = True
                self._changed.notify_all()
            self._thread.join()
        try:
            self._raise_failure()
        finally:
            self._sink.close()

    def _has_room(self, size: int) -> bool:
        if self._failed.is_set() or not self._waiting:
            return True
        return len(self._waiting) < WAITING_MAX and self._waiting_bytes + size <= WAITING_BYTES_MAX

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write_all(self) -> None:
        while outputs := self._next():
            try:
                self._sink.write(_together(outputs))
            except BaseException as failure:  # noqa: BLE001  # raised by the next call
                with self._changed:
                    self._failure = failure
                    self._failed.set()
                    self._idle.set()
                    self._changed.notify_all()
                return

    def _next(self) -> list[Output[R, C]]:
        """All that waits, once there is any; empty: nothing comes any more."""
        with self._changed:
            while not self._waiting:
                self._idle.set()
                if self._is_closing:
                    return []
                self._changed.wait()
            outputs = list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()
            return outputs


def _together(outputs: list[Output[R, C]]) -> Output[R, C]:
    """Invariant 1: the last checkpoint stands after all of the records."""
    if len(outputs) == 1:
        return outputs[0]
    records = Joined([output.records for output in outputs])
    return Output(records, outputs[-1].checkpoint, sum(output.batches for output in outputs))


class EitherEvent(threading.Event):
    """Set when it is set itself, or another event is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()
