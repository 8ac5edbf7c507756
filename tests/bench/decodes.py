"""Decoding alone: ours from files, mysql-replication from the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from cdc.services.progress import tell
from tests.bench import mysql_replication
from tests.bench.decode import Decoding, decode
from tests.bench.drains import Load
from tests.bench.figures import Figure, repeated
from tests.bench.goals import AGAINST_REFERENCE
from tests.bench.lab import Lab


def decoded(lab: Lab, load: Load, rowless: Path) -> Iterator[Figure]:
    """`cdc decode --format none` over the stretch's files."""
    stretch, name = load.stretch, _short(load)
    label = f"decode only, {name}"
    tell(label)
    copies = -(-lab.sizes.decoded_rows_min // stretch.changes)
    files = lab.files(stretch.files) * copies
    runs: list[Decoding] = []
    for _ in range(lab.sizes.repeats):
        runs.append(decode(lab.folder, files, rowless, stretch.changes * copies))
        lab.accept(label, runs[-1].verdict)
    lab.rates[label] = mean(run.per_second for run in runs)
    start_seconds = mean(run.start_seconds for run in runs)
    yield from repeated(
        label,
        [run.per_second for run in runs],
        "rows/s",
        f"cdc decode --format none over the files {copies} times, less its start of"
        f" {start_seconds:.2f} s; {load.setup}",
    )


def referenced(lab: Lab, load: Load) -> Iterator[Figure]:
    """The reference reader over the same, and how many times as fast ours delivers."""
    reader = mysql_replication.LABEL
    tell(f"{reader}, {_short(load)}")
    rows = min(lab.sizes.peer_rows, load.stretch.changes)
    rates = [
        mysql_replication.rows_per_second(lab.address, load.stretch, rows)
        for _ in range(lab.sizes.repeats)
    ]
    setup = f"decodes the first {rows:,} of the same, from the server, without a destination"
    yield from repeated(f"{reader}, {_short(load)}", rates, "rows/s", setup)
    delivered, decoding = f"{load.name} into Kafka", f"decode only, {_short(load)}"
    for label in (delivered, decoding):
        ratio = lab.rates[label] / max(rates)
        setup = f"our mean against its best, {max(rates):,.0f} rows/s"
        yield Figure(f"{label}, {AGAINST_REFERENCE}", ratio, "times", setup)


def _short(load: Load) -> str:
    return load.name.removesuffix(" drain")
