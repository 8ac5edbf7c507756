"""The drains: ours, the same again, and Debezium's beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from cdc.services.progress import tell
from tests.bench.connect import worker
from tests.bench.debezium import HEAP, HEAP_MIN, LABEL, Debezium
from tests.bench.drain import Drain, drain
from tests.bench.figures import Figure, repeated
from tests.bench.goals import AGAINST_AT_LEAST_ONCE, AGAINST_DEBEZIUM
from tests.bench.lab import MB, Lab
from tests.bench.place import Stretch
from tests.bench.running import System
from tests.bench.targets import Target


@dataclass(frozen=True, slots=True)
class Load:
    """One stretch, by the name that its figures have."""

    name: str
    stretch: Stretch
    unit: str
    setup: str
    peer_options: Mapping[str, str] = field(default_factory=dict)
    """Of Debezium's, for this load alone."""


def drained(lab: Lab, load: Load, target: Target) -> Iterator[Figure]:
    """Ours into the target: rate, spread, CPU, memory."""
    label = f"{load.name} into {target.label}"
    runs = _runs(lab, label, lab.capture(target), load.stretch)
    lab.rates[label] = mean(run.per_second for run in runs)
    peak = lab.note_rss([run.taken.peak_rss_bytes for run in runs])
    yield from repeated(label, [run.per_second for run in runs], load.unit, load.setup)
    about = f"the drain of {load.stretch.changes:,} changes"
    yield Figure(f"{label}, CPU", mean(r.taken.cpu_seconds for r in runs), "s", about)
    yield Figure(f"{label}, peak memory", peak, "MB", f"RSS, {about}")


def beside(lab: Lab, load: Load) -> Iterator[Figure]:
    """Debezium over the same into Kafka, if it is to run, and how many times as fast ours is."""
    system = lab.debezium(load.peer_options)
    if system is None:
        return
    ours = f"{load.name} into Kafka"
    label = f"{ours}, {LABEL}"
    runs = _runs(lab, label, system, load.stretch)
    rates = [run.per_second for run in runs]
    yield from repeated(label, rates, load.unit, f"warm, heap {HEAP}; {load.setup}")
    about = f"the drain of {load.stretch.changes:,} changes"
    cpu_seconds = mean(run.taken.cpu_seconds for run in runs)
    yield Figure(f"{label}, CPU", cpu_seconds, "s", f"{about}, without the worker's start")
    peak = max(run.taken.peak_rss_bytes for run in runs) / MB
    yield Figure(f"{label}, peak memory", peak, "MB", f"RSS of the worker up to then, heap {HEAP}")
    # Its best against our mean: its first run is slower, while its code is compiled.
    ratio = lab.rates[ours] / max(rates)
    setup = f"our mean against its best, {max(rates):,.0f} {load.unit}"
    yield Figure(f"{ours}, {AGAINST_DEBEZIUM}", ratio, "times", setup)


def without_transactions(lab: Lab, load: Load) -> Iterator[Figure]:
    """Ours at least once, and how much of that rate is left with Kafka's transactions."""
    exactly_once = f"{load.name} into Kafka"
    label = f"{exactly_once}, at least once"
    runs = _runs(lab, label, lab.capture(sections={"delivery": "at_least_once"}), load.stretch)
    lab.note_rss([run.taken.peak_rss_bytes for run in runs])
    rates = [run.per_second for run in runs]
    yield from repeated(label, rates, load.unit, load.setup)
    ratio = lab.rates[exactly_once] / mean(rates)
    yield Figure(f"{exactly_once}, {AGAINST_AT_LEAST_ONCE}", ratio, "times", "means")


def with_small_heap(lab: Lab, load: Load) -> Iterator[Figure]:
    """What memory Debezium needs at least, in a worker of its own that begins cold."""
    if lab.worker is None:
        return
    label = f"{load.name} into Kafka, {LABEL} with the smallest heap"
    with worker(lab.folder / "small", lab.kafka.bootstrap_servers, HEAP_MIN) as small:
        system = Debezium(small, lab.kafka, lab.address)
        (run,) = _runs(lab, label, system, load.stretch, repeats=1)
    setup = f"heap {HEAP_MIN}, cold; {load.setup}"
    yield Figure(label, run.per_second, load.unit, setup)
    yield Figure(f"{label}, peak memory", run.taken.peak_rss_bytes / MB, "MB", f"RSS, {setup}")


def plain(lab: Lab, stretch: Stretch, variables: Mapping[str, str], setup: str) -> Iterator[Figure]:
    """Ours without what is compiled."""
    label = "bulk drain into Kafka, without a compiler"
    runs = _runs(lab, label, lab.capture(variables=variables), stretch)
    lab.note_rss([run.taken.peak_rss_bytes for run in runs])
    yield from repeated(label, [run.per_second for run in runs], "rows/s", setup)


def giant(lab: Lab, stretch: Stretch) -> Iterator[Figure]:
    """The memory that one transaction of a gigabyte takes."""
    label = "one giant transaction into Kafka"
    (run,) = _runs(lab, label, lab.capture(), stretch, repeats=1)
    peak = lab.note_rss([run.taken.peak_rss_bytes])
    setup = f"{stretch.changes:,} rows of 20 kB, {lab.sizes.giant_bytes / MB:,.0f} MB or more"
    yield Figure(label, run.per_second, "rows/s", setup)
    yield Figure(f"{label}, peak memory", peak, "MB", f"RSS; {setup}")


def start(lab: Lab, stretch: Stretch, behind: str = "") -> Iterator[Figure]:
    """From the start of the command to the first change that is visible; what is `behind` it in
    the binlog is looked through for DDL first."""
    label = "start of cdc run to first event in Kafka" + (" with a backlog" if behind else "")
    runs = _runs(lab, label, lab.capture(), stretch, repeats=lab.sizes.starts)
    lab.note_rss([run.taken.peak_rss_bytes for run in runs])
    starts = [run.first_seconds for run in runs]
    setup = (
        f"median of {len(starts)} first starts, each makes its topics and registers its"
        f" schemas; {min(starts):.2f} to {max(starts):.2f} s; {behind or 'nothing behind it'}"
    )
    yield Figure(label, median(starts), "s", setup)


def _runs(
    lab: Lab, label: str, system: System, stretch: Stretch, repeats: int | None = None
) -> Sequence[Drain]:
    runs: list[Drain] = []
    count = repeats or lab.sizes.repeats
    for number in range(1, count + 1):
        tell(f"{label}, {number} of {count}")
        runs.append(drain(system, stretch))
        lab.accept(label, runs[-1].verdict)
    return runs
