"""Capture and translate that die at a call to the outside lose, double and reorder nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.rig import EMBEDDED, assert_right, new_rig, over_kafka
from tests.faults.steps import SMALL, STAGES, crash_at_every_call
from tests.services_plugin import FreshDatabase

CHANGES_MIN = 20
"""There are new ones only when all is done, and few lives get there."""


@pytest.mark.parametrize(
    ("log", "stage", "stride"),
    [
        ("embedded", "capture", 8),
        ("embedded", "translate", 16),
        ("kafka", "capture", 12),
        ("kafka", "translate", 24),
    ],
)
def test_dying_at_calls_all_is_delivered_exactly_once(
    tmp_path: Path,
    mysql_database: FreshDatabase,
    request: pytest.FixtureRequest,
    log: str,
    stage: str,
    stride: int,
) -> None:
    """At each of them in `make faults`."""
    seed = random.randrange(10**9)
    first = 1 + seed % stride
    print(f"seed {seed}")
    sections = EMBEDDED
    if log == "kafka":
        sections = over_kafka(request.getfixturevalue("kafka_address"))
    stages = STAGES[: STAGES.index(stage) + 1]
    rig = new_rig(tmp_path, mysql_database, seed, stages=stages, **SMALL, **sections)
    print("calls:", crash_at_every_call(rig, stage, first=first, stride=stride))
    assert_right(rig, changes_min=CHANGES_MIN)
