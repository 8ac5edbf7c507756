"""A connector under load that is struck by faults; what it took, and what the checker says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import psutil

from cdc.model import Message
from tests.bench.running import taken
from tests.connectors import Child, Section, wait_until
from tests.faults.checker import Delivery, check
from tests.faults.collecting import ends_of
from tests.faults.evidence import Evidence, Place
from tests.faults.figures import of_recoveries
from tests.faults.outsider import Outsider
from tests.faults.report import FAULTS, Report
from tests.faults.rig import Rig, new_rig
from tests.faults.splits import splits
from tests.faults.tmpfs import NotHere
from tests.faults.workload import DDL_CHANCE, SIZES
from tests.services_plugin import FreshDatabase

MOVING_SECONDS_MAX = 120.0
"""How long it may take until a new event is there after a fault has passed."""
SETTLED_SECONDS = 0.3
LAG_ENTRIES_MAX = 200
FORGOTTEN = "ending a transaction whose end Kafka forgot"
MB = 1_000_000
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


@dataclass
class Outcome:
    """What a fault did, in figures."""

    strikes: int = 0
    recoveries: list[float] = field(default_factory=list)
    """Seconds from the end of a fault to the first event of what was written after it."""
    rss_bytes: int = 0
    """The most that a process of the connector had resident."""
    silent_seconds: float = 0.0
    """The longest time between two records of the ledger, by their own time stamps."""
    splits: int = 0
    """Kills inside a transaction, some of whose changes were committed."""
    report: Report = field(default_factory=Report)
    forgotten: int = 0
    """How often the connector ended a transaction whose end a broker had forgotten."""
    told: list[str] = field(default_factory=list)
    """What else was seen, in words."""

    def as_json(self) -> dict[str, Any]:
        figures = self.report.as_json()
        return {
            "strikes": self.strikes,
            **({"inside_transactions": self.splits} if self.splits else {}),
            **({"forgotten": self.forgotten} if self.forgotten else {}),
            **{name: figures[name] for name in ("records", "transactions", *FAULTS)},
            **of_recoveries(self.recoveries),
            "silent_seconds_max": round(self.silent_seconds, 2),
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
    writers: int = 2
    pause_seconds: float = 0.05
    sizes: Sequence[tuple[int, int, float]] = SIZES
    """Rows of a transaction, from and to, and how often."""
    ddl_chance: float = DDL_CHANCE
    is_skewed: bool = False
    """Whether the load's sessions tell another time, each transaction another one."""
    compressed_share: float = 0.0
    """So many of the load's transactions are compressed in the binlog."""
    delivery: Delivery = "exactly_once"
    before: Sequence[str] = ()
    """What the connector is to run in, as a command before its own."""


