"""`python -m tests.faults.steps`: a stage that dies at each of its calls to the outside in turn.

The n-th life of the stage ends right after its n-th call (`cdc.testing.Crash`), the next one begins
with what that left behind, until a life gets through all that there is to do. Whenever all is done,
there are a few new transactions. At the end nothing is lost, doubled, out of order or wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.config import load
from cdc.running import running
from cdc.services.progress import show_on_stderr
from cdc.testing import Crash
from tests.connectors import wait_until
from tests.faults.figures import JSON, keep
from tests.faults.kills import LOGS, STAGES, Bench, opened, print_row
from tests.faults.outsider import Outsider
from tests.faults.report import FAULTS, Report
from tests.faults.rig import Rig, checked, new_rig
from tests.services_plugin import fresh_database

TRANSACTIONS = 3
"""New ones when all is done."""
SMALL: Mapping[str, Any] = {"rows_max": 30, "ddl_chance": 0.1}
LATE_LIVES = 3
"""So many lives have to get through, one after the other."""
LATE_SECONDS = 0.3
"""A life that has got through may take so long for its last calls."""
LIVES_MAX = 2_000
PASSES = ("first start", "restart")
PRELOADED = ("cdc.wiring.capture", "cdc.wiring.translate", "cdc.log.embedded", "cdc.log.kafka")
COLUMNS = ("log", "stage", "first start", "restart", "seconds", "records", *FAULTS)


def live(file: Path, stage: str, environment: Mapping[str, str], at: int, said: Path) -> None:
    """One life of the stage, in a process of its own that is a fork of one with all imported."""
    with said.open("ab") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    os.chdir(file.parent.parent)
    with running(load(file, environment), (stage,), environment, Crash(at)) as run:
        run.wait()


@dataclass
class Lives:
    """Lives of one stage of a rig."""

    rig: Rig
    stage: str
    stride: int = 1
    """Each call, or every second, and so on."""

    def run(self, first: int = 1) -> int:
        """All of them; the number of calls of the longest."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *PRELOADED])
        at, late, entries = first, 0, 0
        with Outsider(self.rig.config, self.rig.ledger_topic(self.stage)) as outsider:
            while late < LATE_LIVES:
                assert at < LIVES_MAX, self.said.read_text()[-10_000:]
                if outsider.newest >= entries:
                    self.rig.workload.write(TRANSACTIONS)
                    entries = self.rig.entries()
                process = context.Process(
                    target=live,
                    args=(self.rig.file, self.stage, self.rig.project.environment, at, self.said),
                )
                process.start()
                wait_until(
                    lambda process=process, entries=entries: (
                        not process.is_alive() or outsider.newest >= entries
                    ),
                    lambda: self.said.read_text()[-10_000:],
                )
                process.join(LATE_SECONDS)
                late = late + 1 if process.is_alive() else 0
                process.kill()
                process.join()
                assert process.exitcode == -signal.SIGKILL, self.said.read_text()[-10_000:]
                at += self.stride
        return at - self.stride * LATE_LIVES

    @property
    def said(self) -> Path:
        """The log lines of all lives."""
        return self.rig.project.folder / f"{self.stage}.err"


def crash_at_every_call(rig: Rig, stage: str, *, first: int = 1, stride: int = 1) -> list[int]:
    """Until a life of the stage gets through, in each pass; the numbers of its calls. Then all is
    published."""
    with ExitStack() as held:
        if stage != "capture":
            held.enter_context(rig.running("capture"))
        calls = [Lives(rig, stage, stride).run(first) for _ in PASSES]
    rig.workload.end()
    rig.drain()
    return calls


def main() -> int:
    """The columns of the passes tell how many calls a life took.

    Exit code 1 if anything was lost, doubled, out of order or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.steps", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--stride", type=int, default=1, help="die at each N-th call only")
    wanted = parser.parse_args()
    show_on_stderr()
    print(f"seed {wanted.seed}")
    wrong = 0
    print_row(COLUMNS)
    for log in LOGS:
        with opened("mysql", log, "exactly_once") as bench:
            for stage in STAGES:
                begun, report, calls = time.monotonic(), *_checked(bench, stage, wanted)
                faults = [report.faults[one] for one in FAULTS]
                seconds = f"{time.monotonic() - begun:.0f}"
                print_row((log, stage, *calls, seconds, report.records, *faults))
                row = {
                    "area": "connector",
                    "name": f"{stage} killed after each of its calls to the outside in turn,"
                    f" at first starts and at restarts ({log})",
                    "does": "goes on after the last committed checkpoint when started again",
                    "seed": wanted.seed,
                    "strikes": sum(calls) // wanted.stride,
                    **report.as_json(),
                }
                keep(JSON, row)
                print("".join(f"  {text}\n" for text in report.told), end="", flush=True)
                wrong += sum(faults)
    return 1 if wrong else 0


def _checked(bench: Bench, stage: str, wanted: argparse.Namespace) -> tuple[Report, list[int]]:
    folder = bench.folder / stage
    folder.mkdir()
    stages = STAGES[: STAGES.index(stage) + 1]
    with fresh_database(bench.server) as database:
        rig = new_rig(folder, database, wanted.seed, stages=stages, **SMALL, **bench.log)
        calls = crash_at_every_call(rig, stage, stride=wanted.stride)
        return checked(rig), calls


if __name__ == "__main__":
    sys.exit(main())
