"""Reads a source for as long as a test needs, never longer than a bound."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.server import ServerSource
from cdc.capture.source_settings import ServerSettings
from cdc.patterns import TablePatterns
from cdc.services import DatabaseAddress

SECONDS_MAX = 30.0
GTID, MARIADB_GTID, XID = 33, 162, 16
_STATEMENTS = frozenset({29, 160})
# What a server writes around transactions, differently at each reading.
_AROUND = frozenset({3, 4, 15, 27, 35, 41, 161, 163})


def settings_for(
    address: DatabaseAddress, *tables: str, server_id: int = 4_000_000_001, **more: Any
) -> ServerSettings:
    """Settings of a reader; tests run one after the other, so one id does for all."""
    return ServerSettings(
        name="shop",
        host=more.pop("host", address.host),
        port=more.pop("port", address.port),
        user=address.user,
        password=more.pop("password", address.password),
        server_id=server_id,
        tables=TablePatterns(tables or ("*.*",)),
        **{"heartbeat_seconds": 1.0, **more},
    )


@dataclass
class Reading:
    """What came out of a source."""

    start: Checkpoint | None = None
    events: list[bytes] = field(default_factory=list)
    """All of them, in order, without those that stand around transactions."""
    batch_sizes: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def holds(self, *texts: bytes) -> bool:
        """Whether each text stands in some event, other than the statement that wrote it."""
        events = [event for event in self.events if event[4] not in _STATEMENTS]
        return all(any(text in event for event in events) for text in texts)

    def is_committed(self) -> bool:
        """Whether the last event is a commit."""
        return bool(self.events) and self.events[-1][4] == XID

    def transactions(self) -> list[list[bytes]]:
        """The events from each GTID event to the one before the next."""
        found: list[list[bytes]] = []
        for event in self.events:
            if event[4] in (GTID, MARIADB_GTID):
                found.append([])
            found[-1].append(event)
        return found


def read(
    settings: ServerSettings,
    until: Callable[[Reading], bool],
    after: Checkpoint | None = None,
    *,
    begun: Callable[[], None] = lambda: None,
) -> Reading:
    """Read until the condition holds; `begun` is called when the first batch is there."""
    stop, reading = threading.Event(), Reading()
    timer = threading.Timer(SECONDS_MAX, stop.set)
    timer.start()
    is_held = False
    try:
        source = ServerSource(settings, stop=stop, on_seen=reading.seen.append)
        for batch in source.read(after):
            if batch.start is not None:
                reading.start = batch.start
                begun()
            reading.batch_sizes.append(len(batch.events))
            reading.events += [one for one in split(batch.events) if one[4] not in _AROUND]
            if until(reading):
                is_held = True
                stop.set()
    finally:
        timer.cancel()
    assert is_held, f"the condition did not hold within {SECONDS_MAX} s: {kinds(reading.events)}"
    return reading


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {SECONDS_MAX} s"
        time.sleep(0.05)


def split(events: bytes) -> Iterator[bytes]:
    """The single events of a batch."""
    at = 0
    while at < len(events):
        (size,) = struct.unpack_from("<I", events, at + 9)
        yield events[at : at + size]
        at += size


def kinds(events: Sequence[bytes]) -> list[int]:
    """The events' types."""
    return [event[4] for event in events]
