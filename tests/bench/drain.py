"""A stretch of the binlog, drained: how fast its changes become visible at the destination."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.bench.place import Stretch
from tests.bench.reading import Destination
from tests.bench.running import System, Taken
from tests.bench.verify import Change, Verdict, verify

LOOK_SECONDS = 0.005
QUIET_SECONDS = 0.5
"""Nothing new for so long, with all there: nothing comes twice any more."""
STALLED_SECONDS = 60.0
"""Nothing new for so long: what is missing doesn't come any more."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain, from its start to the last change that is visible."""

    verdict: Verdict
    first_seconds: float
    """From the start to the first visible commit."""
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


def drain(system: System, stretch: Stretch) -> Drain:
    """Starts it over the stretch, until all of it is there, and checks all of it."""
    run = system.start(stretch.place)
    try:
        used: list[Taken] = []  # of each moment in which more was there
        ends = watch(run.topic, stretch.changes, run.is_alive, lambda: used.append(run.taken()))
        if not ends:
            name = stretch.place.full_name
            raise RuntimeError(f"{system.label} delivered nothing of {name}: {run.said}")
        run.stop()
        read = _Read(map(run.decoder.change, run.topic.records()), first_end=ends[0][1])
        verdict = verify(
            read,
            orders=stretch.orders,
            first_version=stretch.first_version,
            last_version=stretch.last_version,
            digest=stretch.digest,
        )
    finally:
        run.close()
    visible = next(seconds for seconds, end in ends if end > read.last_offset)
    return Drain(verdict, ends[0][0] - run.begun, visible - run.begun, read.first_changes, used[-1])


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


def watch(
    topic: Destination, changes: int, is_alive: Callable[[], bool], on_news: Callable[[], None]
) -> Ends:
    """Looks at the topic's committed end until nothing more comes."""
    ends: Ends = []
    news = time.monotonic()
    while is_alive():
        end, now = topic.end(), time.monotonic()
        if end > (ends[-1][1] if ends else 0):
            ends.append((now, end))
            on_news()
            news = now
        if now - news > STALLED_SECONDS:
            break
        if ends and now - news > QUIET_SECONDS and topic.holds(changes) and topic.end() == end:
            break
        time.sleep(LOOK_SECONDS)
    return ends
