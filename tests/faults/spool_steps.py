"""`python -m tests.faults.spool_steps`: capture that dies at each of its calls while it spools, and
while it drains the spool.

Its log is away because its registry is: that is told at once. What the spool claims to hold is
purged at the source after each life, so that nothing but the spool can give it back."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cdc.services.progress import show_on_stderr
from cdc.spool.segment import Mark, SegmentDamaged, load_segment
from tests.connectors import Section, wait_until
from tests.faults.figures import JSON, keep
from tests.faults.http_registry import HttpRegistry
from tests.faults.kills import opened, print_row
from tests.faults.outsider import Outsider
from tests.faults.report import FAULTS
from tests.faults.rig import EMBEDDED, Rig, checked, new_rig
from tests.faults.steps import LATE_LIVES, LATE_SECONDS, LIVES_MAX, PRELOADED, SMALL, live
from tests.services_plugin import FreshDatabase, fresh_database

TRANSACTIONS = 10
"""New ones when all before are spooled, or drained."""
NEVER = 0
"""The number of no call."""
STAGE = "capture"
COLUMNS = ("spooling", "draining", "purges", "seconds", "records", *FAULTS)


def spooling_rig(folder: Path, database: FreshDatabase, seed: int, registry: HttpRegistry) -> Rig:
    """Spools from the first second on that the registry is away."""
    sections: dict[str, Section] = {
        **EMBEDDED,
        "registry": {"url": registry.url},
        "spool": {"path": "../spool", "after_seconds": 0, "bytes_max": "64MiB"},
    }
    return new_rig(folder, database, seed, **SMALL, **sections)


def spool_end(folder: Path) -> Mark | None:
    """Up to where the spool goes; None while there is none."""
    for path in sorted((folder / "spool").glob("*.spool"), reverse=True):
        try:
            return load_segment(path, 0).end
        except (SegmentDamaged, FileNotFoundError):
            continue  # just being begun, or removed
    return None


class SpoolLives:
    """Lives of capture in one rig, on a source of its own."""

    def __init__(self, rig: Rig, registry: HttpRegistry, stride: int) -> None:
        self._rig, self._registry, self._stride = rig, registry, stride
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *PRELOADED])
        self._last = ""
        """The binlog file that was begun behind what was written last."""
        self.purged = 0
        """How often the source has lost what the spool holds."""

    def run(self, first: int) -> list[int]:
        """Until lives get through in each pass; the numbers of their calls."""
        rig = self._rig
        with ExitStack() as held:
            outsider = held.enter_context(Outsider(rig.config, rig.ledger_topic()))
            with rig.running() as child:
                child.wait_running()
                rig.workload.write(TRANSACTIONS)
                wait_until(lambda: outsider.newest >= rig.entries(), lambda: child.said)
                wait_until((self.folder / "begin.json").exists, lambda: child.said)
            with self._registry.away():
                self._write()
                spooling = self._pass(first, self._write, self._is_spooled)
            draining = self._pass(first, self._spool, lambda: self._is_drained(outsider))
        return [spooling, draining]

    @property
    def folder(self) -> Path:
        return self._rig.project.folder / "spool"

    @property
    def said(self) -> Path:
        """The log lines of all lives."""
        return self._rig.project.folder / f"{STAGE}.err"

    def _pass(self, at: int, refill: Callable[[], None], is_done: Callable[[], bool]) -> int:
        """A life for each call until some get through; new work whenever all is done."""
        late = 0
        while late < LATE_LIVES:
            assert at < LIVES_MAX, self._tail()
            if is_done():
                refill()
            late = late + 1 if self._live(at, is_done) else 0
            self._purge()
            at += self._stride
        return at - self._stride * LATE_LIVES

    def _live(self, at: int, is_done: Callable[[], bool]) -> bool:
        """One life that dies at this call; whether it got through before."""
        process: Any = self._context.Process(
            target=live,
            args=(self._rig.file, STAGE, self._rig.project.environment, at, self.said),
        )
        process.start()
        wait_until(lambda: not process.is_alive() or is_done(), self._tail)
        process.join(LATE_SECONDS)
        is_late = process.is_alive()
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, self._tail()
        return bool(is_late)

    def _tail(self) -> str:
        return self.said.read_text()[-10_000:]

    # Spooling

    def _write(self) -> None:
        """New work for who spools, the binlog's file ended behind it."""
        database = self._rig.database
        self._rig.workload.write(TRANSACTIONS)
        database.execute("flush binary logs")
        self._last = str(database.execute("show binary log status")[0][0])

    def _is_spooled(self) -> bool:
        end = spool_end(self._rig.project.folder)
        return end is not None and end.checkpoint.file >= self._last

    def _purge(self) -> None:
        """Drop what the spool claims to hold, but for what a dead process is still sent."""
        end = spool_end(self._rig.project.folder)
        if end is not None:
            self._rig.database.execute(f"purge binary logs to '{end.checkpoint.file}'")
            (first, *_), *_ = self._rig.database.execute("show binary logs")
            self.purged += first == self._last

    # Draining

    def _spool(self) -> None:
        """New work for who drains, spooled by one that lives on."""
        with self._registry.away():
            self._write()
            assert self._live(NEVER, self._is_spooled), self._tail()
        self._purge()

    def _is_drained(self, outsider: Outsider) -> bool:
        # What a dead process has left of the spool is behind the checkpoint of the next one.
        return outsider.newest >= self._rig.entries()


def crash_while_spooling(
    rig: Rig, registry: HttpRegistry, *, first: int = 1, stride: int = 1
) -> tuple[list[int], int]:
    """The numbers of calls in each pass, and how often the source was purged. Then all is
    published."""
    lives = SpoolLives(rig, registry, stride)
    calls = lives.run(first)
    rig.workload.end()
    rig.drain()
    return calls, lives.purged


def main() -> int:
    """The first columns tell how many calls a life took.

    Exit code 1 if anything was lost, doubled, out of order or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.spool_steps", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--stride", type=int, default=1, help="die at each N-th call only")
    wanted = parser.parse_args()
    show_on_stderr()
    print(f"seed {wanted.seed}")
    begun = time.monotonic()
    with (
        opened("mysql", "embedded", "exactly_once") as bench,
        fresh_database(bench.server) as database,
        HttpRegistry() as registry,
    ):
        folder = bench.folder / "spool"
        folder.mkdir()
        rig = spooling_rig(folder, database, wanted.seed, registry)
        calls, purged = crash_while_spooling(rig, registry, stride=wanted.stride)
        report = checked(rig)
    faults = [report.faults[one] for one in FAULTS]
    print_row(COLUMNS)
    seconds = f"{time.monotonic() - begun:.0f}"
    print_row((*calls, purged, seconds, report.records, *faults))
    row = {
        "area": "connector",
        "name": "capture with a spool killed after each of its calls to the outside and to the"
        " spool's files in turn, while it spools and while it drains; the source purged each time",
        "does": "goes on after the last committed checkpoint and at the spool's end when started"
        " again",
        "seed": wanted.seed,
        "strikes": sum(calls) // wanted.stride,
        **report.as_json(),
    }
    keep(JSON, row)
    print("".join(f"  {text}\n" for text in report.told), end="", flush=True)
    return 1 if any(faults) else 0


if __name__ == "__main__":
    sys.exit(main())
