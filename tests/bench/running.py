"""What is measured, ours or a peer: something that follows a table from a place in the binlog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from tests.bench.place import Place
from tests.bench.reading import Decoder, Destination


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process has taken so far."""

    peak_rss_bytes: int
    cpu_seconds: float


class Running(Protocol):
    """It runs, and delivers to one topic."""

    begun: float
    """When it was started, by this machine's monotonic clock."""

    decoder: Decoder

    @property
    def topic(self) -> Destination: ...

    @property
    def said(self) -> str:
        """Its last words."""
        ...

    def wait_streaming(self) -> None:
        """Until it follows the binlog."""
        ...

    def is_alive(self) -> bool: ...

    def taken(self) -> Taken: ...

    def stop(self) -> None:
        """End it, so that it takes nothing from what comes next; its topic stays."""
        ...

    def close(self) -> None:
        """End it anyhow, and remove what it left behind."""
        ...


class System(Protocol):
    """Starts to follow a table."""

    @property
    def label(self) -> str: ...

    def start(self, place: Place) -> Running: ...


def taken(pid: int) -> Taken:
    """Peak of resident memory, and CPU time of all threads."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Taken(_peak_rss_bytes(process), times.user + times.system)


def _peak_rss_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)  # of now: other systems don't keep the peak
