"""A log that is away for long: what the source writes is spooled, purged there, drained later.

The broker ends in order: the only one, killed, may forget the end of a Kafka transaction, and only
an operator can make up for that (docs/guarantees.md)."""

from __future__ import annotations

import json
import random
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.services import DatabaseServer, KafkaServer, MariaDBServer, MySQLServer, kafka, mysql
from tests.connectors import Child, Project, Section, events_of, source_section, wait_until
from tests.faults.http_registry import HttpRegistry
from tests.faults.rig import EMBEDDED, Rig, assert_right, new_rig, over_kafka
from tests.faults.spool_steps import crash_while_spooling, spool_end, spooling_rig
from tests.faults.workload import DDL_CHANCE
from tests.proxy import Proxy
from tests.services_plugin import FreshDatabase, fresh_database, held

ROWS_MAX = 100
PAUSE_SECONDS = 0.1
QUICK_PAUSE_SECONDS = 0.03
BATCH_BYTES = 1 << 16
"""Small beside a spool."""
STRIDE = 40
"""Of the calls that are died at."""


@pytest.fixture(scope="module")
def modules_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with held(tmp_path_factory.mktemp("own") / "kafka", kafka.start) as server:
        yield server


@pytest.fixture
def own_kafka(modules_kafka: KafkaServer) -> KafkaServer:
    """A Kafka that these tests may stop, up again after one that failed."""
    if modules_kafka.refusal():
        modules_kafka.restart()
    return modules_kafka


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """On a server of the test's own, whose binlogs may be purged."""
    start: Callable[[], DatabaseServer] = request.getfixturevalue(f"start_{request.param}")
    with fresh_database(start()) as database:
        yield database


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    with held(tmp_path_factory.mktemp("own") / "mysql", mysql.start) as server:
        yield server


@pytest.fixture
def own_mysql(own_server: MySQLServer) -> Iterator[FreshDatabase]:
    """On a MySQL of these tests' own, whose binlogs may be purged."""
    with fresh_database(own_server) as database:
        yield database


@pytest.fixture
def registry() -> Iterator[HttpRegistry]:
    with HttpRegistry() as registry:
        yield registry


def loaded_rig(
    folder: Path,
    database: FreshDatabase,
    log: Mapping[str, Section],
    bytes_max: str = "256MiB",
    ddl_chance: float = DDL_CHANCE,
    pause_seconds: float = PAUSE_SECONDS,
) -> Rig:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    spool = {"path": "../spool", "after_seconds": 0.5, "bytes_max": bytes_max}
    return new_rig(
        folder,
        database,
        seed,
        pause_seconds=pause_seconds,
        rows_max=ROWS_MAX,
        ddl_chance=ddl_chance,
        spool=spool,
        limits={"retry_wait_seconds_max": 1, "batch_bytes_max": BATCH_BYTES},
        **log,
    )


def quick_rig(
    folder: Path, database: FreshDatabase, registry_url: str, bytes_max: str = "256MiB"
) -> Rig:
    """Its log is away as soon as its registry is: each change of a table's columns asks it."""
    log = {**EMBEDDED, "registry": {"url": registry_url}}
    return loaded_rig(folder, database, log, bytes_max, 0.1, QUICK_PAUSE_SECONDS)


def binlog_end(database: FreshDatabase) -> str:
    """The file that is being written."""
    word = "binary log" if isinstance(database.server, MySQLServer) else "master"
    return str(database.execute(f"show {word} status")[0][0])


def purge_behind(database: FreshDatabase, folder: Path) -> None:
    """Drop all binlog files but the last, once the spool holds what is in them."""
    database.execute("flush binary logs")
    last = binlog_end(database)

    def has_come() -> bool:
        end = spool_end(folder)
        return end is not None and end.checkpoint.file >= last

    wait_until(has_come, lambda: f"the spool stays before {last}: {spool_end(folder)}")

    def is_purged() -> bool:
        # A file that somebody still reads stays, and MariaDB's until its checkpoint has moved on.
        database.execute(f"purge binary logs to '{last}'")
        return bool(database.execute("show binary logs")[0][0] == last)

    wait_until(is_purged, f"{last} is not the only one")


