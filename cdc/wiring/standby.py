"""One instance of a connector runs, the others stand by: what the lock means to its stages."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from cdc.capture.lock import ConnectorLock
from cdc.errors import CdcError, Fenced, LockLost, PushedOut, Unreachable
from cdc.model import Output
from cdc.overlap import EitherEvent
from cdc.ports import Sink, Source
from cdc.supervisor import OpenPipeline, Pipeline, Signs, Stopped

B = TypeVar("B")
C = TypeVar("C")
R = TypeVar("R")

ENDED_MAX = 3
"""A stage with the lock that others end more often than so within ENDED_SECONDS gives up."""
ENDED_SECONDS = 60.0
WAIT_SLICE_SECONDS = 0.2
"""How long a stage waits for the lock before it looks at `stop`."""


class Endings:
    """What it means that a stage was ended by another instance: fenced, or pushed out.

    With the lock: the other one was stopped between its lock and its writer or its reading, and
    did this when it woke; it sees that the lock is lost and queues. If it goes on, it is one that
    knows no lock."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=ENDED_MAX)

    def meaning(self, error: CdcError, *, is_held: bool) -> CdcError:
        """The error to raise for it."""
        if not is_held:
            return LockLost(f"{error.message}; it has the connector's lock", hint=error.hint)
        now = time.monotonic()
        if len(self._times) == ENDED_MAX and now - self._times[0] < ENDED_SECONDS:
            return error
        self._times.append(now)
        return Unreachable(
            f"{error.message}, though this instance holds the connector's lock",
            hint="going on; is there an instance with source.standby: false, or one that follows"
            " another server?",
        )


class Duty:
    """Whether this process is the instance that runs: capture takes the lock, all stages heed it.

    A lock that is lost stops capture at once, the other stages when somebody else has taken it:
    while the database is away they go on with what there is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lock: ConnectorLock | None = None
        self._elsewhere = ""

    def take(self, lock: ConnectorLock, stop: threading.Event, signs: Signs) -> None:
        """Wait for the lock as a standby; Stopped if told to stop before."""

        def standby(why: str) -> None:
            self._note(None, why)
            signs.standby(why)

        if not lock.queue(stop, standby):
            raise Stopped
        self._note(lock, "")
        signs.took_over()

    def wait(self, stop: threading.Event, signs: Signs) -> None:
        """Until capture has the lock; Stopped if told to stop before."""
        while not self.is_here():
            if stop.is_set():
                raise Stopped
            if why := self._elsewhere:
                signs.standby(why)
            with self._changed:
                self._changed.wait(WAIT_SLICE_SECONDS)
        signs.took_over()

    def is_here(self) -> bool:
        """Whether this process surely has the lock, as far as the clock tells."""
        return self._lock is not None and self._lock.is_sure()

    def is_elsewhere(self) -> bool:
        """Whether another instance was seen to have it."""
        return bool(self._elsewhere)

    def relieved(self) -> LockLost:
        """Another instance runs the connector."""
        return LockLost(self._elsewhere or "the connector's lock is lost")

    def _note(self, lock: ConnectorLock | None, elsewhere: str) -> None:
        with self._changed:
            self._lock, self._elsewhere = lock, elsewhere
            self._changed.notify_all()


class LockedSource(Generic[B, C]):
    """A source that is read while the lock is held."""

    def __init__(self, source: Source[B, C], lock: ConnectorLock, endings: Endings) -> None:
        self._source, self._lock, self._endings = source, lock, endings

    def read(self, after: C | None) -> Iterator[B]:
        self._lock.check()  # a reading that begins ends the one of the lock's holder
        try:
            yield from self._source.read(after)
        except PushedOut as error:
            raise self._endings.meaning(error, is_held=self._lock.is_held()) from error

    def close(self) -> None:
        self._source.close()


class LockedSink(Generic[R, C]):
    """A sink that writes while the lock is held; closed, it gives the lock back."""

    def __init__(
        self, sink: Sink[R, C], lock: ConnectorLock, endings: Endings, stop: threading.Event
    ) -> None:
        self._sink, self._lock, self._endings, self._stop = sink, lock, endings, stop

    def last_checkpoint(self) -> C | None:
        return self._sink.last_checkpoint()

    def write(self, output: Output[R, C]) -> None:
        self._lock.check()
        try:
            self._sink.write(output)
        except Fenced as error:
            raise self._endings.meaning(error, is_held=self._lock.is_held()) from error

    def close(self) -> None:
        """Also raises LockLost, in place of what is being raised: it is the cause."""
        try:
            self._sink.close()
        finally:
            # Last: what is still written on the way to a stop is written under the lock.
            if not self._lock.release() and not self._stop.is_set():
                raise self._lock.lost()


class Relieved(EitherEvent):
    """Set as well when another instance runs the connector, and stays so."""

    def __init__(self, stop: threading.Event, duty: Duty) -> None:
        super().__init__(stop)
        self._stop, self._duty = stop, duty

    def is_set(self) -> bool:
        if self._duty.is_elsewhere():
            self.set()
        return super().is_set()

    def is_relieved(self) -> bool:
        """Whether that is why it is set."""
        return self.is_set() and not self._stop.is_set()


class RelievedSource(Generic[B, C]):
    """The source of a stage that runs beside capture: another instance may take its place."""

    def __init__(self, source: Source[B, C], duty: Duty, endings: Endings) -> None:
        self._source, self._duty, self._endings = source, duty, endings

    def read(self, after: C | None) -> Iterator[B]:
        try:
            yield from self._source.read(after)
        except Fenced as error:
            raise self._endings.meaning(error, is_held=self._duty.is_here()) from error

    def close(self) -> None:
        self._source.close()


class RelievedSink(Generic[R, C]):
    """The sink of a stage that runs beside capture: it ends where another instance runs."""

    def __init__(self, sink: Sink[R, C], duty: Duty, endings: Endings, ended: Relieved) -> None:
        self._sink, self._duty, self._endings, self._ended = sink, duty, endings, ended

    def last_checkpoint(self) -> C | None:
        return self._sink.last_checkpoint()

    def write(self, output: Output[R, C]) -> None:
        try:
            self._sink.write(output)
        except Fenced as error:
            raise self._endings.meaning(error, is_held=self._duty.is_here()) from error

    def close(self) -> None:
        """Also raises LockLost, where that is why the stage ends."""
        self._sink.close()
        if self._ended.is_relieved():
            raise self._duty.relieved()


def relieved(open_pipeline: OpenPipeline, duty: Duty) -> OpenPipeline:
    """Opens a stage that runs while capture, in the same process, has the lock."""
    endings = Endings()

    def opener(stop: threading.Event, signs: Signs) -> Pipeline:
        duty.wait(stop, signs)
        ended = Relieved(stop, duty)
        pipeline = open_pipeline(ended, signs)
        pipeline = replace(
            pipeline,
            source=RelievedSource(pipeline.source, duty, endings),
            sink=RelievedSink(pipeline.sink, duty, endings, ended),
        )
        if not duty.is_here():  # it stood still meanwhile, and its writer may have ended another's
            ended.set()
            pipeline.close()
            raise Stopped
        return pipeline

    return opener
