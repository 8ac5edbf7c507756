"""From a commit in MySQL to what a reader sees, at a steady rate."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles

from cdc.services import DatabaseAddress
from tests.bench.command import connector
from tests.bench.orders import Orders
from tests.bench.paced import Commit, paced_commits
from tests.bench.place import Place
from tests.bench.reading import NOT_THERE_YET, KafkaTopic, Raw
from tests.bench.running import System, Taken, taken
from tests.bench.shop import Shop
from tests.bench.sizes import Sizes
from tests.bench.targets import Target
from tests.bench.verify import Verdict, verify
from tests.bench.view import VIEW, sections, view_file, write_schema

LATE_SECONDS_MAX = 30.0
"""How long after the last commit the rest is waited for."""
LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the return of a commit to its visibility."""

    verdict: Verdict
    p50: float
    p99: float
    most: float
    commit_p50: float
    """What the commit itself took."""
    taken: Taken


Arrivals = dict[int, float]
"""Order → when it was first seen."""


def to_kafka(system: System, shop: Shop, sizes: Sizes) -> Latency:
    """Commit → a consumer has the change."""
    orders = Orders()
    place = shop.create(f"paced_{secrets.token_hex(3)}", orders)
    count = _commits(sizes)
    run = system.start(place)
    try:
        topic = run.topic
        assert isinstance(topic, KafkaTopic)
        run.wait_streaming()
        topic.assign(0)
        with _paced(shop, place, sizes) as paced:
            seen = list(_seen(topic, count, paced))
            commits = paced.result()
        used = run.taken()
        run.stop()
        changes = [run.decoder.change(record) for _, record in seen]
    finally:
        run.close()
    digest = shop.digest(place.table, orders)
    verdict = verify(changes, orders=count, digest=digest)
    arrivals = {each.key: when for each, (when, _) in zip(changes, seen, strict=True)}
    return _latency(verdict, commits, arrivals, sizes, used)


def _seen(
    topic: KafkaTopic, count: int, paced: Future[list[Commit]]
) -> Iterator[tuple[float, Raw]]:
    """What the consumer gets, and when."""
    for is_late in _until_late(paced):
        message = topic.consumer.poll(0.1)
        now = time.monotonic()
        if message is None:
            if is_late:
                return
            continue
        error = message.error()
        if error is not None and error.code() in NOT_THERE_YET:
            continue
        yield now, topic.raw(message)
        count -= 1
        if not count:
            return


def to_view(
    folder: Path, target: Target, address: DatabaseAddress, shop: Shop, sizes: Sizes
) -> Latency:
    """All stages in one process: commit → the row is in the view's SQLite table."""
    place = shop.create(f"viewed_{secrets.token_hex(3)}", Orders())
    made = connector(folder, target, address, place, sections(place.full_name), {})
    write_schema(made.project)
    count = _commits(sizes)
    arrivals: Arrivals = {}
    with made.running() as child:
        child.wait_running(3)
        with (
            closing(sqlite3.connect(view_file(made.project))) as view,
            _paced(shop, place, sizes) as paced,
        ):
            last = 0
            for is_late in _until_late(paced):
                # Orders are made in order, and views apply a partition in order.
                query = f"SELECT order_id FROM {VIEW} WHERE order_id > ? ORDER BY order_id"
                found = view.execute(query, (last,)).fetchall()
                now = time.monotonic()
                arrivals.update((number, now) for (number,) in found)
                last = max(arrivals, default=0)
                if len(arrivals) == count or (is_late and not found):
                    break
                time.sleep(LOOK_SECONDS)
            commits = paced.result()
            ((rows, total),) = view.execute(f"SELECT COUNT(*), SUM(order_id) FROM {VIEW}")
        used = taken(child.process.pid)
    wanted = count, count * (count + 1) // 2
    faults = () if (rows, total) == wanted else (f"the view holds {rows, total}, not {wanted}",)
    shutil.rmtree(made.folder)
    return _latency(Verdict(rows, faults), commits, arrivals, sizes, used)


def _commits(sizes: Sizes) -> int:
    return sizes.commits_per_second * (sizes.warm_up_seconds + sizes.latency_seconds)


@contextmanager
def _paced(shop: Shop, place: Place, sizes: Sizes) -> Iterator[Future[list[Commit]]]:
    """Commits by a process of its own, so that it and the reader don't wait for one another."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        arguments = (
            shop.address,
            place.database,
            place.table,
            _commits(sizes),
            sizes.commits_per_second,
        )
        yield pool.submit(paced_commits, *arguments)


def _until_late(paced: Future[list[Commit]]) -> Iterator[bool]:
    """Whether the last commit was too long ago, each time that it is asked."""
    done: float | None = None
    while True:
        if done is None and paced.done():
            done = time.monotonic()
        yield done is not None and time.monotonic() - done > LATE_SECONDS_MAX


def _latency(
    verdict: Verdict, commits: Sequence[Commit], arrivals: Arrivals, sizes: Sizes, used: Taken
) -> Latency:
    counted = commits[sizes.commits_per_second * sizes.warm_up_seconds :]
    waits = [arrivals[one.number] - one.returned for one in counted if one.number in arrivals]
    took = [one.returned - one.sent for one in counted]
    at = _percentiles(waits)
    return Latency(verdict, at(50), at(99), 1000 * max(waits), _percentiles(took)(50), used)


def _percentiles(seconds: Sequence[float]) -> Callable[[int], float]:
    """Milliseconds at a percentile."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return lambda percent: 1000 * cuts[percent - 1]
