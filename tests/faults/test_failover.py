"""A failover to a real replica under load, in mid-capture: nothing lost, doubled or reordered."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.connectors import wait_until
from tests.faults.checker import check
from tests.faults.collecting import marker_came
from tests.faults.rig import EMBEDDED, Rig, new_rig
from tests.faults.workload import place_of
from tests.pairs import Pair, execute, paired_mariadb, paired_mysql
from tests.services_plugin import fresh_database

SECONDS_MAX = 0.5
ROWS_MAX = 100
FILES_BEFORE = 5
"""The checker wants places to rise: the replica's files are of higher numbers from the start."""


@pytest.mark.parametrize("paired", [paired_mysql, paired_mariadb], ids=["mysql", "mariadb"])
def test_a_failover_under_load_loses_doubles_and_reorders_nothing(
    tmp_path: Path, paired: Callable[[Path], AbstractContextManager[Pair]]
) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    with paired(tmp_path / "pair") as pair:
        execute(pair.replica, *["flush binary logs"] * FILES_BEFORE)
        with fresh_database(pair.source) as database:
            rig = new_rig(tmp_path, database, seed, rows_max=ROWS_MAX, **EMBEDDED)
            pair.wait_replicated()
            note_begin_at(pair, rig)
            fail_over(pair, rig, random.Random(seed))
            rig.drain()
            evidence = rig.evidence()
    if pair.source.flavor == "mariadb":  # of which server each is, the last one doesn't tell
        evidence = replace(evidence, gtids=[])
    report = check(evidence)
    print(report)
    if not report.is_right:
        evidence.save(tmp_path / "run.gz")
    assert report.is_right, report
    assert report.changes > 100


def note_begin_at(pair: Pair, rig: Rig) -> None:
    """Where the replica's binlog begins to have what the ledger tells."""
    with pair.replica.connect() as connection, connection.cursor() as cursor:
        file, pos, _ = place_of(cursor, pair.replica.kind)
        cursor.execute("set session sql_log_bin = 0")
        cursor.execute(f"update {rig.database.name}.begun set file = %s, pos = %s", (file, pos))


def capture_past_now(rig: Rig) -> None:
    """Until something is captured that is written from now on; then it is killed."""

    def last() -> str:
        ((name,),) = rig.database.execute("select tx from ledger order by seq desc limit 1")
        return str(name)

    before = last()
    wait_until(lambda: last() != before, "the workload writes nothing")
    with (
        rig.running() as child,
        closing(marker_came(rig.config, rig.ledger_topic(), last())) as came,
    ):
        wait_until(lambda: next(came), lambda: child.said)
    rig.note_restart()


def run_and_kill(rig: Rig, dice: random.Random) -> None:
    with rig.running() as child:
        child.wait_running()
        time.sleep(dice.uniform(0.0, SECONDS_MAX))
    rig.note_restart()


def fail_over(pair: Pair, rig: Rig, dice: random.Random) -> None:
    """Capture goes on at a replica that lags, and that is written to once it has all."""
    with rig.workload:
        run_and_kill(rig, dice)
        execute(pair.replica, "stop replica")
        capture_past_now(rig)
        rig.workload.rest()
    rig.move_to(pair.replica)
    with rig.running() as child:
        child.wait_said("waiting for the source to catch up")
        execute(pair.replica, "start replica")
        pair.wait_replicated()
        execute(pair.replica, "stop replica")
        with rig.workload:
            child.wait_said("going on at another server")
            time.sleep(dice.uniform(0.0, SECONDS_MAX))
            child.kill()
            rig.note_restart()
            run_and_kill(rig, dice)
