"""The connector's own host, with the embedded log: its disk full, its file damaged."""

from __future__ import annotations

from pathlib import Path

from cdc.embedded_file import PAGE_BYTES
from tests.connectors import Section
from tests.faults.cases import Cases
from tests.faults.network import WAITS
from tests.faults.stand import Stand
from tests.faults.striking import Outcome, Run, Setting, under_load
from tests.faults.tmpfs import fill, free, tmpfs

CASES = Cases("host")

DISK_MB = 256


def embedded_at(path: Path) -> dict[str, Section]:
    return {"log": {"kind": "embedded", "path": str(path)}}


@CASES(
    "disk of the embedded log full; freed",
    "ends, names the file; what it was writing is undone as a whole; goes on when started again",
)
def disk_full(stand: Stand, seed: int) -> Outcome:
    folder = stand.new_folder()
    with tmpfs(folder / "disk", DISK_MB) as disk, stand.database() as database:

        def script(run: Run) -> None:
            for left in (0, 100_000, 1_000_000):
                with run.capturing() as child:
                    fill(disk, left=left)
                    run.ended(child, "log.db", "full")
                free(disk)
                with run.capturing(is_moving=False) as child:
                    run.struck(child)

        setting = Setting(embedded_at(disk / "log.db"), {"limits": WAITS})
        return under_load(folder, database, setting, script, seed)


@CASES(
    "file of the embedded log cut short, its header overwritten, a page of zeros; restored",
    "ends, names the file; goes on when started again over the restored one",
)
def file_damaged(stand: Stand, seed: int) -> Outcome:
    folder = stand.new_folder()
    path = folder / "data" / "log.db"
    with stand.database() as database:

        def script(run: Run) -> None:
            with run.capturing() as child:
                run.moved(child)
                assert child.stop() == 0, child.said
            with run.outsider.away():  # the last one who closes it moves all into the one file
                good = path.read_bytes()
                for damaged in (
                    good[: len(good) // 2],
                    b"not SQLite at all" + good[17:],
                    good[:PAGE_BYTES] + bytes(PAGE_BYTES) + good[2 * PAGE_BYTES :],
                ):
                    path.write_bytes(damaged)
                    with run.capturing(is_moving=False) as child:
                        run.ended(child, "log.db")
                    for one in path.parent.glob("log.db-*"):
                        one.unlink()
                    path.write_bytes(good)
                    run.outcome.strikes += 1
            with run.capturing(is_moving=False) as child:
                run.struck(child)

        setting = Setting(embedded_at(path), {"limits": WAITS})
        return under_load(folder, database, setting, script, seed)
