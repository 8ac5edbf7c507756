"""One instance of a connector runs, the others stand by: what the lock means to a pipeline."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

from cdc.capture.lock import ConnectorLock
from cdc.errors import Fenced, Unreachable
from cdc.model import Output
from cdc.ports import Sink
from cdc.supervisor import Signs, Stopped

C = TypeVar("C")
R = TypeVar("R")

FENCED_AGAIN_SECONDS = 60.0
"""A holder of the lock that is fenced twice within so long gives up."""


def queued(lock: ConnectorLock, stop: threading.Event, signs: Signs) -> None:
    """Wait for the lock as a standby; Stopped if told to stop before."""
    if not lock.queue(stop, signs.standby):
        raise Stopped
    signs.took_over()


class Fencings:
    """How often a holder of the lock was fenced by an instance without it.

    Once may be an instance that was paused between taking the lock and opening its writer: it
    sees that the lock is lost and queues. More often it is one that knows no lock."""

    def __init__(self) -> None:
        self._last_at = float("-inf")

    def is_again(self) -> bool:
        """Note one more; whether there was another not long ago."""
        before, self._last_at = self._last_at, time.monotonic()
        return self._last_at - before < FENCED_AGAIN_SECONDS


class LockedSink(Generic[R, C]):
    """A sink that writes while the lock is held; closed, it gives the lock back."""

    def __init__(
        self, sink: Sink[R, C], lock: ConnectorLock, fencings: Fencings, stop: threading.Event
    ) -> None:
        self._sink, self._lock, self._fencings, self._stop = sink, lock, fencings, stop

    def last_checkpoint(self) -> C | None:
        return self._sink.last_checkpoint()

    def write(self, output: Output[R, C]) -> None:
        self._lock.check()
        try:
            self._sink.write(output)
        except Fenced as error:
            # Without the lock `close` says so, and the stage queues for it.
            if self._lock.is_held() and not self._fencings.is_again():
                raise Unreachable(
                    f"{error.message}, though this instance holds the connector's lock",
                    hint="taking the name back, once; is there an instance with source.standby:"
                    " false, or one that follows another server?",
                ) from error
            raise

    def close(self) -> None:
        """Also raises LockLost, in place of what is being raised: it is the cause."""
        try:
            self._sink.close()
        finally:
            # Last: what is still written on the way to a stop is written under the lock.
            if not self._lock.release() and not self._stop.is_set():
                raise self._lock.lost()