@dataclass
class Run:
    """A connector under load, to be struck."""

    rig: Rig
    outsider: Outsider
    dice: Random
    outcome: Outcome = field(default_factory=Outcome)
    gone: list[Message] = field(default_factory=list)
    """What a topic held that was deleted."""

    @property
    def database(self) -> FreshDatabase:
        return self.rig.database

    def topic(self, table: str) -> str:
        """The change topic of a table of the load."""
        return f"{self.rig.config.connector}.{self.database.name}.{table}"

    @contextmanager
    def capturing(self, *, is_moving: bool = True) -> Iterator[Child]:
        """A process that captures; events come from it when the block begins."""
        with self.rig.project.started("run", self.rig.file, "--stage", "capture") as child:
            try:
                if is_moving:
                    self.moved(child)
                    self.level(child)
                yield child
            finally:
                self.outcome.forgotten += child.said.count(FORGOTTEN)
                with suppress(psutil.NoSuchProcess):
                    if child.process.poll() is None:
                        self.outcome.rss_bytes = max(
                            self.outcome.rss_bytes, taken(child.process.pid).peak_rss_bytes
                        )

    def ended(self, child: Child, *words: str) -> None:
        """The connector has ended by itself, with an error that holds these words."""
        assert child.wait() == 1, child.said
        for word in words:
            assert word in child.said, (word, child.said)
        self.outcome.told.append(child.said.strip().splitlines()[-2])

    def settled(self) -> None:
        """Wait until the topics no longer grow."""
        ends: Mapping[Place, int] | None = None
        while (now := ends_of(self.rig.config, self.database.name)) != ends:
            ends = now
            time.sleep(SETTLED_SECONDS)

    def moved(self, child: Child) -> float:
        """Seconds from now until an event is there of what is written from now on."""
        begun, number = time.monotonic(), self.rig.entries()

        def came() -> float | None:
            assert child.process.poll() is None, child.said
            return self.outsider.came_after(number)

        first: float = wait_until(came, lambda: child.said, MOVING_SECONDS_MAX)
        return max(0.0, first - begun)

    def struck(self, child: Child) -> None:
        """A fault has passed just now: wait until it is got over."""
        self.outcome.strikes += 1
        self.outcome.recoveries.append(self.moved(child))
        self.level(child)

    def level(self, child: Child) -> None:
        """Wait until hardly anything of what was written is still to come."""

        def is_level() -> bool:
            assert child.process.poll() is None, child.said
            return self.rig.entries() - self.outsider.newest < LAG_ENTRIES_MAX

        wait_until(is_level, lambda: child.said, MOVING_SECONDS_MAX)


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
    evidence = with_gone(rig.evidence(), run.gone)
    run.outcome.report = check(evidence, delivery=setting.delivery)
    run.outcome.splits = splits(evidence)
    times = sorted(one.timestamp_ms for one in evidence.messages if one.topic == rig.ledger_topic())
    run.outcome.silent_seconds = max((b - a for a, b in pairwise(times)), default=0) / 1000
    if not run.outcome.report.is_right:
        evidence.save(rig.project.folder / "run.gz")
    return run.outcome


def with_gone(evidence: Evidence, gone: Sequence[Message]) -> Evidence:
    """As if the deleted topics had gone on behind what they held."""
    ends: dict[Place, int] = {}
    for one in gone:
        place = (one.topic, one.partition)
        ends[place] = max(ends.get(place, 0), one.offset + 1)
    later = [
        one._replace(offset=one.offset + ends.get((one.topic, one.partition), 0))
        for one in evidence.messages
    ]
    return replace(evidence, messages=sorted([*gone, *later], key=lambda one: one[:3]))


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
    load = rig.workload
    load.writers = setting.writers
    rig.project.before = setting.before
    load.outlives, load.sizes, load.is_skewed = setting.outlives, setting.sizes, setting.is_skewed
    load.compressed_share = setting.compressed_share
    # The load doesn't know the columns after a DDL that was cut.
    load.ddl_chance = 0.0 if setting.outlives else setting.ddl_chance
    for name, section in setting.own.items():
        change(rig, name, **section)
    return rig


def change(rig: Rig, name: str, **settings: Any) -> None:
    """Other settings in a section of the connector's own file; outsiders go by the first one."""
    config = json.loads(rig.file.read_text())
    rig.file = another(rig, {name: {**config.get(name, {}), **settings}}, "struck")


def another(rig: Rig, changes: Mapping[str, Any], name: str = "another") -> Path:
    """A file like the connector's with other entries."""
    return rig.project.write({**json.loads(rig.file.read_text()), **changes}, name)


@contextmanager
def limited(pid: int, megabytes: int) -> Iterator[None]:
    """The process may take so much memory, with all that it has of files in it; else it is killed
    by the kernel. Only root may set that."""
    group = MEMORY_GROUPS / f"cdc-faults-{pid}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(megabytes * MB))
    except OSError as refused:
        raise NotHere(f"no limit of memory can be set: {refused}") from refused
    (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        with suppress(OSError):  # it may have ended
            (MEMORY_GROUPS / "cgroup.procs").write_text(str(pid))
        group.rmdir()
