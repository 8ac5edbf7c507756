"""A log that is away for long: what the source writes is spooled, purged there, drained later."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdc.services import DatabaseServer, KafkaServer, MySQLServer, kafka
from cdc.spool.segment import Mark, SegmentDamaged, load_segment
from tests.connectors import Child, wait_until
from tests.faults.rig import Rig, assert_right, new_rig, over_kafka
from tests.services_plugin import FreshDatabase, fresh_database, held

ROWS_MAX = 100
PAUSE_SECONDS = 0.1


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka that these tests may stop."""
    with held(tmp_path_factory.mktemp("own") / "kafka", kafka.start) as server:
        yield server


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """On a server of the test's own, whose binlogs may be purged."""
    start: Callable[[], DatabaseServer] = request.getfixturevalue(f"start_{request.param}")
    with fresh_database(start()) as database:
        yield database


def spooling_rig(
    folder: Path, database: FreshDatabase, kafka: KafkaServer, bytes_max: str = "256MiB"
) -> Rig:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    spool = {"path": "../spool", "after_seconds": 0.5, "bytes_max": bytes_max}
    return new_rig(
        folder,
        database,
        seed,
        pause_seconds=PAUSE_SECONDS,
        rows_max=ROWS_MAX,
        spool=spool,
        limits={"retry_wait_seconds_max": 1},
        **over_kafka(kafka.url),
    )


def spool_end(folder: Path) -> Mark | None:
    """Up to where the spool goes; None while there is none."""
    for path in sorted((folder / "spool").glob("*.spool"), reverse=True):
        try:
            return load_segment(path, 0).end
        except SegmentDamaged:
            continue  # just being begun
    return None


def binlog_end(database: FreshDatabase) -> str:
    """The file that is being written."""
    word = "binary log" if isinstance(database.server, MySQLServer) else "master"
    return str(database.execute(f"show {word} status")[0][0])


def purge_behind(database: FreshDatabase, folder: Path) -> None:
    """Drop all binlog files but the last, once the spool holds what is in them."""
    database.execute("flush binary logs")
    last = binlog_end(database)

    def has_come() -> bool:
        end = spool_end(folder)
        return end is not None and end.checkpoint.file >= last

    wait_until(has_come, lambda: f"the spool stays before {last}: {spool_end(folder)}")

    def is_purged() -> bool:
        # A file that somebody still reads stays, and MariaDB's until its checkpoint has moved on.
        database.execute(f"purge binary logs to '{last}'")
        return bool(database.execute("show binary logs")[0][0] == last)

    wait_until(is_purged, f"{last} is not the only one")


def wait_captured(rig: Rig, child: Child) -> None:
    """Until some transactions are in the log."""
    child.wait_running()
    number = rig.workload.count
    wait_until(lambda: rig.workload.count > number + 20, lambda: child.said)


def assert_all_is_right(rig: Rig) -> None:
    rig.drain()
    print(assert_right(rig))
    assert not list((rig.project.folder / "spool").glob("*.spool"))


def test_what_was_spooled_and_purged_is_drained_exactly_once_and_in_order(
    tmp_path: Path, database: FreshDatabase, own_kafka: KafkaServer
) -> None:
    rig = spooling_rig(tmp_path, database, own_kafka)
    with rig.workload, rig.running() as child:
        wait_captured(rig, child)
        own_kafka.kill()
        child.wait_said("spooling: ")
        purge_behind(database, tmp_path)
        own_kafka.restart()
        child.wait_said("the spool is drained")
        assert child.stop() == 0, child.said
    rig.note_restart()
    assert_all_is_right(rig)