def wait_grown(folder: Path) -> None:
    """Until the spool has some hundred kilobytes more."""

    def size() -> int:
        return sum(path.stat().st_size for path in (folder / "spool").glob("*.spool"))

    before = size()
    wait_until(lambda: size() > before + 200_000, "the spool doesn't grow")


@contextmanager
def without_spool(rig: Rig) -> Iterator[None]:
    """The connector file of a host that has none."""
    text = rig.file.read_text()
    config = json.loads(text)
    del config["spool"]
    rig.file.write_text(json.dumps(config))
    try:
        yield
    finally:
        rig.file.write_text(text)


def spool_and_purge(rig: Rig, registry: HttpRegistry) -> None:
    """What the load writes is in the spool alone afterwards, and nothing runs."""
    with rig.running() as child:
        wait_captured(rig, child)
        with registry.away():
            child.wait_said("spooling: ")
            wait_grown(rig.project.folder)
            purge_behind(rig.database, rig.project.folder)
            assert child.stop() == 0, child.said


@contextmanager
def on_another_host(rig: Rig, registry: HttpRegistry) -> Iterator[Child]:
    """An instance with a folder of its own, which reaches the registry."""
    config = json.loads(rig.file.read_text())
    config["registry"]["url"] = registry.url
    config["spool"]["path"] = "../other-spool"
    with rig.project.started("run", rig.project.write(config, "other")) as child:
        yield child


def wait_captured(rig: Rig, child: Child) -> None:
    """Until some transactions are in the log."""
    child.wait_running()
    number = rig.workload.count
    wait_until(lambda: rig.workload.count > number + 20, lambda: child.said)


def assert_all_is_right(rig: Rig) -> None:
    rig.drain()
    print(assert_right(rig))
    assert not list((rig.project.folder / "spool").glob("*.spool"))


def test_what_was_spooled_and_purged_is_drained_exactly_once_and_in_order(
    tmp_path: Path, database: FreshDatabase, own_kafka: KafkaServer
) -> None:
    rig = loaded_rig(tmp_path, database, over_kafka(own_kafka.url))
    with rig.workload, rig.running() as child:
        wait_captured(rig, child)
        own_kafka.shut()
        child.wait_said("spooling: ")
        purge_behind(database, tmp_path)
        own_kafka.restart()
        child.wait_said("the spool is drained")
        assert child.stop() == 0, child.said
    rig.note_restart()
    assert_all_is_right(rig)


