"""Measured values by name, and the goals that some of them have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from tests.bench.goals import GOALS, Goal


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value."""

    name: str
    value: float
    unit: str
    setup: str

    @property
    def shown(self) -> str:
        return shown(self.value)

    @property
    def goal(self) -> Goal | None:
        return GOALS.get(self.name)

    @property
    def verdict(self) -> str:
        """What it must reach, its aim, and whether it does; empty without a goal."""
        goal = self.goal
        if goal is None:
            return ""
        bounds = " / ".join(shown(bound) for bound in (goal.must, goal.aim) if bound is not None)
        words = {"aim": "aim reached", "must": "reached", "no": "missed"}
        return f"{'≤' if goal.is_at_most else '≥'} {bounds}: {words[goal.reached(self.value)]}"

    @property
    def line(self) -> tuple[str, str, str, str, str]:
        return self.name, self.shown, self.unit, self.verdict, self.setup


def shown(value: float) -> str:
    """The value with as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


def repeated(label: str, values: Sequence[float], unit: str, setup: str) -> Iterator[Figure]:
    """The mean of the repeats, and how far they lie apart: the noise of this machine."""
    runs = f"mean of {len(values)} runs; " if len(values) > 1 else ""
    yield Figure(label, mean(values), unit, runs + setup)
    if len(values) > 1:
        apart = 100 * (max(values) - min(values)) / mean(values)
        listed = " and ".join(map(shown, values))
        yield Figure(f"{label}, A/A spread", apart, "%", f"the same again: {listed} {unit}")
