"""All measures, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cdc.services.progress import tell
from tests.bench import decodes, drains, latencies
from tests.bench.bare import bare
from tests.bench.connect import worker
from tests.bench.debezium import FOR_LARGE_ROWS, HEAP
from tests.bench.drains import Load
from tests.bench.figures import Figure
from tests.bench.lab import Lab
from tests.bench.orders import Orders
from tests.bench.payloads import LARGE_BYTES, Blobs, Documents, Texts
from tests.bench.place import Stretch
from tests.bench.plain import plain_form
from tests.bench.servers import Servers, fresh_shop
from tests.bench.shop import Shop
from tests.bench.sizes import Sizes
from tests.bench.targets import KafkaTarget
from tests.bench.wide import Wide

START_ROWS = 100
"""Rows that wait in the binlog when the start of `cdc run` is measured."""


@dataclass(frozen=True, slots=True)
class Loads:
    """All that is drained, written before anything is measured."""

    bulk: Load
    singles: Load
    others: tuple[Load, ...]
    giant: Stretch
    plain: Stretch
    few: Stretch
    rowless: Path


def written(lab: Lab) -> Loads:
    """The tables, filled."""
    sizes, shop = lab.sizes, lab.shop
    tell(f"writing {sizes.rows:,} rows, {sizes.transactions:,} one-row transactions, and the rest")
    per = sizes.rows_per_transaction
    large = sizes.large_rows_per_transaction
    bulk = shop.bulk("orders", Orders(), sizes.rows, per)
    singles = shop.singles("single_orders", sizes.orders_in_transactions)
    updates = shop.updates("updated_orders", sizes.updates, per)
    wide = shop.bulk("wide", Wide(), sizes.wide_rows, per)
    texts = shop.bulk("texts", Texts(), sizes.text_rows, per)
    documents = shop.bulk("documents", Documents(), sizes.large_rows, large)
    blobs = shop.bulk("blobs", Blobs(), sizes.large_rows, large)
    copies = -(-sizes.giant_bytes // (sizes.large_rows * LARGE_BYTES))
    rows = f"transactions of {per:,}"
    full = f"{updates.changes:,} updates of 11 columns, images of before and after in full, {rows}"
    many = f"{large} a transaction"
    return Loads(
        bulk=_rows("bulk drain", bulk, f"{bulk.changes:,} inserted rows of 11 columns, {rows}"),
        singles=Load(
            "one-row transactions",
            singles,
            "transactions/s",
            f"{singles.changes:,} one-row transactions: insert, update, update",
        ),
        others=(
            _rows("updates", updates, full),
            _rows("rows of 60 columns", wide, f"{wide.changes:,} inserted rows, {rows}"),
            _rows("rows of 600 bytes", texts, f"{texts.changes:,} inserted rows, {rows}"),
            _large("JSON of 20 kB", documents, f"{documents.changes:,} inserted rows, {many}"),
            _large("BLOB of 20 kB", blobs, f"{blobs.changes:,} inserted rows, {many}"),
        ),
        giant=shop.giant("giant", "blobs", sizes.large_rows, copies),
        plain=shop.bulk("plain_orders", Orders(), sizes.plain_rows, per),
        few=shop.bulk("few_orders", Orders(), START_ROWS, START_ROWS),
        rowless=lab.files((shop.rowless_file(),))[0],
    )


def figures(lab: Lab) -> Iterator[Figure]:
    """Each figure as soon as it is known."""
    loads = written(lab)
    # A broker that has just started compiles its own hot path first: these runs aren't counted.
    for load in (loads.bulk, loads.singles):
        for _ in drains.drained(lab, load, lab.kafka):
            pass
    for load in (loads.bulk, loads.singles):
        yield from drains.drained(lab, load, lab.kafka)
        yield from drains.without_transactions(lab, load)
        yield from drains.beside(lab, load)
    yield from drains.with_small_heap(lab, loads.bulk)
    for load in (loads.bulk, loads.singles):
        yield from drains.drained(lab, load, lab.embedded)
        yield from decodes.decoded(lab, load, loads.rowless)
        yield from decodes.referenced(lab, load)
    for load in loads.others:
        yield from drains.drained(lab, load, lab.kafka)
        yield from drains.beside(lab, load)
    for name, rows in (("JSON of 20 kB", Documents()), ("BLOB of 20 kB", Blobs())):
        yield from bare(lab, name, rows, lab.sizes.large_rows)
    yield from drains.giant(lab, loads.giant)
    yield from latencies.to_consumers(lab)
    yield from latencies.to_views(lab)
    yield from drains.start(lab, loads.few, "all that the latency measures wrote behind it")
    new = lab.shop.bulk("new_orders", Orders(), START_ROWS, START_ROWS)
    yield from drains.start(lab, new)
    variables = plain_form(lab.folder / "plain")
    setup = f"{loads.plain.changes:,} inserted rows of 11 columns"
    yield Figure("capture's peak memory", lab.peak_rss, "MB", "RSS, the most of all runs above")
    yield from drains.plain(lab, loads.plain, variables, setup)


def measured(
    servers: Servers, sizes: Sizes, folder: Path, *, with_peers: bool = False
) -> Iterator[Figure]:
    """All figures, over servers that answer; what was made on them is removed afterwards."""
    kafka = KafkaTarget(servers.kafka_address, servers.registry_url)
    with ExitStack() as held:
        database, address = held.enter_context(fresh_shop(servers.mysql))
        peer = None
        if with_peers:
            peer = held.enter_context(worker(folder / "connect", servers.kafka_address, HEAP))
            peer.freeze()
        shop = Shop(servers.mysql.address, database)
        held.callback(shop.close)
        yield from figures(Lab(sizes, folder, address, shop, kafka, peer))


def _rows(name: str, stretch: Stretch, setup: str) -> Load:
    return Load(name, stretch, "rows/s", setup)


def _large(name: str, stretch: Stretch, setup: str) -> Load:
    return Load(name, stretch, "rows/s", setup, FOR_LARGE_ROWS)
