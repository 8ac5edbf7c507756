"""A topic as the source of a stage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cdc.model import Message, Offsets
from cdc.ports import LogReader


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages as they were polled, and where to go on after them."""

    messages: Sequence[Message]
    offsets: Offsets


class TopicSource:
    """Batches of a reader's messages, until `stop` is set."""

    def __init__(
        self,
        reader: LogReader,
        *,
        records_max: int,
        poll_wait_seconds: float,
        stop: threading.Event,
        on_poll: Callable[[Sequence[Message]], None] = lambda messages: None,
    ) -> None:
        """`on_poll` hears of every poll that came back, with its messages if there are any."""
        self._reader = reader
        self._records_max = records_max
        self._poll_wait_seconds = poll_wait_seconds
        self._stop = stop
        self._on_poll = on_poll

    def read(self, after: Offsets | None) -> Iterator[MessageBatch]:
        self._reader.start(after)
        while not self._stop.is_set():
            messages = self._reader.poll(self._records_max, self._poll_wait_seconds)
            self._on_poll(messages)
            if messages:
                yield MessageBatch(messages, self._reader.offsets())

    def close(self) -> None:
        self._reader.close()
