"""Counts what passes through a stage, once per batch."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cdc.model import Output
from cdc.observe import StageMetrics
from cdc.ports import Sink, Step

SAMPLE_SECONDS = 1.0
"""How often the values substituted and the tables undescribed are looked at."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is known of a batch before it is written."""

    begun: float
    bytes: int
    dropped: Mapping[tuple[str, str], int]
    dead_letters: int


class Meter:
    """Stands between step and sink of one pipeline: `meter.step`, `meter.sink`.

    The sink may be called from another thread, and be one or more batches behind the step."""

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
        substituted: Callable[[], Mapping[tuple[str, str], int]] = dict,
        undescribed: Callable[[], int] = int,
        dead_letters: Callable[[], int] = int,
    ) -> None:
        """`bytes_of` a batch; `dropped` so far, by (table, reason); `written` after each batch;
        values `substituted` so far, by (table, column); captured tables that are `undescribed`;
        `dead_letters` so far."""
        self._metrics = metrics
        self._step, self._sink = step, sink
        self._bytes_of, self._checkpoint_text, self._dropped = bytes_of, checkpoint_text, dropped
        self._written = written
        self._dropped_before: Counter[tuple[str, str]] = Counter()
        self._batches: deque[_Batch] = deque()
        self._substituted, self._undescribed = substituted, undescribed
        self._dead_letters, self._dead_letters_before = dead_letters, dead_letters()
        self._substituted_before: Mapping[tuple[str, str], int] = {}
        self._sample_at = 0.0

    def step(self, batch: Any) -> Output[Any, Any]:
        begun = time.monotonic()
        output = self._step(batch)
        size, dropped = self._bytes_of(batch), dict(self._dropped())
        self._batches.append(_Batch(begun, size, dropped, self._dead_letters()))
        if begun >= self._sample_at:
            self._sample_at = begun + SAMPLE_SECONDS
            self._sample()
        return output

    def _sample(self) -> None:
        """Note what takes a look at all tables; from the step's thread, which changes them."""
        self._metrics.undescribed(self._undescribed())
        counts = self._substituted()
        for (table, column), count in counts.items():
            more = count - self._substituted_before.get((table, column), 0)
            if more:
                self._metrics.substituted(table, column, more)
        self._substituted_before = counts

    @property
    def sink(self) -> Sink[Any, Any]:
        return self

    def last_checkpoint(self) -> Any:
        return self._sink.last_checkpoint()

    def write(self, output: Output[Any, Any]) -> None:
        batches = [self._batches.popleft() for _ in range(output.batches)]
        self._sink.write(output)
        self._written()
        seconds = time.monotonic() - batches[0].begun
        size = sum(batch.bytes for batch in batches)
        self._metrics.batch(records=len(output.records), bytes=size, seconds=seconds)
        self._metrics.checkpoint(self._checkpoint_text(output.checkpoint))
        if (count := batches[-1].dead_letters) > self._dead_letters_before:
            self._metrics.dead_letters(count - self._dead_letters_before)
            self._dead_letters_before = count
        dropped = batches[-1].dropped
        if dropped != self._dropped_before:
            for (table, reason), count in dropped.items():
                more = count - self._dropped_before[table, reason]
                if more:
                    self._metrics.dropped(table, reason, more)
            self._dropped_before = Counter(dropped)

    def close(self) -> None:
        self._sink.close()
