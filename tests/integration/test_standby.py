"""A second instance of a connector waits for the end of the first, then takes over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.capture.lock import lock_name
from cdc.console import client
from tests.connectors import Child, Section, kafka_log, wait_until
from tests.load import Load, assert_every_change_once, assert_nothing_lost_nothing_twice
from tests.services_plugin import FreshDatabase
from tests.shop import Shop, new_shop

EMBEDDED: Section = {"log": {"kind": "embedded"}}


@pytest.fixture
def kafka_sections(kafka_address: str) -> Section:
    """Kafka as the log; the registry, which has no part in this, in a file."""
    return {
        "log": kafka_log(kafka_address),
        "registry": {"kind": "embedded", "path": "../registry.db"},
    }


@pytest.fixture(params=["kafka", "embedded"])
def log_sections(request: pytest.FixtureRequest) -> Section:
    """Where to publish."""
    if request.param == "embedded":
        return EMBEDDED
    sections: Section = request.getfixturevalue("kafka_sections")
    return sections


@contextmanager
def capturing(made: Shop, stages: str = "capture") -> Iterator[Child]:
    with made.project.started("run", made.file, "--stage", stages) as child:
        yield child


@contextmanager
def two(made: Shop, stages: str = "capture") -> Iterator[tuple[Child, Child]]:
    """One instance that writes, one that stands by."""
    with capturing(made, stages) as first:
        wait_writing(first)
        with capturing(made, stages) as second:
            second.wait_said("standby  ")
            yield first, second


def wait_writing(child: Child) -> None:
    """Until it has written something."""

    def records() -> int:
        return client.status(child.address).stages[0].records_total

    wait_until(records, lambda: f"it writes nothing: {child.said}")


def wait_taken_over(second: Child, since: float, what: str) -> None:
    """Until it writes; prints after how long."""
    wait_writing(second)
    print(f"{what}: the first records were written {time.monotonic() - since:.2f} s later")
    assert "took over" in second.said


def assert_exact(made: Shop, load: Load) -> None:
    """Nothing lost, nothing twice, in order; once all is published."""

    def is_complete() -> bool:
        rows = [one["value"] for one in made.changes() if one["value"]]
        last = max((row["after"]["is_gift"] for row in rows if row["after"]), default=0)
        return last == load.number and sum(not row["after"] for row in rows) >= len(load.deleted)

    wait_until(is_complete, f"{load.number} changes are not all published")
    assert_every_change_once(made, load)


def test_a_killed_instance_is_followed_by_the_standby(
    tmp_path: Path, mysql_database: FreshDatabase, log_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **log_sections)
    with Load(mysql_database, seed=1) as load, two(made) as (first, second):
        first.kill()
        wait_taken_over(second, time.monotonic(), "kill -9")
        load.end()
        assert_exact(made, load)
        assert second.stop() == 0, second.said


def test_an_instance_that_stands_still_is_followed_and_stands_by_when_it_wakes(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **kafka_sections)
    with Load(mysql_database, seed=2) as load, two(made) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        assert "is lost" in first.said
        since = time.monotonic()
        assert second.stop() == 0, second.said
        first.wait_running(2)
        print(f"SIGTERM: running again {time.monotonic() - since:.2f} s later")
        load.end()
        assert_exact(made, load)
        assert first.stop() == 0, first.said


def test_in_the_embedded_log_one_that_stands_still_is_followed_at_the_latest_when_it_wakes(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    """Stopped within a transaction it holds the file's own lock, which nobody can take away."""
    made = new_shop(tmp_path, mysql_database, **EMBEDDED)
    with Load(mysql_database, seed=5) as load, two(made) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        second.wait_said("took over")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        second.wait_running()
        load.end()
        assert_exact(made, load)
        assert [second.stop(), first.stop()] == [0, 0], second.said


def test_a_lock_that_the_server_takes_away_ends_the_holding(
    tmp_path: Path, mysql_database: FreshDatabase, log_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **log_sections)
    with Load(mysql_database, seed=3) as load, two(made) as (first, second):
        ((session,),) = mysql_database.execute(f"select is_used_lock('{lock_name(made.name)}')")
        mysql_database.execute(f"kill {session}")
        wait_taken_over(second, time.monotonic(), "KILL")
        first.wait_said("standby  ")
        load.end()
        assert_exact(made, load)
        assert [second.stop(), first.stop()] == [0, 0], second.said


def test_mariadb_holds_the_lock_as_well(
    tmp_path: Path, mariadb_database: FreshDatabase, kafka_sections: Section
) -> None:
    made = new_shop(tmp_path, mariadb_database, **kafka_sections)
    with Load(mariadb_database, seed=4) as load, two(made) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP on MariaDB")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        second.kill()
        first.wait_running(2)
        load.end()
        assert_exact(made, load)
        assert first.stop() == 0, first.said


def test_all_stages_of_a_process_stand_by_together(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **kafka_sections)
    with (
        Load(mysql_database, seed=6) as load,
        two(made, "capture,translate,views") as (first, second),
    ):
        second.wait_said("standby  ", 3)
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP of all stages")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ", 3)
        second.kill()
        first.wait_said("took over", 3)
        load.end()
        made.wait_equal(first)
        assert first.stop() == 0, first.said
    assert_nothing_lost_nothing_twice(made, load)
