"""Stages that are killed at random moments under load lose, double and reorder nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.connectors import Section, wait_until
from tests.faults.checker import Delivery
from tests.faults.killing import Kills
from tests.faults.rig import EMBEDDED, STAGES, VIEWS, assert_right, new_rig, over_kafka
from tests.services_plugin import FreshDatabase

KILLS = 2
"""Of each stage."""
SECONDS_MAX = 0.5
SMALL: Mapping[str, Any] = {"rows_max": 100, "pause_seconds": 0.05}


def fresh_seed() -> int:
    """A seed that is printed."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    return seed


def over(log: str, request: pytest.FixtureRequest) -> Section:
    """The sections of a connector over this log."""
    if log == "embedded":
        return EMBEDDED
    return over_kafka(request.getfixturevalue("kafka_address"))


@pytest.mark.parametrize(
    ("log", "delivery", "stages"),
    [
        ("embedded", "exactly_once", STAGES),
        ("kafka", "exactly_once", STAGES),
        ("kafka", "at_least_once", STAGES[:1]),
    ],
)
def test_killed_at_random_all_is_delivered_as_promised(
    tmp_path: Path,
    mysql_database: FreshDatabase,
    request: pytest.FixtureRequest,
    log: str,
    delivery: Delivery,
    stages: Sequence[str],
) -> None:
    dice = random.Random(seed := fresh_seed())
    sections = over(log, request)
    rig = new_rig(
        tmp_path, mysql_database, seed, delivery=delivery, stages=stages, **SMALL, **sections
    )
    with rig.workload, Kills(rig, dice, SECONDS_MAX) as kills:
        for stage in dice.sample(stages, KILLS * len(stages), counts=[KILLS] * len(stages)):
            kills.kill(stage)
    rig.drain()
    assert_right(rig, delivery)


@pytest.mark.parametrize("log", ["embedded", "kafka"])
def test_stopped_in_order_under_load_it_goes_on_where_it_was(
    tmp_path: Path, mysql_database: FreshDatabase, request: pytest.FixtureRequest, log: str
) -> None:
    sections = over(log, request)
    rig = new_rig(tmp_path, mysql_database, fresh_seed(), stages=STAGES, **SMALL, **sections)
    with rig.workload:
        for _ in range(2):
            with rig.running() as child:
                child.wait_running(2 + VIEWS)
                count = rig.workload.count
                wait_until(lambda until=count + 50: rig.workload.count > until, "a load")
                assert child.stop() == 0, child.said
                assert "Traceback" not in child.said
    rig.drain()
    assert_right(rig)
