"""What has happened so far: written by the threads that see it, read by who shows it."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.demo.shop import Transaction

RECENT_MAX = 100
TIMED_EVENTS_MAX = 20_000
"""Of so many events, the last ones, the way is timed."""


@dataclass(frozen=True, slots=True)
class OfficialEvent:
    """An official event as it came out."""

    name: str
    order_id: int
    fields: Mapping[str, Any]
    offset: int
    committed_seconds: float | None
    """When the server committed the change, by this machine's clock."""
    latency_seconds: float | None
    """From that commit until it could be read from its topic."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long it took, over all events that were timed."""

    median_seconds: float
    p99_seconds: float
    event_count: int


@dataclass
class Story:
    """Counts, and the last few of each thing."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows inserted, updated and deleted by transactions that were committed."""
    transaction_count: int = 0
    rolled_back_count: int = 0
    events: Counter[str] = field(default_factory=Counter)
    happenings: deque[Transaction | OfficialEvent] = field(
        default_factory=lambda: deque(maxlen=RECENT_MAX)
    )
    happening_count: int = 0
    next_offset: int = 0
    """After the last official event that was seen."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _committed: deque[tuple[int, float]] = field(
        default_factory=lambda: deque(maxlen=TIMED_EVENTS_MAX)
    )
    _view_reached: deque[tuple[int, float]] = field(
        default_factory=lambda: deque(maxlen=TIMED_EVENTS_MAX)
    )

    def written(self, transaction: Transaction) -> None:
        """The shop ended a transaction."""
        with self._lock:
            if transaction.is_rolled_back:
                self.rolled_back_count += 1
            else:
                self.transaction_count += 1
                self.rows.update(transaction.rows)
            self._happened(transaction)

    def published(self, event: OfficialEvent) -> None:
        """An official event came out."""
        with self._lock:
            self.events[event.name] += 1
            self.next_offset = event.offset + 1
            if event.committed_seconds is not None:
                self._committed.append((event.offset, event.committed_seconds))
            self._happened(event)

    def view_reached(self, next_offset: int, now_seconds: float) -> None:
        """The view holds all events before this offset."""
        with self._lock:
            self._view_reached.append((next_offset, now_seconds))

    @property
    def row_count(self) -> int:
        return self.rows.total()

    @property
    def event_count(self) -> int:
        return self.events.total()

    def recent(self) -> tuple[int, list[Transaction | OfficialEvent]]:
        """How much has happened, and the last of it."""
        with self._lock:
            return self.happening_count, list(self.happenings)

    def has_order(self, order_id: int) -> bool:
        """Whether one of the last events was of this order."""
        _, recent = self.recent()
        return any(isinstance(one, OfficialEvent) and one.order_id == order_id for one in recent)

    def latency(self) -> Latency | None:
        """From the commit in the database until the row was in the view."""
        with self._lock:
            committed, reached = list(self._committed), list(self._view_reached)
        offsets = [offset for offset, _ in reached]
        seconds = sorted(
            reached[place][1] - at
            for offset, at in committed
            # The first state of the view that has this event.
            if (place := bisect_right(offsets, offset)) < len(reached)
        )
        if not seconds:
            return None
        return Latency(
            seconds[len(seconds) // 2], seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
            len(seconds),
        )  # fmt: skip

    def _happened(self, what: Transaction | OfficialEvent) -> None:
        self.happenings.append(what)
        self.happening_count += 1
