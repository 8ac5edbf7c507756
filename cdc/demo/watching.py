"""Looks at what the pipeline makes, from outside it: the event topic and the view."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cdc.codec.avro import SchemaCache
from cdc.config import ConnectorConfig
from cdc.demo.comparison import VIEW
from cdc.demo.story import OfficialEvent, Story
from cdc.tailing import shown
from cdc.wiring.ends import create_topics, open_log, open_registry

TOPIC = "orders.v1"
FOLLOW_WAIT_SECONDS = 0.2
"""How long to wait for an event before looking whether to stop."""
LOOK_SECONDS = 0.002
"""Between two looks at the view, which is how exactly its changes are timed."""
OPEN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class EventWatch:
    """Tells a story every official event as it comes out."""

    config: ConnectorConfig
    story: Story
    clock_ahead_seconds: float | None
    """The server's clock against ours; None: commits can't be timed."""

    def __call__(self, stop: threading.Event) -> None:
        with closing(open_log(self.config)) as log, closing(open_registry(self.config)) as registry:
            create_topics(log, self.config.topics.event_topic(TOPIC))
            schemas = SchemaCache(registry)
            while not stop.is_set():
                start = {(TOPIC, 0): self.story.next_offset}
                for message in log.follow(TOPIC, start, wait_seconds=FOLLOW_WAIT_SECONDS):
                    self.story.published(self._event(shown(message, schemas), time.time()))
                    if stop.is_set():
                        return

    def _event(self, event: dict[str, Any], now_seconds: float) -> OfficialEvent:
        headers, value = event["headers"], event["value"]
        committed = None
        if self.clock_ahead_seconds is not None:
            moment = datetime.fromisoformat(headers["ce_time"])
            committed = moment.timestamp() - self.clock_ahead_seconds
        return OfficialEvent(
            headers["ce_type"].split(".")[-2],
            event["key"]["order_id"],
            {name: field for name, field in value.items() if name != "order_id"},
            event["offset"],
            committed,
            None if committed is None else now_seconds - committed,
        )


@dataclass(frozen=True, slots=True)
class ViewWatch:
    """Tells a story how far the view has come, by the offsets that stand beside its rows."""

    path: Path
    story: Story

    def __call__(self, stop: threading.Event) -> None:
        reached = version = -1
        with view_connection(self.path, stop) as connection:
            while not stop.wait(LOOK_SECONDS):
                ((now_version,),) = connection.execute("PRAGMA data_version")
                if now_version == version:
                    continue
                version = now_version
                rows = connection.execute("SELECT max(next_offset) FROM cdc_offsets").fetchall()
                if (next_offset := rows[0][0]) is not None and next_offset > reached:
                    reached = next_offset
                    self.story.view_reached(reached, time.time())


def view_connection(path: Path, stop: threading.Event) -> closing[sqlite3.Connection]:
    """A connection to the view's file, once the view is there; read only."""
    while not stop.wait(OPEN_SECONDS):
        if path.exists():
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VIEW,)).fetchone():
                return closing(connection)
            connection.close()
    return closing(sqlite3.connect(":memory:"))


class ViewGlance:
    """The few rows of the view that changed last, for the eye."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def count(self) -> int:
        """Rows in the view."""
        rows = self._rows(f"SELECT count(*) FROM {VIEW}")  # noqa: S608  # a constant
        return rows[0][0] if rows else 0

    def holds(self, order_id: int) -> bool:
        return bool(self._rows(f"SELECT 1 FROM {VIEW} WHERE order_id = ?", order_id))  # noqa: S608

    def orders(self, order_ids: Iterable[int]) -> list[tuple[Any, ...]]:
        """Number, customer, status, items, total, carrier of these orders, in this order."""
        found = []
        for order_id in order_ids:
            found += self._rows(
                "SELECT order_id, customer_id, status, items, total, carrier"  # noqa: S608
                f" FROM {VIEW} WHERE order_id = ?",
                order_id,
            )
        return found

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Nothing while there is no view yet."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return []


def wait_until(
    is_so: Callable[[], bool], seconds_max: float, meanwhile: Callable[[], None]
) -> bool:
    """Whether it came to be within the bound; `meanwhile` is called again and again."""
    deadline = time.monotonic() + seconds_max
    while not is_so():
        if time.monotonic() > deadline:
            return False
        meanwhile()
    return True
