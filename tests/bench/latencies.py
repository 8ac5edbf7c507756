"""The latencies: to a consumer of Kafka, and to a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cdc.services.progress import tell
from tests.bench.debezium import LABEL
from tests.bench.figures import Figure
from tests.bench.lab import MB, Lab
from tests.bench.latency import Latency, to_kafka, to_view

TO_CONSUMER = "visible to a read-committed consumer, capture alone"
TO_VIEW = "row visible in the view's SQLite table, all stages in one process"


def to_consumers(lab: Lab) -> Iterator[Figure]:
    """Commit → a consumer has it: ours in both ways of delivery, and Debezium."""
    at_least_once = lab.capture(sections={"delivery": "at_least_once"})
    loose = f"{TO_CONSUMER}, at least once"
    ours = (
        ("commit to Kafka", lab.capture(), f"{TO_CONSUMER}, exactly once"),
        ("commit to Kafka, at least once", at_least_once, loose),
    )
    for label, system, what in ours:
        found = _measured(lab, label, lambda: to_kafka(system, lab.shop, lab.sizes))  # noqa: B023
        lab.note_rss([found.taken.peak_rss_bytes])
        yield from _figures(lab, label, found, what, lab.sizes.latency_seconds)
    peer = lab.debezium()
    if peer is not None:
        label = f"commit to Kafka, {LABEL}"
        found = _measured(lab, label, lambda: to_kafka(peer, lab.shop, lab.sizes))
        what = f"{TO_CONSUMER}, at least once, warm"
        yield from _figures(lab, label, found, what, lab.sizes.latency_seconds)


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
        yield from _figures(lab, label, found, TO_VIEW, seconds)
    yield Figure("all stages in one process, peak memory", peak / MB, "MB", "RSS, the views' runs")


def _measured(lab: Lab, label: str, measure: Callable[[], Latency]) -> Latency:
    tell(f"{label}: {lab.sizes.commits_per_second} commits/s")
    found = measure()
    lab.accept(label, found.verdict)
    return found


def _figures(lab: Lab, label: str, found: Latency, what: str, seconds: int) -> Iterator[Figure]:
    setup = (
        f"{lab.sizes.commits_per_second} commits/s for {seconds} s, {what}; from the commit's"
        f" return; the commit itself took {found.commit_p50:.2f} ms (p50); at most"
        f" {found.most:.1f} ms; peak RSS {found.taken.peak_rss_bytes / MB:.0f} MB"
    )
    yield Figure(f"{label}, p50", found.p50, "ms", setup)
    yield Figure(f"{label}, p99", found.p99, "ms", setup)
