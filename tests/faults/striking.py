"""A connector under load that is struck by faults; what it took, and what the checker says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import psutil

from tests.bench.running import taken
from tests.connectors import Child, Section, wait_until
from tests.faults.checker import Delivery, check
from tests.faults.outsider import Outsider
from tests.faults.report import FAULTS, Report
from tests.faults.rig import Rig, new_rig
from tests.services_plugin import FreshDatabase

MOVING_SECONDS_MAX = 120.0
"""How long it may take until a new event is there after a fault has passed."""
MB = 1_000_000


@dataclass
class Outcome:
    """What a fault did, in figures."""

    strikes: int = 0
    recoveries: list[float] = field(default_factory=list)
    """Seconds from the end of a fault to the first event of what was written after it."""
    rss_bytes: int = 0
    """The most that a process of the connector had resident."""
    report: Report = field(default_factory=Report)
    told: list[str] = field(default_factory=list)
    """What else was seen, in words."""

    def as_json(self) -> dict[str, Any]:
        figures = self.report.as_json()
        return {
            "strikes": self.strikes,
            **{name: figures[name] for name in ("records", "transactions", *FAULTS)},
            "recovery_seconds_p50": round(median(self.recoveries), 2) if self.recoveries else None,
            "recovery_seconds_max": round(max(self.recoveries), 2) if self.recoveries else None,
            "rss_mb": round(self.rss_bytes / MB) if self.rss_bytes else None,
            "told": [*self.told, *self.report.told],
        }


@dataclass
class Setting:
    """What of the usual rig is to be other."""

    sections: Mapping[str, Section] = field(default_factory=dict)
    """Log and registry, as everybody reaches them."""
    own: Mapping[str, Section] = field(default_factory=dict)
    """What only the connector has on top: another way to a server, limits."""
    outlives: bool = False
    """Whether the load goes on when the source was away."""
    rows_max: int = 500
    pause_seconds: float = 0.02
    writers: int = 2
    delivery: Delivery = "exactly_once"


@dataclass
class Run:
    """A connector under load, to be struck."""

    rig: Rig
    outsider: Outsider
    dice: Random
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def database(self) -> FreshDatabase:
        return self.rig.database

    @contextmanager
    def capturing(self, *, is_moving: bool = True) -> Iterator[Child]:
        """A process that captures; events come from it when the block begins."""
        with self.rig.project.started("run", self.rig.file, "--stage", "capture") as child:
            try:
                if is_moving:
                    self.moved(child)
                yield child
            finally:
                with suppress(psutil.NoSuchProcess):
                    if child.process.poll() is None:
                        self.outcome.rss_bytes = max(
                            self.outcome.rss_bytes, taken(child.process.pid).peak_rss_bytes
                        )

    def moved(self, child: Child | None = None) -> float:
        """Seconds from now until an event is there of what is written from now on."""
        begun, number = time.monotonic(), self.rig.entries()

        def came() -> float | None:
            assert child is None or child.process.poll() is None, child.said
            return self.outsider.came_after(number)

        said = (lambda: child.said) if child else (lambda: "nobody reads")
        first: float = wait_until(came, said, MOVING_SECONDS_MAX)
        return max(0.0, first - begun)

    def struck(self, child: Child | None = None) -> None:
        """A fault has passed just now: wait until it is got over."""
        self.outcome.strikes += 1
        self.outcome.recoveries.append(self.moved(child))


def under_load(
    folder: Path,
    database: FreshDatabase,
    setting: Setting,
    script: Callable[[Run], None],
    seed: int,
) -> Outcome:
    """Run the load and the script over it; then drain and check all of it."""
    rig = prepared(folder, database, setting, seed)
    with Outsider(rig.config, rig.ledger_topic()) as outsider:
        run = Run(rig, outsider, Random(seed))
        with rig.workload:
            script(run)
        rig.drain()
    run.outcome.report = checked(rig, setting.delivery)
    return run.outcome


def checked(rig: Rig, delivery: Delivery = "exactly_once") -> Report:
    """The checker's report; a run that isn't right is kept."""
    evidence = rig.evidence()
    report = check(evidence, delivery=delivery)
    if not report.is_right:
        evidence.save(rig.project.folder / "run.gz")
    return report


def prepared(folder: Path, database: FreshDatabase, setting: Setting, seed: int) -> Rig:
    """A rig whose connector file is another than what outsiders go by."""
    rig = new_rig(
        folder,
        database,
        seed,
        delivery=setting.delivery,
        pause_seconds=setting.pause_seconds,
        rows_max=setting.rows_max,
        **setting.sections,
    )
    rig.workload.outlives = setting.outlives
    if setting.outlives:
        rig.workload.ddl_chance = 0.0  # the load doesn't know the columns after a DDL that was cut
    config = json.loads(rig.file.read_text())
    for name, section in setting.own.items():
        config[name] = {**config.get(name, {}), **section}
    rig.file = rig.project.write(config, "struck")
    return rig
