"""A second instance of a connector waits for the end of the first, then takes over."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.capture.lock import lock_name
from cdc.console import client
from tests.connectors import Child, Section, wait_until
from tests.faults.rig import EMBEDDED, STAGES, VIEWS, Rig, assert_right, new_rig, over_kafka
from tests.services_plugin import FreshDatabase

ROWS_MAX = 40
"""Of a transaction."""


@pytest.fixture
def kafka_sections(kafka_address: str) -> Section:
    return over_kafka(kafka_address)


@pytest.fixture(params=["kafka", "embedded"])
def log_sections(request: pytest.FixtureRequest) -> Section:
    """Where to publish."""
    if request.param == "embedded":
        return EMBEDDED
    sections: Section = request.getfixturevalue("kafka_sections")
    return sections


@contextmanager
def two(rig: Rig) -> Iterator[tuple[Child, Child]]:
    """One instance that writes, one that stands by."""
    with rig.workload, rig.running() as first:
        wait_writing(first)
        with rig.running() as second:
            second.wait_said("standby  ")
            yield first, second


def wait_writing(child: Child) -> None:
    """Until it has written something."""

    def records() -> int:
        stages = client.status(child.address).stages
        return next(one.records_total for one in stages if one.stage == "capture")

    wait_until(records, lambda: f"it writes nothing: {child.said}")


def wait_taken_over(second: Child, since: float, what: str) -> None:
    """Until it writes; prints after how long."""
    wait_writing(second)
    print(f"{what}: the first records were written {time.monotonic() - since:.2f} s later")
    assert "took over" in second.said


def assert_exact(rig: Rig, child: Child) -> None:
    """Nothing lost, nothing twice, in order; once all is published."""
    rig.workload.end()
    rig.wait_passed(child)
    assert_right(rig)


def test_a_killed_instance_is_followed_by_the_standby(
    tmp_path: Path, mysql_database: FreshDatabase, log_sections: Section
) -> None:
    rig = new_rig(tmp_path, mysql_database, seed=1, rows_max=ROWS_MAX, **log_sections)
    with two(rig) as (first, second):
        first.kill()
        wait_taken_over(second, time.monotonic(), "kill -9")
        assert_exact(rig, second)
        assert second.stop() == 0, second.said


def test_an_instance_that_stands_still_is_followed_and_stands_by_when_it_wakes(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    rig = new_rig(tmp_path, mysql_database, seed=2, rows_max=ROWS_MAX, **kafka_sections)
    with two(rig) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        assert "is lost" in first.said
        since = time.monotonic()
        assert second.stop() == 0, second.said
        first.wait_running(2)
        print(f"SIGTERM: running again {time.monotonic() - since:.2f} s later")
        assert_exact(rig, first)
        assert first.stop() == 0, first.said


def test_in_the_embedded_log_one_that_stands_still_is_followed_at_the_latest_when_it_wakes(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    """Stopped within a transaction it holds the file's own lock, which nobody can take away."""
    rig = new_rig(tmp_path, mysql_database, seed=5, rows_max=ROWS_MAX, **EMBEDDED)
    with two(rig) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        second.wait_said("took over")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        second.wait_running()
        assert_exact(rig, second)
        assert [second.stop(), first.stop()] == [0, 0], second.said


def test_a_lock_that_the_server_takes_away_ends_the_holding(
    tmp_path: Path, mysql_database: FreshDatabase, log_sections: Section
) -> None:
    rig = new_rig(tmp_path, mysql_database, seed=3, rows_max=ROWS_MAX, **log_sections)
    with two(rig) as (first, second):
        lock = lock_name(rig.config.connector)
        ((session,),) = mysql_database.execute(f"select is_used_lock('{lock}')")
        mysql_database.execute(f"kill {session}")
        wait_taken_over(second, time.monotonic(), "KILL")
        first.wait_said("standby  ")
        assert_exact(rig, second)
        assert [second.stop(), first.stop()] == [0, 0], second.said


def test_mariadb_holds_the_lock_as_well(
    tmp_path: Path, mariadb_database: FreshDatabase, kafka_sections: Section
) -> None:
    rig = new_rig(tmp_path, mariadb_database, seed=4, rows_max=ROWS_MAX, **kafka_sections)
    with two(rig) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP on MariaDB")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ")
        second.kill()
        first.wait_running(2)
        assert_exact(rig, first)
        assert first.stop() == 0, first.said


def test_all_stages_of_a_process_stand_by_together(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    rig = new_rig(
        tmp_path, mysql_database, seed=6, rows_max=ROWS_MAX, stages=STAGES, **kafka_sections
    )
    with two(rig) as (first, second):
        second.wait_said("standby  ", 2 + VIEWS)
        first.process.send_signal(signal.SIGSTOP)
        wait_taken_over(second, time.monotonic(), "SIGSTOP of all stages")
        first.process.send_signal(signal.SIGCONT)
        first.wait_said("standby  ", 2 + VIEWS)
        second.kill()
        first.wait_said("took over", 2 + VIEWS)
        rig.workload.end()
        rig.wait_passed(first)
        assert first.stop() == 0, first.said
    assert_right(rig)


def test_without_standby_the_second_ends_the_first_which_says_so(
    tmp_path: Path, mysql_database: FreshDatabase, log_sections: Section
) -> None:
    rig = new_rig(tmp_path, mysql_database, seed=7, rows_max=ROWS_MAX, **log_sections)
    config = json.loads(rig.file.read_text())
    config["source"]["standby"] = False
    rig.project.write(config, "faults")
    with rig.workload, rig.running() as first:
        wait_writing(first)
        with rig.running() as second:
            assert first.wait() == 3, first.said
            wait_writing(second)
            assert_exact(rig, second)
            assert second.stop() == 0, second.said
    assert "took over" in first.said or "the same id" in first.said


def test_a_server_that_has_such_locks_passes_the_check(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    rig = new_rig(tmp_path, mysql_database, seed=8, **EMBEDDED)
    assert "source.standby" not in rig.project.run("check", rig.file).stdout


@pytest.mark.parametrize("stage", ["translate", "views"])
def test_a_second_process_of_another_stage_takes_the_place_of_the_first(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section, stage: str
) -> None:
    rig = new_rig(
        tmp_path, mysql_database, seed=7, rows_max=ROWS_MAX, stages=STAGES, **kafka_sections
    )
    others = [one for one in STAGES if one != stage]
    count = VIEWS if stage == "views" else 1
    with rig.workload, rig.running(*others) as rest, rig.running(stage) as first:
        first.wait_running(count)
        with rig.running(stage) as second:
            assert first.wait() == 3, first.said
            second.wait_running(count)
            wait_until(lambda count=rig.workload.count: rig.workload.count > count + 20, "a load")
            assert [second.stop(), rest.stop()] == [0, 0], second.said
    rig.drain()
    assert_right(rig)
