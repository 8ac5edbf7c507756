"""What each measure must reach, and what it aims at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reached = Literal["aim", "must", "no"]


@dataclass(frozen=True, slots=True)
class Goal:
    """Bounds of a figure: at least, or at most."""

    must: float
    aim: float | None = None
    is_at_most: bool = False

    def reached(self, value: float) -> Reached:
        """How far the value goes."""
        if self.aim is not None and self._is_met(value, self.aim):
            return "aim"
        return "must" if self._is_met(value, self.must) else "no"

    def _is_met(self, value: float, bound: float) -> bool:
        return value <= bound if self.is_at_most else value >= bound


def _at_most(must: float, aim: float) -> Goal:
    return Goal(must, aim, is_at_most=True)


AGAINST_DEBEZIUM = "against Debezium"
AGAINST_AT_LEAST_ONCE = "exactly once against at least once"
AGAINST_REFERENCE = "against mysql-replication decoding alone"

GOALS: dict[str, Goal] = {
    f"bulk drain into Kafka, {AGAINST_DEBEZIUM}": Goal(8, 12),
    f"one-row transactions into Kafka, {AGAINST_DEBEZIUM}": Goal(5, 9),
    f"rows of 60 columns into Kafka, {AGAINST_DEBEZIUM}": Goal(5),
    f"rows of 600 bytes into Kafka, {AGAINST_DEBEZIUM}": Goal(5),
    f"JSON of 20 kB into Kafka, {AGAINST_DEBEZIUM}": Goal(5),
    f"BLOB of 20 kB into Kafka, {AGAINST_DEBEZIUM}": Goal(5),
    f"updates into Kafka, {AGAINST_DEBEZIUM}": Goal(8),
    f"bulk drain into Kafka, {AGAINST_AT_LEAST_ONCE}": Goal(0.85),
    f"one-row transactions into Kafka, {AGAINST_AT_LEAST_ONCE}": Goal(0.85),
    "bulk drain into the embedded log": Goal(60_000, 150_000),
    "decode only, bulk": Goal(1_000_000, 2_000_000),
    "commit to Kafka, p50": _at_most(8, 5),
    "commit to Kafka, p99": _at_most(30, 20),
    "commit to Kafka, at least once, p50": _at_most(4, 2),
    "commit to Kafka, at least once, p99": _at_most(15, 8),
    "capture's peak memory": _at_most(150, 100),
    "start of cdc run to first event in Kafka": _at_most(1.5, 0.7),
    f"bulk drain into Kafka, {AGAINST_REFERENCE}": Goal(20),
    f"one-row transactions into Kafka, {AGAINST_REFERENCE}": Goal(20),
    "bulk drain into Kafka, without a compiler": Goal(15_000, 40_000),
}
"""By the figure's name."""
