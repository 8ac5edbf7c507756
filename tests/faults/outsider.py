"""Who reads the ledger's topic beside a connector, and notes when each entry was there."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing, contextmanager

from cdc.codec.wire import FRAME_BYTES
from cdc.config import ConnectorConfig
from cdc.errors import CdcError
from cdc.model import Message
from cdc.wiring.ends import open_log
from tests.faults.evidence import Place

WAIT_SECONDS = 5.0
"""A reader is opened anew after so long without a record, which takes time."""
LOOK_SECONDS = 0.1


class Outsider:
    """Reads for as long as the block runs; a log that is away is waited for."""

    def __init__(self, config: ConnectorConfig, topic: str) -> None:
        self._config, self._topic = config, topic
        self._stop = threading.Event()
        self._start: dict[Place, int] = {}
        self._newest: list[tuple[int, float]] = []
        """Numbers of entries that were higher than all before them, and when they came."""

    def __enter__(self) -> Outsider:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing is open in the block."""
        self.__exit__()
        yield
        self.__enter__()

    @property
    def newest(self) -> int:
        """The highest number of an entry that was seen; 0: none."""
        return self._newest[-1][0] if self._newest else 0

    def came_after(self, number: int) -> float | None:
        """When the first entry above this number was there; None: not yet."""
        newest = self._newest[:]
        at = bisect_right(newest, (number, float("inf")))
        return newest[at][1] if at < len(newest) else None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read(self._start)
            except CdcError:
                self._stop.wait(LOOK_SECONDS)

    def _read(self, start: dict[Place, int]) -> None:
        with closing(open_log(self._config)) as log:
            while not self._stop.is_set():
                if self._topic not in log.topics():
                    self._stop.wait(LOOK_SECONDS)
                    continue
                for one in log.follow(self._topic, start, wait_seconds=WAIT_SECONDS):
                    start[one.topic, one.partition] = one.offset + 1
                    number = entry_number(one)
                    if number > self.newest:
                        self._newest.append((number, time.monotonic()))
                    if self._stop.is_set():
                        return


def entry_number(message: Message) -> int:
    """`seq` of the ledger, which alone is in the key: a zigzag number of Avro's."""
    assert message.key is not None
    zigzag = 0
    for place, byte in enumerate(message.key[FRAME_BYTES:]):
        zigzag |= (byte & 0x7F) << (7 * place)
    return (zigzag >> 1) ^ -(zigzag & 1)
