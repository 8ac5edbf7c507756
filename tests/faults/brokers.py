"""Kafka as the log: killed, paused, out of disk, without a leader; topics that change."""

from __future__ import annotations

import time
from contextlib import closing

from confluent_kafka.admin import AdminClient, NewPartitions

from cdc.services import kafka
from cdc.wiring.ends import open_log
from tests.bench.servers import ended
from tests.connectors import Section, wait_until
from tests.faults.cases import Cases
from tests.faults.network import WAITS, by_source_proxy
from tests.faults.rig import SPREAD, over_kafka
from tests.faults.stand import BROKERS, Stand
from tests.faults.striking import Outcome, Run, Setting, change, under_load
from tests.faults.tmpfs import fill, free, tmpfs
from tests.proxy import Proxy

CASES = Cases("kafka")

AWAY_SECONDS = (0, 1, 3, 10)
TRANSACTION_SECONDS = 4
DISK_MB = 64
PAUSE_SECONDS = 0.2
"""Between transactions of the load, where a broker takes its time to start."""
PARTITIONS_LATER = 5


@CASES(
    "broker killed, started again after 0, 1, 3, 10 s",
    "waits for it; aborts the open Kafka transaction, or learns that it was committed; ends what"
    " the broker forgot to end",
)
def broker_killed(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            for seconds in AWAY_SECONDS:
                stand.kafka.kill()
                time.sleep(seconds)
                stand.kafka.restart()
                run.struck(child)

    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"limits": WAITS}, pause_seconds=PAUSE_SECONDS)
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "broker stopped in order and started again",
    "waits for it",
)
def broker_restarted(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            stand.kafka.restart()
            run.struck(child)

    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"limits": WAITS}, pause_seconds=PAUSE_SECONDS)
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "broker paused for 2 s, and for longer than the transaction's timeout",
    "waits; a transaction that timed out is lost as a whole and read anew",
)
def broker_paused(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            for seconds in (2, 3 * TRANSACTION_SECONDS, 3 * TRANSACTION_SECONDS):
                stand.kafka.pause()
                time.sleep(seconds)
                stand.kafka.resume()
                run.struck(child)

    with stand.database() as database:
        options = {"transaction.timeout.ms": TRANSACTION_SECONDS * 1000}
        log: Section = {**stand.over_kafka["log"], "options": options}
        setting = Setting(stand.over_kafka, {"log": log, "limits": WAITS})
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "broker's disk full, which ends it; freed, and the broker started again",
    "waits for the broker",
)
def broker_disk_full(stand: Stand, seed: int) -> Outcome:
    folder = stand.folder / "small"
    with tmpfs(folder / "data", DISK_MB) as disk:
        node = kafka.Node(lambda usual: usual | {"log.index.size.max.bytes": "65536"}, "-Xmx256m")
        with ended(kafka.start(folder, node), folder) as broker, stand.database() as database:

            def script(run: Run) -> None:
                with run.capturing() as child:
                    fill(disk)
                    while broker.is_running():
                        time.sleep(0.1)
                    free(disk)
                    broker.restart()
                    run.struck(child)

            setting = Setting(
                over_kafka(broker.url), {"limits": WAITS}, pause_seconds=PAUSE_SECONDS
            )
            return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "each of three brokers killed in turn: leaders and coordinators move",
    "goes on with the new leaders; every record waits for two copies",
)
def leaders_lost(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        with run.capturing() as child:
            for broker in stand.brokers:
                broker.kill()
                run.struck(child)
                broker.restart()
                run.moved(child)

    everywhere = ",".join(broker.url for broker in stand.brokers)
    topics: Section = {
        part: {**section, "replication": BROKERS} for part, section in SPREAD.items()
    }
    with stand.database() as database:
        setting = Setting(
            {**over_kafka(everywhere), "topics": topics},
            {"limits": WAITS},
            pause_seconds=PAUSE_SECONDS,
        )
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "partitions added to a topic; the new number set in `topics.overrides`",
    "goes on with those that it knows; ends at its next start, names the topic and both numbers",
)
def partitions_added(stand: Stand, seed: int) -> Outcome:
    def script(run: Run) -> None:
        topic = run.topic("ledger")
        with run.capturing() as child:
            admin = AdminClient({"bootstrap.servers": stand.kafka.url})
            admin.create_partitions([NewPartitions(topic, PARTITIONS_LATER)])[topic].result()
            run.struck(child)
            assert child.stop() == 0, child.said
        with run.capturing(is_moving=False) as child:
            run.ended(child, f"topic {topic} has {PARTITIONS_LATER} partitions")
        overrides = [{"topics": topic, "partitions": PARTITIONS_LATER}]
        change(run.rig, "topics", overrides=overrides)
        with run.capturing(is_moving=False) as child:
            run.struck(child)

    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"limits": WAITS}, pause_seconds=PAUSE_SECONDS)
        return under_load(stand.new_folder(), database, setting, script, seed)


@CASES(
    "a topic deleted in mid-stream, made anew by the broker with one partition; deleted again",
    "ends, names the topic; makes it as it was when started again; what it held is gone",
)
def topic_deleted(stand: Stand, seed: int) -> Outcome:
    def script(run: Run, proxy: Proxy) -> None:
        topic = run.topic("w0_0")
        with run.capturing() as child:
            proxy.stall()
            run.settled()
            with closing(open_log(run.rig.config)) as log:
                run.gone += log.follow(topic, {}, wait_seconds=0)
            delete(stand, topic)
            proxy.resume()
            run.outcome.strikes += 1
            run.ended(child, topic)
        delete(stand, topic)
        with run.capturing(is_moving=False) as child:
            run.struck(child)

    setting = Setting(stand.over_kafka, {"source": {"heartbeat_seconds": 60}}, ddl_chance=0.0)
    with stand.database() as database:
        return by_source_proxy(stand.new_folder(), database, setting, script, seed)


def delete(stand: Stand, topic: str) -> None:
    """The topic, and wait until it is gone."""
    admin = AdminClient({"bootstrap.servers": stand.kafka.url})
    if topic in admin.list_topics(timeout=30).topics:
        admin.delete_topics([topic])[topic].result()
    wait_until(lambda: topic not in admin.list_topics(timeout=30).topics, f"{topic} is still there")
