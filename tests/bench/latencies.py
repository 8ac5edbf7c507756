"""The latencies: to a consumer of Kafka, and to a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import mean

from cdc.services.progress import tell
from tests.bench.debezium import LABEL
from tests.bench.figures import Figure, repeated
from tests.bench.lab import MB, Lab
from tests.bench.latency import Latency, to_kafka, to_view
from tests.bench.running import System

TO_CONSUMER = "visible to a read-committed consumer, capture alone"
TO_VIEW = "row visible in the view's SQLite table, all stages in one process"


def to_consumers(lab: Lab) -> Iterator[Figure]:
    """Commit → a consumer has it: ours in both ways of delivery, and Debezium; each again."""
    at_least_once = lab.capture(sections={"delivery": "at_least_once"})
    systems: list[tuple[str, System, str]] = [
        ("commit to Kafka", lab.capture(), "exactly once"),
        ("commit to Kafka, at least once", at_least_once, "at least once"),
    ]
    peer = lab.debezium()
    if peer is not None:
        systems.append((f"commit to Kafka, {LABEL}", peer, "at least once, warm"))
    for label, system, how in systems:
        found = [_to_consumer(lab, label, system) for _ in range(lab.sizes.repeats)]
        if system is not peer:
            lab.note_rss([one.taken.peak_rss_bytes for one in found])
        seconds = lab.sizes.latency_seconds
        yield from _figures(lab, label, found, f"{TO_CONSUMER}, {how}", seconds)


def _to_consumer(lab: Lab, label: str, system: System) -> Latency:
    return _measured(lab, label, lambda: to_kafka(system, lab.shop, lab.sizes))


def to_views(lab: Lab) -> Iterator[Figure]:
    """Commit → the row is in a view, through Kafka and through the embedded log."""
    seconds = lab.sizes.view_latency_seconds
    sizes = replace(lab.sizes, latency_seconds=seconds)
    peak = 0
    for target in (lab.kafka, lab.embedded):
        label = f"commit to view, {target.label.removeprefix('the ')}"
        found = _measured(
            lab,
            label,
            lambda: to_view(lab.folder, target, lab.address, lab.shop, sizes),  # noqa: B023
        )
        peak = max(peak, found.taken.peak_rss_bytes)
        yield from _figures(lab, label, [found], TO_VIEW, seconds)
    yield Figure("all stages in one process, peak memory", peak / MB, "MB", "RSS, the views' runs")


def _measured(lab: Lab, label: str, measure: Callable[[], Latency]) -> Latency:
    tell(f"{label}: {lab.sizes.commits_per_second} commits/s")
    found = measure()
    lab.accept(label, found.verdict)
    return found


def _figures(
    lab: Lab, label: str, found: Sequence[Latency], what: str, seconds: int
) -> Iterator[Figure]:
    peak = max(one.taken.peak_rss_bytes for one in found) / MB
    setup = (
        f"{lab.sizes.commits_per_second} commits/s for {seconds} s, {what}; from the commit's"
        f" return; the commit itself took {mean(one.commit_p50 for one in found):.2f} ms (p50);"
        f" at most {max(one.most for one in found):.1f} ms; peak RSS {peak:.0f} MB"
    )
    yield from repeated(f"{label}, p50", [one.p50 for one in found], "ms", setup)
    yield from repeated(f"{label}, p99", [one.p99 for one in found], "ms", setup)
