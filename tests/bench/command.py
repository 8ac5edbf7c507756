"""`cdc` in processes of their own: a folder for each, what they take of the machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cdc.services import DatabaseAddress
from tests.bench.targets import Target
from tests.connectors import Child, Project, source_section


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process has taken so far."""

    peak_rss_bytes: int
    cpu_seconds: float


def taken(pid: int) -> Taken:
    """Peak of resident memory, and CPU time of all its threads."""
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


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector file in a folder of its own."""

    name: str
    folder: Path
    file: Path
    project: Project

    def change_topic(self, database: str, table: str) -> str:
        return f"{self.name}.{database}.{table}"

    @contextmanager
    def running(self, *options: str) -> Iterator[Child]:
        """`cdc run` of it; it must end well at SIGTERM."""
        with self.project.started("run", self.file, *options) as child:
            yield child
            code = child.stop()
            if code != 0:
                raise RuntimeError(f"cdc run ended with {code}: {child.said}")


def connector(
    folder: Path,
    target: Target,
    address: DatabaseAddress,
    table: str,
    *,
    start: str,
    sections: Mapping[str, Any] | None = None,
) -> Connector:
    """A connector with a name that none had before, so that it starts afresh."""
    name = f"bench-{secrets.token_hex(4)}"
    own = folder / name
    own.mkdir(parents=True)
    project = Project(own)
    config = {
        "connector": name,
        "source": source_section(address, table, start=start, heartbeat_seconds=5),
        "http": {"port": 0},
        **target.sections(own),
        **(sections or {}),
    }
    return Connector(name, own, project.write(config, name), project)
