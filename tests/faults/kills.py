"""`python -m tests.faults.kills`: capture killed at random under load, checked exactly.

In rounds, each with a fresh database, a fresh connector and a seed of its own, so that what a check
holds in memory stays bounded."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, get_args

from cdc.services import DatabaseServer, kafka, mariadb, mysql
from cdc.services.progress import show_on_stderr
from tests.bench.servers import ended
from tests.connectors import Section, wait_until
from tests.faults.checker import Delivery, check
from tests.faults.report import FAULTS, Report
from tests.faults.rig import EMBEDDED, Rig, Watch, new_rig, over_kafka
from tests.services_plugin import fresh_database

FOLDER = Path(".faults")
ROUND_KILLS = 20
EARLY_CHANCE = 0.2
"""So many kills come while the process still starts."""
START_SECONDS = 1.0
RUN_SECONDS_MAX = 1.5
COLUMNS = ("round", "seed", "kills", "records", *FAULTS, "recovery_p50", "recovery_max")


@dataclass
class Round:
    """Kills of one connector, and what came of them."""

    number: int
    seed: int
    kills: int
    recoveries: list[float] = field(default_factory=list)
    """Seconds from a start to the first new event that an outsider sees."""
    report: Report = field(default_factory=Report)

    def row(self) -> tuple[Any, ...]:
        faults = [self.report.faults[one] for one in FAULTS]
        return (
            self.number, self.seed, self.kills, self.report.records, *faults,
            *_seconds(self.recoveries),
        )  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """What rounds run on."""

    folder: Path
    server: DatabaseServer
    log: Section
    delivery: Delivery


def run_round(one: Round, bench: Bench) -> None:
    """Kill, restart, drain and check."""
    dice = Random(one.seed)
    folder = bench.folder / f"round-{one.number}"
    folder.mkdir(parents=True)
    with fresh_database(bench.server) as database:
        rig = new_rig(folder, database, one.seed, delivery=bench.delivery, **bench.log)
        with Watch(rig) as watch, rig.workload:
            for _ in range(one.kills):
                _start_and_kill(rig, watch, dice, one)
        rig.drain()
        evidence = rig.evidence()
    one.report = check(evidence, delivery=bench.delivery)
    if not one.report.is_right:
        evidence.save(folder / "run.gz")


def _start_and_kill(rig: Rig, watch: Watch, dice: Random, one: Round) -> None:
    """One life of the process; its predecessor, if there was one, was killed."""
    ends = rig.restarts[-1] if rig.restarts else {}
    begun = time.monotonic()
    with rig.capturing() as child:
        if dice.random() < EARLY_CHANCE:
            time.sleep(dice.uniform(0.0, START_SECONDS))
        else:
            first = wait_until(lambda: watch.first_behind(ends), lambda: child.said)
            if rig.restarts:
                one.recoveries.append(first - begun)
            time.sleep(dice.uniform(0.0, RUN_SECONDS_MAX))
        assert child.process.poll() is None, child.said
    rig.note_restart()


def main() -> int:
    """Exit code 1 if anything was lost, doubled, out of order or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--delivery", choices=get_args(Delivery), default="exactly_once")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mysql")
    parser.add_argument("--log", choices=["kafka", "embedded"], default="kafka")
    wanted = parser.parse_args()
    show_on_stderr()
    rounds: list[Round] = []
    with _opened(wanted.source, wanted.log, wanted.delivery) as bench:
        print(" ".join(f"{name:>13}" for name in COLUMNS), flush=True)
        for number, left in enumerate(range(wanted.kills, 0, -ROUND_KILLS), 1):
            one = Round(number, wanted.seed + number, min(left, ROUND_KILLS))
            run_round(one, bench)
            rounds.append(one)
            _print_row(one.row())
            for text in one.report.told:
                print(f"  {text}", flush=True)
    recoveries = [seconds for one in rounds for seconds in one.recoveries]
    totals = [sum(one.report.faults[fault] for one in rounds) for fault in FAULTS]
    records = sum(one.report.records for one in rounds)
    _print_row(
        ("all", "", sum(one.kills for one in rounds), records, *totals, *_seconds(recoveries))
    )
    return 1 if any(totals) else 0


@contextmanager
def _opened(source: str, log: str, delivery: Delivery) -> Iterator[Bench]:
    """Servers of their own, ended with all that they keep."""
    folder = FOLDER.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    start: Callable[[Path], DatabaseServer] = mysql.start if source == "mysql" else mariadb.start
    with ExitStack() as held:
        server = held.enter_context(ended(start(folder / source), folder / source))
        section = EMBEDDED
        if log == "kafka":
            broker = held.enter_context(ended(kafka.start(folder / log), folder / log))
            section = over_kafka(broker.url)
        yield Bench(folder, server, section, delivery)


def _print_row(row: tuple[Any, ...]) -> None:
    print(" ".join(f"{one:>13}" for one in row), flush=True)


def _seconds(recoveries: list[float]) -> tuple[str, str]:
    if not recoveries:
        return "-", "-"
    return f"{median(recoveries):.2f} s", f"{max(recoveries):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
