"""`python -m tests.faults.kills`: capture and translate killed at random under load, all checked.

In rounds, each with a fresh database, a fresh connector and a seed of its own, so that what a check
holds in memory stays bounded."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, get_args

from cdc.services import DatabaseServer, kafka, mariadb, mysql
from cdc.services.progress import show_on_stderr
from tests.bench.servers import ended
from tests.connectors import Section
from tests.faults.checker import Delivery
from tests.faults.figures import JSON, keep, of_recoveries
from tests.faults.killing import Kills
from tests.faults.report import FAULTS, Report
from tests.faults.rig import EMBEDDED, checked, new_rig, over_kafka
from tests.services_plugin import fresh_database

LOGS = ("kafka", "embedded")
FOLDER = Path(".faults")
ROUND_KILLS = 20
STAGES = ("capture", "translate")
RUN_SECONDS_MAX = 1.5
TRANSLATE_SHARE = 0.5
"""So many kills of translate for each of capture."""
COLUMNS = ("round", "seed", "capture", "translate", "records", *FAULTS, "capture p50", "max",
           "translate p50", "max")  # fmt: skip


@dataclass
class Round:
    """Kills of one connector's stages, and what came of them."""

    number: int
    seed: int
    kills: Mapping[str, int]
    """Stage → how often."""
    recoveries: Mapping[str, list[float]] = field(default_factory=dict)
    report: Report = field(default_factory=Report)

    def row(self) -> tuple[Any, ...]:
        faults = [self.report.faults[one] for one in FAULTS]
        seconds = [text for one in STAGES for text in _seconds(self.recoveries[one])]
        return (
            self.number, self.seed, *self.kills.values(), self.report.records, *faults, *seconds,
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
        rig = new_rig(
            folder, database, one.seed, delivery=bench.delivery, stages=STAGES, **bench.log
        )
        with rig.workload, Kills(rig, dice, RUN_SECONDS_MAX) as kills:
            counts = list(one.kills.values())
            for stage in dice.sample(STAGES, sum(counts), counts=counts):
                kills.kill(stage)
        rig.drain()
        one.recoveries, one.report = kills.recoveries, checked(rig, bench.delivery)


def main() -> int:
    """The last columns are seconds from a restart to the first new event that an outsider sees.

    Exit code 1 if anything was lost, doubled, out of order or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of capture; of translate half")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--delivery", choices=get_args(Delivery), default="exactly_once")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mysql")
    parser.add_argument("--log", choices=LOGS, default="kafka")
    wanted = parser.parse_args()
    show_on_stderr()
    rounds: list[Round] = []
    with opened(wanted.source, wanted.log, wanted.delivery) as bench:
        print_row(COLUMNS)
        for number, left in enumerate(range(wanted.kills, 0, -ROUND_KILLS), 1):
            count = min(left, ROUND_KILLS)
            kills = dict(zip(STAGES, (count, round(count * TRANSLATE_SHARE)), strict=True))
            one = Round(number, wanted.seed + number, kills)
            run_round(one, bench)
            rounds.append(one)
            print_row(one.row())
            for text in one.report.told:
                print(f"  {text}", flush=True)
    totals = [sum(one.report.faults[fault] for one in rounds) for fault in FAULTS]
    kills_all = [sum(one.kills[stage] for one in rounds) for stage in STAGES]
    records = sum(one.report.records for one in rounds)
    recoveries = [[at for one in rounds for at in one.recoveries[stage]] for stage in STAGES]
    seconds = [text for one in recoveries for text in _seconds(one)]
    print_row(("all", "", *kills_all, records, *totals, *seconds))
    names = f"{wanted.source}, {wanted.log}, {wanted.delivery.replace('_', ' ')}"
    row = {
        "area": "connector",
        "name": f"capture and translate killed at random ({names})",
        "does": "goes on after the last committed checkpoint when started again",
        "seed": wanted.seed,
        "strikes": sum(kills_all),
        "records": records,
        **dict(zip(FAULTS, totals, strict=True)),
        **of_recoveries(at for stage in recoveries for at in stage),
    }
    keep(JSON, row)
    return 1 if any(totals) else 0


@contextmanager
def opened(source: str, log: str, delivery: Delivery) -> Iterator[Bench]:
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


def print_row(row: Sequence[Any]) -> None:
    """One line of a table."""
    print(" ".join(f"{one:>13}" for one in row), flush=True)


def _seconds(recoveries: list[float]) -> tuple[str, str]:
    if not recoveries:
        return "-", "-"
    return f"{median(recoveries):.2f} s", f"{max(recoveries):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
