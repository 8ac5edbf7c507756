"""Servers that aren't there, or go away: it says so, waits within bounds, loses nothing."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cdc.services import KafkaServer, kafka
from tests import shop
from tests.connectors import Child, Section, events_of, kafka_log, wait_until
from tests.faults.rig import STAGES, assert_right, new_rig
from tests.proxy import Proxy
from tests.services_plugin import FreshDatabase, held
from tests.shop import new_shop

BROKER_AWAY, REGISTRY_AWAY, SOURCE_AWAY = "listing topics", "asking for schema", "the source "


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka that these tests may stop."""
    with held(tmp_path_factory.mktemp("own") / "kafka", kafka.start) as server:
        yield server


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


@pytest.mark.parametrize("away", ["log", "registry", "source"])
def test_a_server_that_never_comes_is_waited_for_within_the_named_bound(
    tmp_path: Path,
    mysql_database: FreshDatabase,
    kafka_address: str,
    registry_url: str,
    closed_port: int,
    away: str,
) -> None:
    sections: dict[str, Section] = {
        "log": kafka_log(kafka_address),
        "registry": {"url": registry_url},
        "source": {},
    }
    absent: dict[str, Section] = {
        "log": {"bootstrap_servers": f"127.0.0.1:{closed_port}"},
        "registry": {"url": f"http://127.0.0.1:{closed_port}"},
        "source": {"port": closed_port},
    }
    sections[away] |= absent[away]
    for section in sections.values():
        section["wait_seconds"] = 1
    made = new_shop(tmp_path, mysql_database, **sections)
    ended = made.project.run("run", made.file, "--stage", "capture", code=1)
    assert "stage capture: gave up after" in ended.stderr
    assert "(wait_seconds: 1)" in ended.stderr
    assert f"127.0.0.1:{closed_port}" in ended.stderr
    assert "  → " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_servers_that_come_later_are_waited_for_one_after_the_other(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_address: str, registry_url: str
) -> None:
    address, registry = mysql_database.server.address, urlsplit(registry_url)
    broker_host, _, broker_port = kafka_address.rpartition(":")
    with ExitStack() as opened:
        broker, schemas, source = (
            opened.enter_context(Proxy(str(host), int(port or 80)))
            for host, port in (
                (broker_host, broker_port),
                (registry.hostname, registry.port),
                (address.host, address.port),
            )
        )
        for proxy in (broker, schemas, source):
            proxy.shut()
        made = new_shop(
            tmp_path,
            mysql_database,
            source={"port": source.port},
            log=kafka_log(f"127.0.0.1:{broker.port}"),
            registry={"url": f"http://127.0.0.1:{schemas.port}{registry.path}"},
        )
        shop.write(mysql_database)
        child = opened.enter_context(made.project.started("run", made.file))
        for proxy, what in (
            (broker, BROKER_AWAY),
            (schemas, REGISTRY_AWAY),
            (source, SOURCE_AWAY),
        ):
            child.wait_said(what)
            proxy.open()
        made.wait_equal(child)
        assert child.stop() == 0, child.said


def test_a_broker_that_is_restarted_and_one_that_is_away_cost_nothing(
    tmp_path: Path, mysql_database: FreshDatabase, own_kafka: KafkaServer, registry_url: str
) -> None:
    rig = new_rig(
        tmp_path,
        mysql_database,
        seed=random.randrange(10**9),
        rows_max=500,
        stages=STAGES,
        log=kafka_log(own_kafka.url),
        registry={"url": registry_url},
        limits={"retry_wait_seconds_max": 1},
    )

    def wait_moving(child: Child) -> None:
        seen, count = rig.seen(), rig.workload.count
        wait_until(
            lambda: rig.seen() != seen and rig.workload.count > count + 50,
            lambda: f"it does not go on: {child.said}",
        )

    with rig.workload, rig.running() as child:
        wait_moving(child)
        own_kafka.restart()
        wait_moving(child)
        own_kafka.shut()
        child.wait_said(BROKER_AWAY)
        own_kafka.restart()
        wait_moving(child)
        assert child.stop() == 0, child.said
    rig.drain()
    assert_right(rig)


def test_a_registry_that_goes_away_while_a_table_appears_costs_nothing(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_address: str, registry_url: str
) -> None:
    parts = urlsplit(registry_url)
    with Proxy(str(parts.hostname), parts.port or 80) as proxy:
        made = new_shop(
            tmp_path,
            mysql_database,
            log=kafka_log(kafka_address),
            registry={"url": f"http://127.0.0.1:{proxy.port}{parts.path}"},
            limits={"retry_wait_seconds_max": 1},
            source={"tables": [f"{mysql_database.name}.*"]},
        )
        with made.project.started("run", made.file) as child:
            shop.write(mysql_database)
            made.wait_equal(child)
            proxy.shut()
            mysql_database.execute(
                "create table parts (id int primary key, name varchar(20))",
                "insert into parts values (1, 'a'), (2, 'b')",
                "insert into orders (id, total, placed_at, is_gift) values (50, 1, now(), 0)",
            )
            child.wait_said("listing the versions of")
            # Known tables wait behind the new one: their order is the source's.
            mysql_database.execute("update orders set note = 'meanwhile' where id = 50")
            proxy.open()
            made.wait_equal(child)
            assert child.stop() == 0, child.said
        config = made.project.load(made.file)
        rows = events_of(config, f"{made.name}.{mysql_database.name}.parts")
        changes = [one for one in made.changes() if one["key"] == {"id": 50}]
    assert [row["value"]["after"]["name"] for row in rows] == ["a", "b"]
    assert [one["value"]["op"] for one in changes] == ["c", "u"]


def test_a_server_that_stays_away_is_given_up_within_the_named_bound(
    tmp_path: Path, mysql_database: FreshDatabase, registry_url: str
) -> None:
    parts = urlsplit(registry_url)
    with Proxy(str(parts.hostname), parts.port or 80) as proxy:
        made = new_shop(
            tmp_path,
            mysql_database,
            registry={"url": f"http://127.0.0.1:{proxy.port}{parts.path}"},
            limits={"retry_wait_seconds_max": 0.2, "outage_seconds_max": 1},
        )
        with made.project.started("run", made.file, "--stage", "capture") as child:
            child.wait_running()
            proxy.shut()
            # The source lives on, which must not be taken for the stage's health.
            shop.write(mysql_database)
            assert child.wait() == 1
        assert "gave up after" in child.said
        assert "(limits.outage_seconds_max: 1)" in child.said
