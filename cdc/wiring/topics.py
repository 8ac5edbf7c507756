"""What stages that read topics have in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from cdc.config import ConnectorConfig
from cdc.log.source import TopicSource
from cdc.model import Message, Offsets
from cdc.observe import StageMetrics
from cdc.ports import LogReader

POLL_WAIT_SECONDS = 0.5
"""How long a reader of topics waits for records before it looks whether to stop."""


LAG_EVERY_SECONDS = 1.0
"""How often a reader is asked how many records it has still to read."""


def topic_source(
    config: ConnectorConfig,
    metrics: StageMetrics,
    reader: LogReader,
    stop: threading.Event,
    alive: Callable[[], None],
) -> TopicSource:
    asked_at = 0.0

    def polled(messages: Sequence[Message]) -> None:
        nonlocal asked_at
        alive()
        if messages:
            metrics.seen(messages[-1].timestamp_ms / 1000)
        else:
            metrics.heartbeat()
        now = time.monotonic()
        if now - asked_at >= LAG_EVERY_SECONDS:  # with Kafka it is a request to the broker
            asked_at = now
            metrics.lag_records(sum(reader.lag().values()))

    return TopicSource(
        reader,
        records_max=config.limits.batch_rows_max,
        poll_wait_seconds=POLL_WAIT_SECONDS,
        stop=stop,
        on_poll=polled,
    )


def message_bytes(batch: Any) -> int:
    return sum(len(message.value or b"") for message in batch.messages)


def offsets_text(offsets: Offsets) -> str:
    places = sorted(offsets.items())
    shown = ", ".join(f"{topic}[{partition}]@{at}" for (topic, partition), at in places[:8])
    return shown + (f" and {len(places) - 8} more" if len(places) > 8 else "")