def test_killed_while_it_spools_and_while_it_drains_it_goes_on_where_it_was(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    rig = quick_rig(tmp_path, own_mysql, registry.url)
    with rig.workload:
        with rig.running() as child:
            wait_captured(rig, child)
            registry.is_away = True
            child.wait_said("spooling: ")
            wait_grown(tmp_path)
            child.kill()
        with rig.running() as child:  # the log is still away: it goes on from the spool alone
            child.wait_said("spooling: ")
            purge_behind(own_mysql, tmp_path)
            registry.is_away = False
            child.wait_said("draining the spool")
            child.kill()
        with rig.running() as child:
            child.wait_running()
            assert child.stop() == 0, child.said
    assert_all_is_right(rig)


def test_a_full_spool_says_so_and_goes_on_when_the_log_is_back(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    rig = quick_rig(tmp_path, own_mysql, registry.url, bytes_max="1MiB")
    with rig.workload, rig.running() as child:
        wait_captured(rig, child)
        with registry.away():
            child.wait_said("the spool is full")
            assert "spool.bytes_max: 1048576 is reached" in child.said
            assert "nothing is lost" in child.said
            status = rig.project.run("status", rig.file)
            assert "capture spool: full, " in status.stdout
            with urllib.request.urlopen(f"{child.address}/metrics") as answer:
                assert 'cdc_spool_full{stage="capture"} 1.0' in answer.read().decode()
        child.wait_said("the spool is drained")
        assert child.stop() == 0, child.said
    assert_all_is_right(rig)


def test_without_the_folder_it_says_where_the_spool_lies_and_with_it_all_goes_on(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    rig = quick_rig(tmp_path, own_mysql, registry.url)
    with rig.workload:
        spool_and_purge(rig, registry)
        with without_spool(rig), rig.running() as child:
            assert child.wait() == 1
            assert "purged" in child.said
            place = f"{socket.gethostname()}:{tmp_path / 'spool'}"
            assert f"this connector ran with a spool, which lies at {place}" in child.said
    assert_all_is_right(rig)


def test_damage_that_the_source_can_no_longer_mend_stops_and_names_the_file(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    rig = quick_rig(tmp_path, own_mysql, registry.url)
    with rig.workload:
        spool_and_purge(rig, registry)
    (path, *_) = sorted((tmp_path / "spool").glob("*.spool"))
    content = path.read_bytes()
    at = len(content) // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with rig.running() as child:
        assert child.wait() == 1
        assert f"the spool's file {path.resolve()} is damaged at byte" in child.said
        assert "the server no longer has what stands there" in child.said
    path.write_bytes(content)  # from a copy
    assert_all_is_right(rig)


def test_one_that_takes_over_meanwhile_captures_and_what_was_spooled_is_dropped(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    with Proxy("127.0.0.1", registry.port) as proxy:
        rig = quick_rig(tmp_path, own_mysql, f"http://127.0.0.1:{proxy.port}")
        with rig.workload, rig.running() as first:
            wait_captured(rig, first)
            proxy.shut()
            first.wait_said("spooling: ")
            wait_grown(tmp_path)
            with on_another_host(rig, registry) as second:
                second.wait_running()
                proxy.open()
                first.wait_said("standby  ")
                assert second.stop() == 0, second.said
            first.wait_said("took over")
            first.wait_running(2)
            assert first.stop() == 0, first.said
        assert_all_is_right(rig)


def test_rows_prepared_while_it_spools_and_committed_long_after_come_once(
    tmp_path: Path, start_mariadb: Callable[[], MariaDBServer], registry: HttpRegistry
) -> None:
    """MariaDB sends them once alone, and has purged them: from the spool they came into the log."""
    project = Project(tmp_path)
    with fresh_database(start_mariadb()) as database, database.connect(autocommit=True) as own:
        database.execute("create table t (id int primary key)")
        config: Section = {
            "connector": "prepared",
            "source": source_section(database.server.address, f"{database.name}.t"),
            "http": {"port": 0},
            "registry": {"url": registry.url},
            "spool": {"path": "../spool", "after_seconds": 0},
            "limits": {"retry_wait_seconds_max": 1},
            **EMBEDDED,
        }
        file = project.write(config, "prepared")
        topic = f"prepared.{database.name}.t"

        def wait_ids(*ids: int) -> None:
            def found() -> list[int]:
                return [one["key"]["id"] for one in events_of(project.load(file), topic)]

            wait_until(lambda: found() == list(ids), lambda: f"{found()}, not {ids}")

        with project.started("run", file) as child:
            child.wait_running()
            database.execute("insert into t values (1)")
            wait_ids(1)
        with registry.away(), project.started("run", file) as child:
            child.wait_said("spooling: ")
            with own.cursor() as cursor:
                for statement in ("start 'x'", "end 'x'", "prepare 'x'"):
                    cursor.execute(f"xa {statement}")
                    if statement == "start 'x'":
                        cursor.execute("insert into t values (2)")
            database.execute("insert into t values (3)")
            purge_behind(database, tmp_path)
        with project.started("run", file) as child:
            wait_ids(1, 3)
            child.kill()
        with own.cursor() as cursor:
            cursor.execute("xa commit 'x'")
        with project.started("run", file) as child:
            wait_ids(1, 3, 2)
            child.wait_running()
            assert child.stop() == 0, child.said


def test_dying_at_calls_while_it_spools_and_drains_all_is_delivered_exactly_once(
    tmp_path: Path, own_mysql: FreshDatabase, registry: HttpRegistry
) -> None:
    """At each of them in `make faults`."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    rig = spooling_rig(tmp_path, own_mysql, seed, registry)
    first = 1 + seed % STRIDE
    calls, purges = crash_while_spooling(rig, registry, first=first, stride=STRIDE)
    print("calls:", calls)
    assert purges >= 2
    assert_right(rig)
