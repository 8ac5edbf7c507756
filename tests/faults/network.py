"""The network between the connector and its servers: cut, stalled, half-open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.connectors import Section, kafka_log, wait_until
from tests.faults.cases import Cases
from tests.faults.namespace import OUTSIDE, namespace
from tests.faults.rig import over_kafka
from tests.faults.stand import Stand, proxied_kafka
from tests.faults.striking import Outcome, Run, Setting, under_load
from tests.proxy import BOTH, AfterBytes, Direction, InEvent, Inside, Proxy
from tests.services_plugin import FreshDatabase

CASES = Cases("network")
Script = Callable[[Run, Proxy], None]

ROWS_EVENTS = frozenset({30, 31, 32, 39})
PLACES: tuple[Inside, ...] = ("packet header", "event header", "event")
CUTS_EACH = 3
RANDOM_CUTS = 15
CUT_BYTES_MAX = 60_000
STALLED_SECONDS = 6.0
"""Longer than the silence after which a link counts as dead."""
PARTITIONED_SECONDS = 12.0
LINKS: tuple[tuple[Direction, ...], ...] = (BOTH, ("to_client",), ("to_server",))
WAITS: Section = {"retry_wait_seconds_max": 1}


def by_source_proxy(
    folder: Path,
    database: FreshDatabase,
    setting: Setting,
    script: Script,
    seed: int,
) -> Outcome:
    """The script over a connector that reaches the source through a proxy, without TLS."""
    address = database.server.address
    with Proxy(address.host, address.port) as proxy:
        own: dict[str, Section] = {
            "source": {
                "port": proxy.port,
                "tls": {"mode": "disabled"},
                "connect_timeout_seconds": 2,
            },
            "limits": WAITS,
        }
        for name, section in setting.own.items():
            own[name] = {**own.get(name, {}), **section}
        setting = replace(setting, own=own)
        return under_load(folder, database, setting, lambda run: script(run, proxy), seed)


def to_kafka_by_source_proxy(stand: Stand, script: Script, seed: int) -> Outcome:
    """The same into Kafka."""
    with stand.database() as database:
        setting = Setting(stand.over_kafka)
        return by_source_proxy(stand.new_folder(), database, setting, script, seed)


def by_broker_proxy(stand: Stand, script: Script, seed: int) -> Outcome:
    """The script over a connector that reaches the broker through a proxy."""
    with stand.database() as database:
        setting = Setting(stand.over_kafka, {"log": stand.by_kafka_proxy, "limits": WAITS})
        proxy = stand.kafka_proxy
        return under_load(
            stand.new_folder(), database, setting, lambda run: script(run, proxy), seed
        )


@CASES(
    "source link reset inside a packet header, an event header, a rows event",
    "drops the partial event, connects anew, goes on after the last checkpoint",
)
def source_cut_inside(stand: Stand, seed: int) -> Outcome:
    return to_kafka_by_source_proxy(
        stand, lambda run, proxy: cut_inside(run, proxy, PLACES * CUTS_EACH), seed
    )


def cut_inside(run: Run, proxy: Proxy, places: Sequence[Inside]) -> None:
    """Cut in a rows event, each time another."""
    with run.capturing() as child:
        for place in places:
            breaks = proxy.breaks
            proxy.break_at(InEvent(ROWS_EVENTS, place, run.dice.randint(1, 20)))
            proxy.cut()  # a breaker counts packets from a link's beginning
            wait_until(lambda breaks=breaks: proxy.breaks > breaks, lambda: child.said)
            run.struck(child)


@CASES(
    "source link reset after a random number of bytes",
    "the same; a link that breaks while it connects is tried again with growing pauses",
)
def source_cut_anywhere(stand: Stand, seed: int) -> Outcome:
    return to_kafka_by_source_proxy(
        stand, lambda run, proxy: cut_anywhere(run, proxy, "to_client"), seed
    )


@CASES(
    "broker link reset after a random number of bytes, inside requests and answers",
    "sends again what was not acknowledged, or aborts the Kafka transaction and reads it anew",
)
def broker_cut_anywhere(stand: Stand, seed: int) -> Outcome:
    def script(run: Run, proxy: Proxy) -> None:
        cut_anywhere(run, proxy, "to_server")
        cut_anywhere(run, proxy, "to_client")

    return by_broker_proxy(stand, script, seed)


def cut_anywhere(run: Run, proxy: Proxy, direction: Direction) -> None:
    """Cut so often, each time somewhere else."""
    with run.capturing() as child:
        for _ in range(RANDOM_CUTS):
            breaks = proxy.breaks
            bytes_max = int(CUT_BYTES_MAX ** run.dice.random())  # few and many alike
            proxy.break_at(AfterBytes(run.dice.randint(0, bytes_max), direction))
            wait_until(lambda breaks=breaks: proxy.breaks > breaks, lambda: child.said)
            run.struck(child)


@CASES(
    "source link stalled, both ways and each way alone; new links are taken, never answered",
    "takes 2.5 heartbeats of silence for a dead link, connects anew until somebody answers",
)
def source_stalled(stand: Stand, seed: int) -> Outcome:
    return to_kafka_by_source_proxy(stand, stalled, seed)


@CASES(
    "broker link stalled, both ways and each way alone; new links are taken, never answered",
    "stops reading, waits; goes on with the same Kafka transaction, or aborts it and reads anew",
)
def broker_stalled(stand: Stand, seed: int) -> Outcome:
    return by_broker_proxy(stand, stalled, seed)


def stalled(run: Run, proxy: Proxy) -> None:
    """Stall each way; once before the connector has begun."""
    proxy.stall()
    with run.capturing(is_moving=False) as child:
        time.sleep(STALLED_SECONDS)
        proxy.resume()
        run.struck(child)
        for ways in LINKS:
            proxy.stall(*ways)
            time.sleep(STALLED_SECONDS)
            proxy.resume()
            run.struck(child)


@CASES(
    "no packet passes between connector and all servers for 12 s; none out; none in",
    "takes the links for dead, connects anew; gives its lock up, and takes it again",
)
def partitioned(stand: Stand, seed: int) -> Outcome:
    with ExitStack() as held:
        own = held.enter_context(namespace())
        kafka, broker = held.enter_context(
            proxied_kafka(stand.folder / "kafka-of-namespace", OUTSIDE)
        )
        address = stand.mysql.address
        source = held.enter_context(Proxy(address.host, address.port, at=OUTSIDE))

        def script(run: Run) -> None:
            with run.capturing() as child:
                for cut in (own.cut, own.cut_out, own.cut_in):
                    cut()
                    time.sleep(PARTITIONED_SECONDS)
                    own.mend()
                    run.struck(child)

        reached: dict[str, Section] = {
            "source": {"host": OUTSIDE, "port": source.port, "connect_timeout_seconds": 2},
            "log": kafka_log(f"{OUTSIDE}:{broker.port}"),
            "limits": WAITS,
        }
        setting = Setting(over_kafka(kafka.url), reached, before=own.command)
        database = held.enter_context(stand.database())
        return under_load(stand.new_folder(), database, setting, script, seed)
