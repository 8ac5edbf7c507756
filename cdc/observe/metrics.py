"""Metrics and status of each stage, counted once per batch and never per row."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cdc.observe.status import ProcessStatus, StageStatus, State

RATE_SECONDS = 10
LABELS_MAX = 1000  # pairs of table and reason or column in a stage; the rest count as "other"
ERROR_TEXT_MAX = 2000
SECONDS_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time of day in seconds since 1970, and seconds that never go back."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class _Rate:
    """Records and bytes per second over the last RATE_SECONDS, in one bucket per second."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int, int]] = deque(maxlen=RATE_SECONDS + 1)

    def add(self, now: float, records: int, size: int) -> None:
        second = int(now)
        if self._buckets and self._buckets[-1][0] == second:
            _, records_before, size_before = self._buckets.pop()
            records, size = records + records_before, size + size_before
        self._buckets.append((second, records, size))

    def per_second(self, now: float) -> tuple[float, float]:
        since = int(now) - RATE_SECONDS
        recent = [bucket for bucket in self._buckets if bucket[0] > since]
        records, size = sum(b[1] for b in recent), sum(b[2] for b in recent)
        return records / RATE_SECONDS, size / RATE_SECONDS


class _Families:
    """The metric families of one process, on its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cdc_{name}", text, ("stage", *labels), registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"cdc_{name}", text, ("stage",), registry=registry)

        self.records = counter("records", "Records written by the stage.")
        self.bytes = counter("bytes", "Bytes of keys and values written by the stage.")
        self.batches = counter("batches", "Batches written, each with its checkpoint.")
        self.dropped = counter(
            "dropped", "Records dropped by a named rule or filter.", "table", "reason"
        )
        self.substituted = counter(
            "substituted_values",
            "Values that the format can't hold, written as documented.",
            "table",
            "column",
        )
        self.undescribed = gauge(
            "undescribed_tables", "Captured tables of which the server's catalogue isn't known."
        )
        self.dead_letters = counter("dead_letters", "Records that could not go on.")
        self.errors = counter("errors", "Errors by kind.", "kind")
        self.retries = counter("retries", "Tries after a failure.")
        self.lag_seconds = gauge("lag_seconds", "How far the stage is behind its source.")
        self.lag_records = gauge("lag_records", "Records that are still to be read.")
        self.checkpoint_age = gauge("checkpoint_age_seconds", "Since the last checkpoint.")
        self.queue_fill = gauge("queue_fill_ratio", "Fill of the stage's queue, 0 to 1.")
        self.connected = gauge("connected", "1 while the stage is connected.")
        self.standby = gauge("standby", "1 while another instance runs the connector.")
        self.spool_bytes = gauge("spool_bytes", "What the spool has on disk.")
        self.spool_full = gauge("spool_full", "1 while the spool is full and reads no more.")
        self.last_event = gauge(
            "last_event_timestamp_seconds", "Source time of the last event, since 1970."
        )
        self.batch_seconds = Histogram(
            "cdc_batch_seconds",
            "From reading a batch to its committed checkpoint.",
            ("stage",),
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        self.info = Gauge(
            "cdc_info",
            "Always 1; what runs here.",
            ("connector", "version", "hot_path"),
            registry=registry,
        )


class StageMetrics:
    """One stage's numbers: written by its thread once per batch, read by others at any time."""

    def __init__(
        self, stage: str, families: _Families, clock: Clock, quiet_seconds_max: float
    ) -> None:
        self.stage = stage
        self._clock = clock
        self._quiet_seconds_max = quiet_seconds_max
        self._lock = threading.Lock()
        self._state: State = "starting"
        self._reason = ""
        self._connected_since: float | None = None
        self._seen_at: float | None = None
        self._is_seen_anew = False
        """Whether the connection that is being made, or is there, has seen something."""
        self._lag_then = 0.0
        self._lag_records: int | None = None
        self._last_event: float | None = None
        self._checkpoint = ""
        self._checkpoint_at: float | None = None
        self._queue_fill = 0.0
        self._undescribed = 0
        self._records = self._bytes = self._batches = 0
        self._dropped = self._dead_letters = self._errors = self._retries = 0
        self._last_error = ""
        self._spool_state: Callable[[], str] = str
        self._spool_bytes: Callable[[], int] | None = None
        self._rate = _Rate()
        self._bind(families)

    def _bind(self, families: _Families) -> None:
        # Children are bound once: looking one up by label costs more than counting.
        self._families = families
        self._records_total = families.records.labels(self.stage)
        self._bytes_total = families.bytes.labels(self.stage)
        self._batches_total = families.batches.labels(self.stage)
        self._dead_letters_total = families.dead_letters.labels(self.stage)
        self._retries_total = families.retries.labels(self.stage)
        self._batch_seconds = families.batch_seconds.labels(self.stage)
        self._drop_children: dict[tuple[str, str], Counter] = {}
        self._substituted_children: dict[tuple[str, str], Counter] = {}
        read_at_scrape: tuple[tuple[Gauge, Callable[[], float | None]], ...] = (
            (families.lag_seconds, self.lag_seconds),
            (families.lag_records, lambda: self._lag_records),
            (families.checkpoint_age, self._checkpoint_age),
            (families.queue_fill, lambda: self._queue_fill),
            (families.undescribed, lambda: self._undescribed),
            (families.connected, lambda: float(self._connected_since is not None)),
            (families.standby, lambda: float(self._state == "standby")),
            (families.last_event, lambda: self._last_event),
        )
        for gauge, value in read_at_scrape:
            gauge.labels(self.stage).set_function(_or_nan(value))

    # What the stage does

    def batch(
        self,
        *,
        records: int,
        bytes: int,
        seconds: float,
        event_time_seconds: float | None = None,
    ) -> None:
        """A batch was written together with its checkpoint."""
        self._records_total.inc(records)
        self._bytes_total.inc(bytes)
        self._batches_total.inc()
        self._batch_seconds.observe(seconds)
        with self._lock:
            self._records += records
            self._bytes += bytes
            self._batches += 1
            if event_time_seconds is not None:
                self._last_event = event_time_seconds
            self._rate.add(self._clock.monotonic(), records, bytes)

    def seen(self, source_time_seconds: float, now: float | None = None) -> None:
        """The source gave something of this time: an event, or a heartbeat of right now."""
        lag = max(0.0, (self._clock.wall() if now is None else now) - source_time_seconds)
        with self._lock:
            self._lag_then = lag
            self._is_seen_anew = True
            self._seen_at = self._clock.monotonic()

    def heartbeat(self) -> None:
        """The source has nothing that was not read."""
        now = self._clock.wall()
        self.seen(now, now)

    def checkpoint(self, text: str) -> None:
        """The checkpoint that was committed just now, as people read it."""
        with self._lock:
            self._checkpoint = text
            self._checkpoint_at = self._clock.monotonic()

    def lag_records(self, count: int | None) -> None:
        self._lag_records = count

    def queue_fill(self, ratio: float) -> None:
        self._queue_fill = ratio

    def dropped(self, table: str, reason: str, count: int = 1) -> None:
        """Records of a table or topic ended here, by the named rule or filter."""
        self._child(self._drop_children, self._families.dropped, (table, reason)).inc(count)
        with self._lock:
            self._dropped += count

    def substituted(self, table: str, column: str, count: int) -> None:
        """Values of a column were written in another way than they are (invariant 2)."""
        children = self._substituted_children
        self._child(children, self._families.substituted, (table, column)).inc(count)

    def undescribed(self, tables: int) -> None:
        """So many captured tables have plain schemas."""
        self._undescribed = tables

    def watch_spool(self, state: Callable[[], str], size: Callable[[], int]) -> None:
        """The stage has a spool, in this state and of so many bytes."""
        self._spool_state, self._spool_bytes = state, size
        self._families.spool_bytes.labels(self.stage).set_function(size)
        self._families.spool_full.labels(self.stage).set_function(lambda: state() == "full")

    def _child(
        self, children: dict[tuple[str, str], Counter], family: Counter, key: tuple[str, str]
    ) -> Counter:
        # Invariant 7: labels come from table names, and a server may have any number.
        if key not in children and len(children) >= LABELS_MAX:
            key = ("other", "other")
        if key not in children:
            children[key] = family.labels(self.stage, *key)
        return children[key]

    def dead_letters(self, count: int = 1) -> None:
        self._dead_letters_total.inc(count)
        with self._lock:
            self._dead_letters += count

    def error(self, error: BaseException) -> None:
        """Count an error by its kind and keep its text for the status."""
        self._families.errors.labels(self.stage, type(error).__name__).inc()
        with self._lock:
            self._errors += 1
            self._last_error = str(error)[:ERROR_TEXT_MAX]

    # How the stage is

    def connecting(self, to: str) -> None:
        self._enter("connecting", to, is_connected=False)

    def standby(self, why: str) -> None:
        """Another instance runs the connector; this one waits for its end."""
        self._enter("standby", why, is_connected=False)

    def running(self, to: str = "") -> None:
        """Connected to its source and its sink, and moving."""
        self._enter("running", to, is_connected=True)

    def waiting(self, reason: str) -> None:
        """Something is away; the stage tries again by itself."""
        self._enter("waiting", reason, is_connected=False)

    def retrying(self, error: BaseException) -> None:
        """`error`, and a wait for the next try."""
        self.error(error)
        self._retries_total.inc()
        with self._lock:
            self._retries += 1
        self.waiting(str(error)[:ERROR_TEXT_MAX])

    def stopped(self, reason: str = "") -> None:
        self._enter("stopped", reason, is_connected=False)

    def failed(self, error: BaseException) -> None:
        """`error`, and the stage does not go on by itself."""
        self.error(error)
        self._enter("failed", str(error)[:ERROR_TEXT_MAX], is_connected=False)

    def _enter(self, state: State, reason: str, *, is_connected: bool) -> None:
        with self._lock:
            self._state, self._reason = state, reason
            if not is_connected:
                self._connected_since = None
                self._is_seen_anew = False
            elif self._connected_since is None:
                self._connected_since = self._clock.wall()
                if not self._is_seen_anew:
                    # Until the source says something, silence counts from here.
                    self._seen_at = None

    # What others read

    def lag_seconds(self) -> float | None:
        """How far behind the source: as last seen, and growing while nothing is seen."""
        with self._lock:
            return self._lag()

    def status(self) -> StageStatus:
        with self._lock:
            now = self._clock.monotonic()
            records_per_second, bytes_per_second = self._rate.per_second(now)
            return StageStatus(
                stage=self.stage,
                state=self._state,
                reason=self._reason,
                is_connected=self._connected_since is not None,
                connected_since_seconds=self._connected_since,
                last_seen_seconds_ago=None if self._seen_at is None else now - self._seen_at,
                last_event_seconds=self._last_event,
                lag_seconds=self._lag(),
                lag_records=self._lag_records,
                checkpoint=self._checkpoint,
                checkpoint_age_seconds=self._checkpoint_age(),
                queue_fill_ratio=self._queue_fill,
                records_total=self._records,
                bytes_total=self._bytes,
                batches_total=self._batches,
                records_per_second=records_per_second,
                bytes_per_second=bytes_per_second,
                dropped_total=self._dropped,
                dead_letters_total=self._dead_letters,
                errors_total=self._errors,
                retries_total=self._retries,
                last_error=self._last_error,
                spool_state=self._spool_state(),
                spool_bytes=self._spool_bytes() if self._spool_bytes is not None else None,
            )

    def _lag(self) -> float | None:
        if self._seen_at is None:
            return None
        silence = self._clock.monotonic() - self._seen_at
        # Between two heartbeats nothing is known to be missing; after that, everything may be.
        return self._lag_then + (silence if silence > self._quiet_seconds_max else 0.0)

    def _checkpoint_age(self) -> float | None:
        at = self._checkpoint_at
        return None if at is None else self._clock.monotonic() - at


