"""The translator: its consumer group in unrest."""

from __future__ import annotations

import time
from random import Random

from confluent_kafka import Consumer

from tests.bench.running import taken
from tests.faults.cases import Cases
from tests.faults.decoding import LEDGER
from tests.faults.outsider import Outsider
from tests.faults.rig import Rig, checked, new_rig
from tests.faults.stand import Stand
from tests.faults.striking import Outcome, Run

CASES = Cases("translate")

STRANGERS = 20
STAY_SECONDS = 1.0
STAGES = ("capture", "translate")


@CASES(
    f"{STRANGERS} strangers that join its consumer group and leave it, one each second",
    "reads on what it still has; begins again at the group's offsets with what comes back",
)
def strangers(stand: Stand, seed: int) -> Outcome:
    with stand.database() as database:
        rig = new_rig(
            stand.new_folder(),
            database,
            seed,
            pause_seconds=0.05,
            rows_max=500,
            stages=STAGES,
            **stand.over_kafka,
        )
        with (
            Outsider(rig.config, rig.ledger_topic("translate")) as outsider,
            rig.workload,
            rig.running("capture"),
            rig.running("translate") as child,
        ):
            run = Run(rig, outsider, Random(seed))
            run.moved(child)
            for _ in range(STRANGERS):
                come_and_go(rig, stand.kafka.url)
                run.outcome.strikes += 1
            run.outcome.recoveries.append(run.moved(child))
            run.outcome.rss_bytes = taken(child.process.pid).peak_rss_bytes
            assert child.stop() == 0, child.said
        rig.drain()
        run.outcome.report = checked(rig)
        return run.outcome


def come_and_go(rig: Rig, address: str) -> None:
    """A member of the translator's group that takes partitions, reads, and commits nothing."""
    tables = [LEDGER, *(one.name for one in rig.workload.tables)]
    stranger = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"{rig.config.connector}.translate",
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
        }
    )
    stranger.subscribe([f"{rig.config.connector}.{rig.database.name}.{one}" for one in tables])
    until = time.monotonic() + STAY_SECONDS
    while (left := until - time.monotonic()) > 0:
        stranger.poll(left)
    stranger.close()
