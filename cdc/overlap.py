"""Writing beside reading: the next batch is read and decoded while the last one is written."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

from cdc.model import Output
from cdc.ports import Sink

C = TypeVar("C")
R = TypeVar("R")


class Overlapped(Generic[R, C]):
    """A sink whose `write` returns when the write before it has ended; one is under way at most.

    Order and invariant 1 are the inner sink's, which is called from one thread, in turn. A write
    that failed is raised by the next call; nothing is written after it."""

    def __init__(self, sink: Sink[R, C], failed: threading.Event, idle: threading.Event) -> None:
        """`failed` is set when a write has failed, so that who waits for the source can stop;
        `idle` while nothing is being written."""
        self._sink = sink
        self._failed, self._idle = failed, idle
        idle.set()
        self._outputs: SimpleQueue[Output[R, C] | None] = SimpleQueue()
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def last_checkpoint(self) -> C | None:
        return self._sink.last_checkpoint()

    def write(self, output: Output[R, C]) -> None:
        self.settle()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="write", daemon=True)
            self._thread.start()
        self._is_writing = True
        self._idle.clear()
        self._outputs.put(output)

    def settle(self) -> None:
        """Wait until nothing is being written; raises what the last write raised."""
        if self._is_writing:
            failure = self._ended.get()  # bounded by the inner sink's own limits
            self._is_writing = False
            if failure is not None:
                raise failure

    def close(self) -> None:
        """Let the last write end, then close; raises if it failed and nobody knows yet."""
        try:
            self.settle()
        finally:
            if self._thread is not None:
                self._outputs.put(None)
                self._thread.join()
            self._sink.close()

    def _write_all(self) -> None:
        while (output := self._outputs.get()) is not None:
            try:
                self._sink.write(output)
            except BaseException as failure:  # noqa: BLE001  # raised by the next call
                self._failed.set()
                self._ended.put(failure)
                return
            finally:
                self._idle.set()
            self._ended.put(None)


class EitherEvent(threading.Event):
    """Set when it is set itself, or another event is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()
