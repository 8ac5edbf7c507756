"""Counts what passes through a stage, once per batch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from cdc.model import Output
from cdc.observe import StageMetrics
from cdc.ports import Sink, Step


class Meter:
    """Stands between step and sink of one pipeline: `meter.step`, `meter.sink`."""

    def __init__(
        self,
        metrics: StageMetrics,
        step: Step[Any, Any, Any],
        sink: Sink[Any, Any],
        *,
        bytes_of: Callable[[Any], int],
        checkpoint_text: Callable[[Any], str],
        dropped: Callable[[], Mapping[tuple[str, str], int]],
        written: Callable[[], None],
    ) -> None:
        """`bytes_of` a batch; `dropped` so far, by (table, reason); `written` after each batch."""
        self._metrics = metrics
        self._step, self._sink = step, sink
        self._bytes_of, self._checkpoint_text, self._dropped = bytes_of, checkpoint_text, dropped
        self._written = written
        self._dropped_before: Counter[tuple[str, str]] = Counter()
        self._begun = 0.0
        self._bytes = 0

    def step(self, batch: Any) -> Output[Any, Any]:
        self._begun = time.monotonic()
        self._bytes = self._bytes_of(batch)
        return self._step(batch)

    @property
    def sink(self) -> Sink[Any, Any]:
        return self

    def last_checkpoint(self) -> Any:
        return self._sink.last_checkpoint()

    def write(self, output: Output[Any, Any]) -> None:
        self._sink.write(output)
        self._written()
        now = time.monotonic()
        self._metrics.batch(
            records=len(output.records), bytes=self._bytes, seconds=now - self._begun
        )
        self._metrics.checkpoint(self._checkpoint_text(output.checkpoint))
        dropped = self._dropped()
        if dropped != self._dropped_before:
            for (table, reason), count in dropped.items():
                more = count - self._dropped_before[table, reason]
                if more:
                    self._metrics.dropped(table, reason, more)
            self._dropped_before = Counter(dropped)

    def close(self) -> None:
        self._sink.close()
