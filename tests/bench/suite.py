"""All measures, one after the other: what is run, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from cdc.services import DatabaseAddress
from cdc.services.progress import tell
from tests.bench import binlog_copy, mysql_replication
from tests.bench.decode import Decoding, decode
from tests.bench.drain import Drain, drain
from tests.bench.latency import Latency, to_kafka, to_view
from tests.bench.orders import Shop, Stretch
from tests.bench.report import Figure
from tests.bench.servers import Servers, fresh_shop
from tests.bench.sizes import Sizes
from tests.bench.targets import EmbeddedTarget, KafkaTarget, Target
from tests.bench.verify import Verdict

MIB = 2**20
START_ROWS = 100
"""Rows that wait in the binlog when the start of `cdc run` is measured."""


class Wrong(Exception):
    """What arrived is not what was written; there is no figure for that."""


@dataclass
class Suite:
    """The measures over one set of servers."""

    sizes: Sizes
    folder: Path
    address: DatabaseAddress
    shop: Shop
    kafka: KafkaTarget
    _peak_rss_bytes: int = 0
    _embedded: EmbeddedTarget = field(default_factory=EmbeddedTarget)

    def figures(self) -> Iterator[Figure]:
        """Each figure as soon as it is known."""
        sizes = self.sizes
        tell(f"writing {sizes.rows:,} rows, and {sizes.transactions:,} one-row transactions")
        bulk = self.shop.bulk(sizes.rows, sizes.rows_per_transaction)
        singles = self.shop.singles(sizes.orders_in_transactions)
        few = self.shop.bulk(START_ROWS, START_ROWS, "few_orders")
        rowless = self._files((self.shop.rowless_file(),))[0]
        bulk_text = (
            f"{bulk.changes:,} inserted rows of 11 columns,"
            f" transactions of {sizes.rows_per_transaction:,}"
        )
        single_text = f"{singles.changes:,} one-row transactions: insert, update, update"
        targets: tuple[Target, ...] = (self.kafka, self._embedded)
        for target in targets:
            yield from self._drained("bulk drain", target, bulk, "rows/s", bulk_text)
        for target in targets:
            name = "one-row transactions"
            yield from self._drained(name, target, singles, "transactions/s", single_text)
        yield from self._decoded("bulk", bulk, rowless, bulk_text)
        yield from self._decoded("one-row transactions", singles, rowless, single_text)
        yield from self._peer("bulk", bulk)
        yield from self._peer("one-row transactions", singles)
        yield from self._latencies()
        yield from self._start(few)
        yield Figure(
            "connector's peak memory", self._peak_rss_bytes / MIB, "MiB", "RSS, the most of all"
        )

    def _drained(
        self, name: str, target: Target, stretch: Stretch, unit: str, setup: str
    ) -> Iterator[Figure]:
        label = f"{name} into {target.label}"
        runs: list[Drain] = []
        for number in range(1, self.sizes.repeats + 1):
            tell(f"{label}, {number} of {self.sizes.repeats}")
            runs.append(drain(self.folder, target, self.address, stretch))
            self._accept(label, runs[-1].verdict)
        peak = self._note_rss([run.taken.peak_rss_bytes for run in runs])
        yield from repeated(label, [run.per_second for run in runs], unit, setup)
        about = f"the drain of {stretch.changes:,} changes"
        yield Figure(f"{label}, CPU", mean(r.taken.cpu_seconds for r in runs), "s", about)
        yield Figure(f"{label}, peak memory", peak / MIB, "MiB", f"RSS, {about}")

    def _decoded(self, name: str, stretch: Stretch, rowless: Path, setup: str) -> Iterator[Figure]:
        label = f"decode only, {name}"
        tell(label)
        copies = -(-self.sizes.decoded_rows_min // stretch.changes)
        files = self._files(stretch.files) * copies
        runs: list[Decoding] = []
        for _ in range(self.sizes.repeats):
            runs.append(decode(self.folder, files, rowless, stretch.changes * copies))
            self._accept(label, runs[-1].verdict)
        start_seconds = mean(run.start_seconds for run in runs)
        yield from repeated(
            label,
            [run.per_second for run in runs],
            "rows/s",
            f"cdc decode --format none over the files {copies} times, less its start of"
            f" {start_seconds:.2f} s; {setup}",
        )

    def _peer(self, name: str, stretch: Stretch) -> Iterator[Figure]:
        tell(f"{mysql_replication.LABEL}, {name}")
        rows = min(self.sizes.peer_rows, stretch.changes)
        rate = mysql_replication.rows_per_second(self.address, stretch, rows)
        setup = f"decodes the first {rows:,} of the same, from the server, without a destination"
        yield Figure(f"{mysql_replication.LABEL}, {name}", rate, "rows/s", setup)

    def _latencies(self) -> Iterator[Figure]:
        sizes = self.sizes
        pace = f"{sizes.commits_per_second} commits/s for {sizes.latency_seconds} s"
        measures: Sequence[tuple[str, str, Callable[[], Latency]]] = (
            (
                "commit to Kafka",
                "visible to a read-committed consumer, capture alone",
                lambda: to_kafka(self.folder, self.kafka, self.address, self.shop, sizes),
            ),
            (
                "commit to view, Kafka",
                "row visible in the view's SQLite table, all stages in one process",
                lambda: to_view(self.folder, self.kafka, self.address, self.shop, sizes),
            ),
            (
                "commit to view, embedded log",
                "row visible in the view's SQLite table, all stages in one process",
                lambda: to_view(self.folder, self._embedded, self.address, self.shop, sizes),
            ),
        )
        for label, what, measure in measures:
            tell(f"{label}: {pace}")
            found = measure()
            self._accept(label, found.verdict)
            peak = self._note_rss([found.taken.peak_rss_bytes])
            setup = (
                f"{pace}, {what}; from the commit's return; the commit itself took"
                f" {found.commit_p50:.2f} ms (p50); at most {found.most:.1f} ms;"
                f" peak RSS {peak / MIB:.0f} MiB"
            )
            yield Figure(f"{label}, p50", found.p50, "ms", setup)
            yield Figure(f"{label}, p99", found.p99, "ms", setup)

    def _start(self, stretch: Stretch) -> Iterator[Figure]:
        label = "start of cdc run to first event in Kafka"
        starts: list[float] = []
        for number in range(1, self.sizes.starts + 1):
            tell(f"{label}, {number} of {self.sizes.starts}")
            run = drain(self.folder, self.kafka, self.address, stretch)
            self._accept(label, run.verdict)
            starts.append(run.first_seconds)
        setup = (
            f"median of {len(starts)} first starts, each makes its topics and registers its"
            f" schemas; {min(starts):.2f} to {max(starts):.2f} s"
        )
        yield Figure(label, median(starts), "s", setup)

    def _files(self, names: Sequence[str]) -> list[Path]:
        return binlog_copy.copy(self.shop.address, names, self.folder / "binlogs")

    def _accept(self, label: str, verdict: Verdict) -> None:
        if not verdict.is_right:
            raise Wrong(f"{label}: " + "; ".join(verdict.faults))

    def _note_rss(self, peaks: Sequence[int]) -> int:
        self._peak_rss_bytes = max(self._peak_rss_bytes, *peaks)
        return max(peaks)


def repeated(label: str, values: Sequence[float], unit: str, setup: str) -> Iterator[Figure]:
    """The mean of the repeats, and how far they lie apart: the noise of this machine."""
    yield Figure(label, mean(values), unit, f"mean of {len(values)} runs; {setup}")
    if len(values) > 1:
        apart = 100 * (max(values) - min(values)) / mean(values)
        listed = " and ".join(f"{value:,.0f}" for value in values)
        yield Figure(f"{label}, A/A spread", apart, "%", f"the same again: {listed} {unit}")


def measured(servers: Servers, sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """All figures, over servers that answer; what was made on them is removed afterwards."""
    kafka = KafkaTarget(servers.kafka_address, servers.registry_url)
    with fresh_shop(servers.mysql) as (database, address):
        shop = Shop(servers.mysql.address, database)
        try:
            yield from Suite(sizes, folder, address, shop, kafka).figures()
        finally:
            shop.close()
