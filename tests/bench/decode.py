"""Decoding alone, from files: `cdc decode --format none`, less what its start takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.verify import Verdict
from tests.connectors import Project

SECONDS_MAX = 900.0


@dataclass(frozen=True, slots=True)
class Decoding:
    """One run over the files."""

    verdict: Verdict
    seconds: float
    start_seconds: float
    """What the same command takes for a file without rows."""

    @property
    def per_second(self) -> float:
        net_seconds = self.seconds - self.start_seconds
        if net_seconds <= 0:  # so few rows that they don't show; then the start counts
            net_seconds = self.seconds
        return self.verdict.changes / net_seconds


def decode(folder: Path, files: Sequence[Path], rowless: Path, changes: int) -> Decoding:
    """Decodes the files; `rowless` is a binlog of a server's own events only."""
    project = Project(folder)
    _, start_seconds = _run(project, [rowless])
    count, seconds = _run(project, files)
    faults = () if count == changes else (f"{count} records came, {changes} rows are in the files",)
    return Decoding(Verdict(count, faults), seconds, start_seconds)


def _run(project: Project, files: Sequence[Path]) -> tuple[int, float]:
    begun = time.monotonic()
    ended = project.run("decode", *files, "--format", "none", seconds_max=SECONDS_MAX)
    seconds = time.monotonic() - begun
    return int(ended.stdout.split()[0]), seconds
