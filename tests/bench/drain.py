"""A stretch of the binlog, drained: how fast its changes become visible at the destination."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cdc.services import DatabaseAddress
from tests.bench.command import Taken, connector, taken
from tests.bench.orders import Stretch
from tests.bench.reading import Destination
from tests.bench.targets import Target
from tests.bench.verify import Change, Verdict, verify

LOOK_SECONDS = 0.005
QUIET_SECONDS = 0.5
"""Nothing new for so long, with all there: nothing comes twice any more."""
STALLED_SECONDS = 30.0
"""Nothing new for so long: what is missing doesn't come any more."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain, from the start of the process to the last change that is visible."""

    verdict: Verdict
    first_seconds: float
    """From the start of the process to the first visible commit."""
    last_seconds: float
    first_changes: int
    """Changes in the first visible commit."""
    taken: Taken

    @property
    def per_second(self) -> float:
        """From the first visible commit to the last."""
        rest = self.verdict.changes - self.first_changes
        if rest <= 0 or self.last_seconds <= self.first_seconds:
            return self.verdict.changes / self.last_seconds  # all in one commit
        return rest / (self.last_seconds - self.first_seconds)


def drain(folder: Path, target: Target, address: DatabaseAddress, stretch: Stretch) -> Drain:
    """Runs a new connector over the stretch, until all of it is there, and checks all of it."""
    table = f"{stretch.database}.{stretch.table}"
    made = connector(folder, target, address, table, start=stretch.start)
    topic = target.topic(made.folder, made.change_topic(stretch.database, stretch.table))
    try:
        begun = time.monotonic()
        with made.running("--stage", "capture") as child:
            ends = watch(topic, stretch.changes, lambda: child.process.poll() is None)
            used = taken(child.process.pid)
        if not ends:
            raise RuntimeError(f"nothing came of {table} at {target.label}: {child.said}")
        decode = target.decoder(made.folder).change
        read = _Read(map(decode, topic.records()), first_end=ends[0][1])
        verdict = verify(
            read, orders=stretch.orders, versions=stretch.versions, digest=stretch.digest
        )
    finally:
        topic.close()
    shutil.rmtree(made.folder)
    visible = next(seconds for seconds, end in ends if end > read.last_offset)
    return Drain(verdict, ends[0][0] - begun, visible - begun, read.first_changes, used)


@dataclass
class _Read:
    """Passes changes on, and keeps of them what tells when they became visible."""

    changes: Iterable[Change]
    first_end: int
    first_changes: int = 0
    last_offset: int = -1

    def __iter__(self) -> Iterator[Change]:
        for change in self.changes:
            self.first_changes += change.offset < self.first_end
            self.last_offset = change.offset
            yield change


Ends = list[tuple[float, int]]
"""When each new end of the topic was seen."""


def watch(topic: Destination, changes: int, is_alive: Callable[[], bool]) -> Ends:
    """Looks at the topic's committed end until nothing more comes."""
    ends: Ends = []
    news = time.monotonic()
    while is_alive():
        end, now = topic.end(), time.monotonic()
        if end > (ends[-1][1] if ends else 0):
            ends.append((now, end))
            news = now
        if now - news > STALLED_SECONDS:
            break
        if ends and now - news > QUIET_SECONDS and topic.holds(changes) and topic.end() == end:
            break
        time.sleep(LOOK_SECONDS)
    return ends
