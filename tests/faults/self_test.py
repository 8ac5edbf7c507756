"""The checker's own test: a good run is found good, and each damage to it is found."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cdc.services import MySQLServer, mysql
from tests.faults.checker import check
from tests.faults.decoding import Decoder
from tests.faults.evidence import Evidence
from tests.faults.mutations import MUTATIONS, Mutator
from tests.faults.report import lines
from tests.faults.rig import EMBEDDED, STAGES, new_rig
from tests.services_plugin import FreshDatabase, fresh_database

WRITES_SECONDS = 0.5
COMPRESSED_SHARE = 0.8


@dataclass(frozen=True)
class Result:
    """How often each damage was done, and where it was not found."""

    places: int
    missed: dict[str, list[int]]
    """Damage → seeds."""

    @property
    def is_right(self) -> bool:
        return not any(self.missed.values())


def good_run(
    folder: Path, database: FreshDatabase, seed: int, compressed_share: float = 0.0
) -> Evidence:
    """A small real run into the embedded log."""
    rig = new_rig(
        folder, database, seed, pause_seconds=0.03, rows_max=60, stages=STAGES[:2], **EMBEDDED
    )
    rig.workload.compressed_share = compressed_share
    with rig.workload, rig.running() as child:
        child.wait_running(2)
        time.sleep(WRITES_SECONDS)
    rig.note_restart()
    rig.drain()
    return rig.evidence()


def damage(evidence: Evidence, seed: int, places: int) -> Result:
    """Each damage at so many places, each checked on its own."""
    decoder = Decoder(evidence, known={})
    report = check(evidence, decoder=decoder)
    assert report.is_right, f"the run is not good:\n{report}"
    missed: dict[str, list[int]] = {name: [] for name in MUTATIONS}
    run = Mutator(evidence)
    for name, mutation in MUTATIONS.items():
        for place in range(places):
            run.dice = Random(f"{seed}/{name}/{place}")
            if check(run.damaged(mutation), decoder=decoder).is_right:
                missed[name].append(place)
    return Result(places, missed)


def self_test(seed: int | None, places: int, *, is_json: bool) -> int:
    """Starts a MySQL, makes good runs, one of compressed transactions, damages them; exit code 1
    if a damage isn't found."""
    seed = time.time_ns() % 10**9 if seed is None else seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = mysql.find(folder / "mysql")
        try:
            runs = [
                _run(folder / str(share), server, seed, share) for share in (0.0, COMPRESSED_SHARE)
            ]
        finally:
            server.stop()
    results = [damage(evidence, seed, places) for evidence in runs]
    for evidence, result in zip(runs, results, strict=True):
        caught = {name: places - len(missed) for name, missed in result.missed.items()}
        sizes = {"records": len(evidence.messages), "compressed": len(evidence.payloads)}
        figures = {"seed": seed, **sizes, "places": places, **caught}
        print(json.dumps(figures) if is_json else "\n".join(lines(figures.items())))
        for name, missed in result.missed.items():
            if missed:
                sys.stderr.write(f"{name}: not found at {missed}\n")
    return 0 if all(one.is_right for one in results) else 1


def _run(folder: Path, server: MySQLServer, seed: int, compressed_share: float) -> Evidence:
    folder.mkdir()
    with fresh_database(server) as database:
        return good_run(folder, database, seed, compressed_share)
