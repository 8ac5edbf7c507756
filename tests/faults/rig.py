"""A connector over the workload's tables, that may be killed, and the evidence of its run."""

from __future__ import annotations

import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cdc.config import ConnectorConfig
from cdc.wiring.ends import open_log
from tests.connectors import Child, Project, Section, kafka_log, source_section, wait_until
from tests.faults.checker import Delivery
from tests.faults.collecting import collect, ends_of, marker_came
from tests.faults.evidence import Evidence, Place
from tests.faults.workload import MARKER, Workload, patterns
from tests.services_plugin import FreshDatabase
from tests.shop import here

DRAINED_SECONDS_MAX = 120.0
IDLE_SECONDS_MAX = 5.0
"""A watch opens its reader anew after so long, which takes time: longer than a restart."""
EMBEDDED: Section = {"log": {"kind": "embedded"}}
SPREAD: Section = {"changes": {"partitions": 3}}


def over_kafka(address: str) -> Section:
    """Kafka as the log; the registry, which has no part in delivery, in a file."""
    return {
        "log": kafka_log(address),
        "registry": {"kind": "embedded", "path": "../registry.db"},
    }


@dataclass
class Rig:
    """One run: a fresh database, its workload and a connector."""

    project: Project
    workload: Workload
    file: Path
    config: ConnectorConfig
    restarts: list[Mapping[Place, int]] = field(default_factory=list)

    @property
    def database(self) -> FreshDatabase:
        return self.workload.database

    @contextmanager
    def capturing(self) -> Iterator[Child]:
        """A process that captures, killed at the end of the block if it still runs."""
        with self.project.started("run", self.file, "--stage", "capture") as child:
            yield child

    def note_restart(self) -> Mapping[Place, int]:
        """The topics' ends, now that a process was killed and before the next one."""
        ends = ends_of(self.config, self.database.name)
        # What the dead process had sent may still be on its way into a broker.
        while self.config.delivery == "at_least_once":
            time.sleep(0.05)
            before, ends = ends, ends_of(self.config, self.database.name)
            if before == ends:
                break
        self.restarts.append(ends)
        return ends

    def kill_at(self, dice: Random, count: int, seconds_max: float) -> None:
        """Start the connector and kill it, so often; each time at a random moment."""
        for _ in range(count):
            with self.capturing() as child:
                if dice.random() < 0.8:
                    child.wait_running()
                time.sleep(dice.uniform(0.0, seconds_max))
            self.note_restart()

    def drain(self) -> None:
        """Run the connector until the workload's marker has come, then end it in order."""
        with self.capturing() as child:
            came = marker_came(self.config, self.database.name, MARKER)

            def is_drained() -> bool:
                assert child.process.poll() is None, child.said
                return next(came)

            with closing(came):
                wait_until(is_drained, lambda: f"no marker: {child.said}", DRAINED_SECONDS_MAX)
            assert child.stop() == 0, child.said

    def evidence(self) -> Evidence:
        return collect(self.config, self.database, self.restarts)


def new_rig(
    folder: Path,
    database: FreshDatabase,
    seed: int,
    *,
    delivery: Delivery = "exactly_once",
    pause_seconds: float = 0.02,
    rows_max: int = 5_000,
    **sections: Section,
) -> Rig:
    """The tables and the connector file; nothing runs yet."""
    workload = Workload(database, seed, pause_seconds=pause_seconds, rows_max=rows_max)
    workload.create()
    project = Project(folder)
    config = {
        "connector": f"faults_{secrets.token_hex(4)}",
        "source": source_section(database.server.address, *patterns(database), **here(database)),
        "topics": SPREAD,
        "change_events": {"provide.transaction.metadata": "true"},
        "delivery": delivery,
        "http": {"port": 0},
        **sections,
    }
    file = project.write(config, "faults")
    return Rig(project, workload, file, project.load(file))


class Watch:
    """When the ledger's topic grew, as an outsider sees it."""

    def __init__(self, rig: Rig) -> None:
        self._config = rig.config
        self._topic = f"{rig.config.connector}.{rig.database.name}.ledger"
        self._stop = threading.Event()
        self._seen: dict[int, list[tuple[int, float]]] = {}
        """Partition → offset and time of each record, as they came."""

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def first_behind(self, ends: Mapping[Place, int]) -> float | None:
        """When the first record behind these ends was there; None: there is none yet."""
        times = []
        for partition, seen in list(self._seen.items()):
            index = bisect_left(seen, (ends.get((self._topic, partition), 0), 0.0))
            times += [at for _, at in seen[index : index + 1]]
        return min(times, default=None)

    def _run(self) -> None:
        start: dict[Place, int] = {}
        with closing(open_log(self._config)) as log:
            while not self._stop.is_set():
                if self._topic not in log.topics():
                    self._stop.wait(0.1)
                    continue
                for one in log.follow(self._topic, start, wait_seconds=IDLE_SECONDS_MAX):
                    start[one.topic, one.partition] = one.offset + 1
                    self._seen.setdefault(one.partition, []).append((one.offset, time.monotonic()))
                    if self._stop.is_set():
                        return
