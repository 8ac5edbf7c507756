"""How a process and its stages are at one moment: the numbers that `cdc status` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["starting", "connecting", "standby", "running", "waiting", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage at one moment; what is not known is None."""

    stage: str
    state: State
    reason: str
    """Why it is in this state: what it connects to, waits for, failed of."""
    is_connected: bool
    connected_since_seconds: float | None
    last_seen_seconds_ago: float | None
    """Since the last event or heartbeat."""
    last_event_seconds: float | None
    lag_seconds: float | None
    lag_records: int | None
    checkpoint: str
    checkpoint_age_seconds: float | None
    queue_fill_ratio: float
    records_total: int
    bytes_total: int
    batches_total: int
    records_per_second: float
    bytes_per_second: float
    dropped_total: int
    dead_letters_total: int
    errors_total: int
    retries_total: int
    last_error: str
    spool_state: str = ""
    """idle, waiting, following, full, failed or draining; empty without a spool."""
    spool_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A running connector process: what `/status` answers and `cdc status` prints."""

    connector: str
    version: str
    is_compiled: bool
    pid: int
    started_seconds: float
    stages: tuple[StageStatus, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ProcessStatus:
        stages = tuple(StageStatus(**stage) for stage in data["stages"])
        return cls(**{**data, "stages": stages})
