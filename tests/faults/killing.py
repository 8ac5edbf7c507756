"""Processes of a rig's stages, killed at random moments and started again."""

from __future__ import annotations

import time
from contextlib import ExitStack
from random import Random

from tests.connectors import Child, wait_until
from tests.faults.outsider import Outsider
from tests.faults.rig import VIEWS, Rig

EARLY_CHANCE = 0.2
"""So many kills come while the process still starts."""
START_SECONDS = 1.0


class Kills:
    """The stages, a process each, for as long as the block runs; all are killed at its end."""

    def __init__(self, rig: Rig, dice: Random, run_seconds_max: float) -> None:
        self._rig, self._dice, self._run_seconds_max = rig, dice, run_seconds_max
        self._children: dict[str, Child] = {}
        self._newest: dict[str, int] = {}
        """Stage → the newest entry when its process was killed."""
        self._settled: set[str] = set()
        """Stages that are known to work since they were started."""
        self.recoveries: dict[str, list[float]] = {stage: [] for stage in rig.config.stages}
        """Seconds from a start to the first new event that an outsider sees."""

    def __enter__(self) -> Kills:
        with ExitStack() as stack:
            config = self._rig.config
            self._outsiders = {
                stage: stack.enter_context(Outsider(config, self._rig.ledger_topic(stage)))
                for stage in self.recoveries
                if stage != "views"
            }
            self._stack = stack.enter_context(ExitStack())
            for stage in self.recoveries:
                self._start(stage)
            for stage in self.recoveries:
                self._settle(stage)
            self._all = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()
        self._rig.note_restart()

    def kill(self, stage: str) -> None:
        """End one life of the stage's process and begin the next."""
        dice, child = self._dice, self._children[stage]
        assert child.process.poll() is None, child.said
        child.kill()
        self._settled.discard(stage)
        if stage == "capture":
            self._rig.note_restart()
        if stage in self._outsiders:
            self._newest[stage] = self._outsiders[stage].newest
        begun = time.monotonic()
        self._start(stage)
        if dice.random() < EARLY_CHANCE:
            time.sleep(dice.uniform(0.0, START_SECONDS))
            return
        first = self._settle(stage)
        if first is not None and self._settled >= self._outsiders.keys():
            self.recoveries[stage].append(first - begun)
        time.sleep(dice.uniform(0.0, self._run_seconds_max))

    def _start(self, stage: str) -> None:
        self._children[stage] = self._stack.enter_context(self._rig.running(stage))

    def _settle(self, stage: str) -> float | None:
        """When the first new event was there; None where nobody looks."""
        child = self._children[stage]
        if stage not in self._outsiders:
            child.wait_running(VIEWS)
            return None
        outsider, newest = self._outsiders[stage], self._newest.get(stage, 0)
        first: float = wait_until(lambda: outsider.came_after(newest), lambda: child.said)
        self._settled.add(stage)
        return first
