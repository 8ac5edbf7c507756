"""Capture that is killed at random moments under load loses, doubles and reorders nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.checker import Delivery, check
from tests.faults.rig import EMBEDDED, new_rig, over_kafka
from tests.services_plugin import FreshDatabase

KILLS = 2
SECONDS_MAX = 0.5
ROWS_MAX = 500


@pytest.mark.parametrize(
    ("log", "delivery"),
    [("embedded", "exactly_once"), ("kafka", "exactly_once"), ("kafka", "at_least_once")],
)
def test_killed_at_random_all_is_delivered_as_promised(
    tmp_path: Path,
    mysql_database: FreshDatabase,
    request: pytest.FixtureRequest,
    log: str,
    delivery: Delivery,
) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    sections = EMBEDDED
    if log == "kafka":
        sections = over_kafka(request.getfixturevalue("kafka_address"))
    rig = new_rig(tmp_path, mysql_database, seed, delivery=delivery, rows_max=ROWS_MAX, **sections)
    with rig.workload:
        rig.kill_at(random.Random(seed), KILLS, SECONDS_MAX)
    rig.drain()
    evidence = rig.evidence()
    report = check(evidence, delivery=delivery)
    print(report)
    if not report.is_right:
        evidence.save(tmp_path / "run.gz")
    assert report.is_right, report
    assert report.changes > 100