class Metrics:
    """All metrics of one process, on a registry of its own."""

    def __init__(
        self,
        connector: str,
        *,
        version: str,
        is_compiled: bool,
        pid: int,
        clock: Clock | None = None,
        quiet_seconds_max: float = 15.0,
    ) -> None:
        """`quiet_seconds_max`: silence that is not lag yet; some heartbeats long."""
        self.connector = connector
        self._clock = clock or Clock()
        self._version, self._is_compiled, self._pid = version, is_compiled, pid
        self._started = self._clock.wall()
        self._quiet_seconds_max = quiet_seconds_max
        self._registry = CollectorRegistry(auto_describe=True)
        self._families = _Families(self._registry)
        hot_path = "compiled" if is_compiled else "plain"
        self._families.info.labels(connector, version, hot_path).set(1)
        self._stages: dict[str, StageMetrics] = {}

    def stage(self, name: str) -> StageMetrics:
        """The numbers of this stage, the same object at every call."""
        if name not in self._stages:
            self._stages[name] = StageMetrics(
                name, self._families, self._clock, self._quiet_seconds_max
            )
        return self._stages[name]

    def status(self) -> ProcessStatus:
        return ProcessStatus(
            connector=self.connector,
            version=self._version,
            is_compiled=self._is_compiled,
            pid=self._pid,
            started_seconds=self._started,
            stages=tuple(stage.status() for stage in list(self._stages.values())),
        )

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def _or_nan(value: Callable[[], float | None]) -> Callable[[], float]:
    def read() -> float:
        found = value()
        return float("nan") if found is None else float(found)

    return read
