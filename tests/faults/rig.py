"""A connector over the workload's tables, that may be killed, and the evidence of its run."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.config import ConnectorConfig
from cdc.services import DatabaseServer
from cdc.views.settings import ViewSettings
from tests.connectors import Child, Project, Section, kafka_log, source_section, wait_until
from tests.faults.checker import Delivery, check
from tests.faults.collecting import collect, ends_of, marker_came
from tests.faults.decoding import LEDGER
from tests.faults.evidence import Evidence, Place
from tests.faults.official import COLUMNS, streams, topic_of, views
from tests.faults.report import Report
from tests.faults.workload import DDL_CHANCE, MARKER, Workload, patterns
from tests.services_plugin import FreshDatabase
from tests.shop import here, view_rows

DRAINED_SECONDS_MAX = 120.0
IDLE_SECONDS_MAX = 5.0
"""A watch opens its reader anew after so long, which takes time: longer than a restart."""
CHANGES_MIN = 100
"""Fewer show nothing."""
STAGES = ("capture", "translate", "views")
EMBEDDED: Section = {"log": {"kind": "embedded"}}
SPREAD: Section = {"changes": {"partitions": 3}, "events": {"partitions": 3}}
VIEWS = 2
"""Tables that have one: a number and a text as the key."""


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
    """Of capture."""
    strangers: int = 0
    """Transactions that others make while the load runs, without a captured row."""

    @property
    def database(self) -> FreshDatabase:
        return self.workload.database

    def ledger_topic(self, stage: str = "capture") -> str:
        """Where the stage writes the ledger to."""
        if stage == "capture":
            return f"{self.config.connector}.{self.database.name}.{LEDGER}"
        return topic_of(self.config.connector, LEDGER)

    @contextmanager
    def running(self, *stages: str) -> Iterator[Child]:
        """A process with these stages, else with all, killed at the end of the block if it still
        runs."""
        wanted = ("--stage", ",".join(stages)) if stages else ()
        with self.project.started("run", self.file, *wanted) as child:
            yield child

    def note_restart(self) -> None:
        """The topics' ends, now that capture was killed and before it starts again."""
        ends = self._ends()
        # What the dead process had sent may still be on its way into a broker.
        while self.config.delivery == "at_least_once":
            time.sleep(0.05)
            before, ends = ends, self._ends()
            if before == ends:
                break
        self.restarts.append(ends)

    def _ends(self) -> Mapping[Place, int]:
        """Behind all that capture wrote, committed or not."""
        ends = ends_of(self.config, self.database.name)
        begin = f"{self.config.connector}."
        return {place: end for place, end in ends.items() if place[0].startswith(begin)}

    def entries(self) -> int:
        """The number of the ledger's last entry."""
        ((number,),) = self.database.execute("select coalesce(max(seq), 0) from ledger")
        return int(number)

    def move_to(self, server: DatabaseServer) -> None:
        """Another server holds the same database: the workload and the connector go on there."""
        self.workload.database = FreshDatabase(server, self.database.name)
        config = json.loads(self.file.read_text())
        config["source"]["port"] = server.address.port
        self.project.write(config, self.file.stem)
        self.config = self.project.load(self.file)

    def drain(self) -> None:
        """Run the connector until the workload's marker has passed, then end it in order."""
        with self.running() as child:
            self.wait_passed(child)
            assert child.stop() == 0, child.said

    def wait_passed(self, child: Child) -> None:
        """Until the workload's marker has passed all stages."""
        for stage in self.config.stages:
            if stage != "views":
                self._wait_marker(stage, child)
        for view in self.config.views:
            self._wait_equal(view, child)

    def _wait_marker(self, stage: str, child: Child) -> None:
        came = marker_came(self.config, self.ledger_topic(stage), MARKER)

        def is_drained() -> bool:
            assert child.process.poll() is None, child.said
            return next(came)

        what = f"no marker behind {stage}"
        with closing(came):
            wait_until(is_drained, lambda: f"{what}: {child.said}", DRAINED_SECONDS_MAX)

    def seen(self) -> list[list[tuple[Any, ...]]]:
        """What the views hold now."""
        return [view_rows(one.store.path, _query(one)) for one in self.config.views]

    def _wait_equal(self, view: ViewSettings, child: Child) -> None:
        """Until the view holds its table's rows."""
        wanted = sorted(self.database.execute(query := _query(view)))

        def is_equal() -> bool:
            assert child.process.poll() is None, child.said
            return sorted(view_rows(view.store.path, query)) == wanted

        wait_until(is_equal, lambda: f"view {view.view} differs: {child.said}")

    def evidence(self) -> Evidence:
        return collect(self.config, self.database, self.restarts, self.strangers)


def new_rig(
    folder: Path,
    database: FreshDatabase,
    seed: int,
    *,
    delivery: Delivery = "exactly_once",
    pause_seconds: float = 0.02,
    rows_max: int = 5_000,
    ddl_chance: float = DDL_CHANCE,
    stages: Sequence[str] = ("capture",),
    **sections: Section,
) -> Rig:
    """The tables and the connector file; nothing runs yet."""
    workload = Workload(
        database, seed, pause_seconds=pause_seconds, rows_max=rows_max, ddl_chance=ddl_chance
    )
    workload.create()
    project, name = Project(folder), f"faults_{secrets.token_hex(4)}"
    config: Section = {
        "connector": name,
        "source": source_section(database.server.address, *patterns(database), **here(database)),
        "topics": SPREAD,
        "change_events": {"provide.transaction.metadata": "true"},
        "delivery": delivery,
        "http": {"port": 0},
        **sections,
    }
    if "translate" in stages:
        keys = {one.name: one.key_type for one in workload.tables} | {LEDGER: "long"}
        config["streams"] = streams(project, name, database.name, keys)
    if "views" in stages:
        # A row that gets another key leaves its old one from the new one's partition.
        config["topics"] = {"changes": {"partitions": 1}, "events": {"partitions": 3}}
        config["views"] = views(name, [one.name for one in workload.tables[:VIEWS]], "../views.db")
    file = project.write(config, "faults")
    return Rig(project, workload, file, project.load(file))


def _query(view: ViewSettings) -> str:
    """What the view has to give as its table does."""
    return f"select id, {', '.join(COLUMNS)} from {view.view}"


def checked(rig: Rig, delivery: Delivery = "exactly_once") -> Report:
    """The checker's report; the run is kept where anything is wrong with it."""
    evidence = rig.evidence()
    report = check(evidence, delivery=delivery)
    if not report.is_right:
        evidence.save(rig.project.folder / "run.gz")
    return report


def assert_right(
    rig: Rig, delivery: Delivery = "exactly_once", *, changes_min: int = CHANGES_MIN
) -> None:
    """That the checker has nothing to say of a run that shows enough."""
    report = checked(rig, delivery)
    assert report.is_right, report
    assert report.changes > changes_min, report
