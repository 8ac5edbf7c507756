"""Another server, and the same one with another past: what goes on, what waits, what stops."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.capture.batch import with_rests
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.gtid import MysqlGtidSet
from cdc.capture.server import ServerSource
from cdc.capture.source_settings import StartAt
from cdc.errors import PositionLost, SourceError
from cdc.running import running
from cdc.services import MySQLServer, mariadb, mysql
from tests import binlogs
from tests.connectors import wait_until
from tests.forms_plugin import compiled, plain
from tests.pairs import OWN_ORDER, Pair, Server, execute, executed, paired_mariadb, paired_mysql
from tests.reading import SECONDS_MAX, settings_for
from tests.services_plugin import FreshDatabase, fresh_database, held
from tests.shop import new_shop

LARGE_ROWS = 3000
UNPROVEN = "going on by what the server says, without proof"


@dataclass
class Followed:
    """What came of a reading, up to where it was stopped."""

    rows: list[Any] = field(default_factory=list)
    """(op, id) of each change event, in order."""
    ids: list[str] = field(default_factory=list)
    checkpoint: Checkpoint | None = None

    @property
    def kept(self) -> Checkpoint:
        """The last checkpoint, as the next start finds it."""
        assert self.checkpoint is not None
        return Checkpoint.from_bytes(self.checkpoint.to_bytes())

    def has(self, *rows: Any) -> bool:
        """Whether these came and their transactions are over."""
        return set(rows) <= set(self.rows) and not self.kept.transaction


def follow(
    server: Server,
    database: FreshDatabase,
    until: Callable[[Followed], bool],
    after: Checkpoint | None = None,
    *,
    begun: Callable[[], object] = lambda: None,
    **more: Any,
) -> Followed:
    """Capture the database until the condition holds, then stop at that very batch."""
    table = f"{database.name}.t"
    settings = settings_for(server.address, table, **{"lineage_wait_seconds": 0.5, **more})
    stop, found = threading.Event(), Followed(checkpoint=after)
    timer = threading.Timer(SECONDS_MAX, stop.set)
    timer.start()
    reading = binlogs.Reading(compiled() or plain(), tables=(table,))
    source = ServerSource(settings, stop=stop)
    try:
        for batch in with_rests(source.read(after), reading.decoder):
            output = reading.decoder(batch)
            found.checkpoint = output.checkpoint
            for record in output.records:
                value = reading.decoded(record.value)
                found.rows.append((value["op"], (value["after"] or value["before"])["id"]))
                found.ids.append(binlogs.id_of(record))
            if batch.start is not None:
                begun()
            if until(found):
                return found
    finally:
        timer.cancel()
        source.close()
    raise AssertionError(f"did not come within {SECONDS_MAX} s: {found}")


def inserted(*numbers: int) -> Callable[[Followed], bool]:
    return lambda found: found.has(*(("c", number) for number in numbers))


def updated(number: int) -> Callable[[Followed], bool]:
    return lambda found: found.has(("u", number))


def insert(database: FreshDatabase, *numbers: int) -> None:
    """One transaction for each number."""
    database.execute(*(f"insert into t values ({number}, 'x')" for number in numbers))


@pytest.fixture(scope="module")
def mysql_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with paired_mysql(tmp_path_factory.mktemp("pair"), OWN_ORDER) as pair:
        yield pair


@pytest.fixture(scope="module")
def mariadb_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with paired_mariadb(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


@pytest.fixture(params=["mysql", "mariadb"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return request.getfixturevalue(f"{request.param}_pair")  # type: ignore[no-any-return]


@pytest.fixture
def database(pair: Pair) -> Iterator[FreshDatabase]:
    """A database that the replica has as well."""
    with fresh_database(pair.source) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        pair.wait_replicated()
        yield database


def here(server: Server) -> StartAt:
    """The binlog's present end."""
    return StartAt("gtid", gtid_set=executed(server))


# Another server


def test_a_failover_inside_a_transaction_loses_nothing_and_doubles_nothing(
    pair: Pair, database: FreshDatabase
) -> None:
    start = here(pair.source)
    values = ",".join(f"({number}, repeat('y', 40))" for number in range(1, LARGE_ROWS + 1))
    insert(database, 0)
    database.execute(f"insert into t values {values}")
    first = follow(
        pair.source,
        database,
        lambda found: found.kept.rows_done > 500,
        start=start,
        batch_bytes_max=20_000,
    )
    assert 500 < first.kept.rows_done < LARGE_ROWS
    pair.wait_replicated()
    execute(pair.replica, "stop replica")
    pair.write_at_replica(f"insert into {database.name}.t values (-1, 'z')")
    with capture_logs() as logs:
        second = follow(pair.replica, database, inserted(-1), first.kept)
    rows = [*first.rows, *second.rows]
    assert rows == [("c", number) for number in (*range(LARGE_ROWS + 1), -1)]
    assert len(set(first.ids + second.ids)) == len(rows)
    assert logs[0]["event"] == "going on at another server"
    assert second.kept.server != first.kept.server
    assert second.kept.sequence == len(rows)
    # From here on the replica is the checkpoint's own server.
    pair.write_at_replica(f"insert into {database.name}.t values (-2, 'z')")
    with capture_logs() as logs:
        third = follow(pair.replica, database, inserted(-2), second.kept)
    assert third.rows == [("c", -2)]
    assert logs == []
    execute(pair.replica, "start replica")


def test_a_replica_that_lags_is_waited_for_and_given_up_by_name(
    pair: Pair, database: FreshDatabase
) -> None:
    execute(pair.replica, "stop replica")
    ahead = follow(pair.source, database, inserted(2), begun=lambda: insert(database, 2))
    assert ahead.kept.last is not None
    with pytest.raises(SourceError, match="lineage_wait_seconds") as refused:
        follow(pair.replica, database, inserted(3), ahead.kept)
    assert ahead.kept.last.name in refused.value.message
    with capture_logs() as logs, ThreadPoolExecutor(1) as beside:
        reading = beside.submit(
            follow,
            pair.replica,
            database,
            inserted(3),
            ahead.kept,
            lineage_wait_seconds=SECONDS_MAX,
        )
        wait_until(lambda: "waiting for the source to catch up" in str(logs), lambda: str(logs))
        execute(pair.replica, "start replica")
        insert(database, 3)
        assert reading.result().rows == [("c", 3)]


def test_a_transaction_that_comes_late_at_a_replica_is_delivered(mysql_pair: Pair) -> None:
    """Its parallel workers leave a gap, which the checkpoint keeps."""
    source, replica = mysql_pair.source, mysql_pair.replica
    with fresh_database(source) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        insert(database, 1)
        mysql_pair.wait_replicated()
        with replica.connect(autocommit=False) as blocker, blocker.cursor() as cursor:
            cursor.execute(f"select * from {database.name}.t where id = 1 for update")

            def write() -> None:
                database.execute("update t set v = 'late' where id = 1")
                insert(database, 2, 3)

            first = follow(replica, database, inserted(2, 3), begun=write)
            assert sorted(first.rows) == [("c", 2), ("c", 3)]
            all_of_it, kept = map(MysqlGtidSet.parse, (executed(source), first.kept.gtid_set))
            assert all_of_it.subtract(kept).count() == 1
            without_own = replace(first.kept, gtid_set=str(kept.intersect(all_of_it)))
            elsewhere = follow(source, database, updated(1), without_own)
            late = follow(replica, database, updated(1), first.kept, begun=blocker.rollback)
            assert elsewhere.rows == late.rows == [("u", 1)]


def test_a_gap_at_the_replica_is_waited_for_and_named(mysql_pair: Pair) -> None:
    """It has the transactions behind the gap already; what it lacks was captured elsewhere."""
    source, replica = mysql_pair.source, mysql_pair.replica
    with fresh_database(source) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        insert(database, 1)
        mysql_pair.wait_replicated()
        start = here(source)
        with replica.connect(autocommit=False) as blocker, blocker.cursor() as cursor:
            cursor.execute(f"select * from {database.name}.t where id = 1 for update")
            database.execute("update t set v = 'late' where id = 1")
            insert(database, 2, 3)
            ahead = follow(source, database, inserted(2, 3), start=start).kept
            has_rest = f"select count(*) = 2 from {database.name}.t where id > 1"
            wait_until(lambda: execute(replica, has_rest) == [(1,)], "the replica stands still")
            missing = MysqlGtidSet.parse(ahead.gtid_set).subtract(
                MysqlGtidSet.parse(executed(replica))
            )
            assert missing.count() == 1
            with pytest.raises(SourceError, match=f"checkpoint has: {missing} "):
                follow(replica, database, inserted(4), ahead)
            blocker.rollback()
        insert(database, 4)
        assert follow(replica, database, inserted(4), ahead).rows == [("c", 4)]


def test_another_server_is_refused_where_files_are_the_coordinates(
    pair: Pair, database: FreshDatabase
) -> None:
    after = follow(pair.source, database, inserted(1), begun=lambda: insert(database, 1)).kept
    pair.wait_replicated()
    with pytest.raises(SourceError, match=f"{after.server}.*coordinates is file"):
        follow(pair.replica, database, inserted(2), after, coordinates="file")


def test_a_server_that_took_another_way_under_the_same_numbers_is_refused(
    mariadb_pair: Pair,
) -> None:
    """It was promoted while it lacked what was captured, and wrote on. MySQL's numbers tell."""
    with fresh_database(mariadb_pair.source) as database:
        own_numbers = "set session gtid_domain_id = 5"
        into = f"insert into {database.name}.t values"
        database.execute("create table t (id int primary key, v varchar(40))")
        mariadb_pair.wait_replicated()
        execute(mariadb_pair.replica, "stop replica")

        def write() -> None:
            database.execute(own_numbers, *(f"{into} ({number}, 'x')" for number in (1, 2)))

        ahead = follow(mariadb_pair.source, database, inserted(1, 2), begun=write).kept
        writes = (f"{into} ({number}, 'x')" for number in (11, 12, 13))
        execute(mariadb_pair.replica, own_numbers, *writes)
        assert ahead.last is not None
        with pytest.raises(SourceError, match=f"{ahead.last.name}, which is not in .* diverged"):
            follow(mariadb_pair.replica, database, inserted(13), ahead)
        execute(mariadb_pair.replica, "start replica")
        mariadb_pair.wait_replicated()


def test_another_server_without_gtids_is_refused_by_name(
    start_mysql: Callable[..., MySQLServer],
) -> None:
    servers = [start_mysql("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF") for _ in range(2)]
    uuids = [str(execute(server, "select @@server_uuid")[0][0]) for server in servers]
    with fresh_database(servers[0]) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        after = follow(servers[0], database, inserted(1), begun=lambda: insert(database, 1)).kept
        with pytest.raises(SourceError, match=f"{uuids[0]}.*{uuids[1]}.*gtid_mode off") as refused:
            follow(servers[1], database, inserted(2), after)
        assert "go on at the checkpoint's own server" in refused.value.hint
        rest = follow(servers[0], database, inserted(2), after, begun=lambda: insert(database, 2))
        assert rest.rows == [("c", 2)]


# The same server with another past


@dataclass(frozen=True)
class Alone:
    """A server and its data folder."""

    server: Server
    data: Path

    def crash(self) -> None:
        self.server.kill()

    def keep(self) -> None:
        """A copy of the data as it is now."""
        shutil.copytree(
            self.data, self.data.with_name("kept"), ignore=shutil.ignore_patterns("*.sock*")
        )

    def put_back(self) -> None:
        shutil.rmtree(self.data)
        self.data.with_name("kept").rename(self.data)


@pytest.fixture(scope="module", params=["mysql", "mariadb"])
def alone(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alone]:
    folder = tmp_path_factory.mktemp("alone") / request.param
    start: Any = mysql.start if request.param == "mysql" else mariadb.start
    with held(folder, start) as server:
        yield Alone(server, folder / "data")


@pytest.fixture
def own_database(alone: Alone) -> Iterator[FreshDatabase]:
    with fresh_database(alone.server) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        yield database


def test_the_same_numbers_with_another_past_are_refused(
    alone: Alone, own_database: FreshDatabase
) -> None:
    """After a crash that lost the binlog's tail, and after a reset."""
    server, database = alone.server, own_database
    insert(database, 1)
    alone.crash()
    alone.keep()
    server.restart()
    lost = follow(server, database, inserted(2, 3), begun=lambda: insert(database, 2, 3))
    alone.crash()
    alone.put_back()
    server.restart()
    with pytest.raises(SourceError, match=r"lacks transactions .* lost the end of its binlog"):
        follow(server, database, inserted(9), lost.kept)
    insert(database, 4, 5, 6)  # they have the numbers that the lost ones had
    for coordinates in ("auto", "file"):
        with pytest.raises(PositionLost, match=r"captured last, .*no longer|lost its tail"):
            follow(server, database, inserted(9), lost.kept, coordinates=coordinates)

    kept = follow(server, database, inserted(8), begun=lambda: insert(database, 7, 8)).kept
    is_mysql = server.flavor == "mysql"
    execute(server, "reset binary logs and gtids" if is_mysql else "reset master")
    insert(database, *range(100, 160))
    for coordinates in ("auto", "file"):
        with pytest.raises(PositionLost, match=r"captured last, .*no longer|is gone"):
            follow(server, database, inserted(9), kept, coordinates=coordinates)


def test_a_restart_and_a_purge_are_no_other_past(alone: Alone, own_database: FreshDatabase) -> None:
    server, database = alone.server, own_database
    first = follow(server, database, inserted(1), begun=lambda: insert(database, 1)).kept
    assert first.last is not None
    server.restart()
    insert(database, 2)
    with capture_logs() as logs:
        second = follow(server, database, inserted(2), first)
        assert logs == []
        unknown = follow(server, database, inserted(2), replace(first, last=None))
        assert [log["event"] for log in logs] == [UNPROVEN]
    assert second.rows == unknown.rows == [("c", 2)]
    execute(server, "flush binary logs")
    ((newest, *_),) = execute(server, "show binary logs")[-1:]
    wait_until(
        lambda: (
            execute(server, f"purge binary logs to '{newest}'", "show binary logs")[0][0] == newest
        ),
        "the server still keeps a file",
    )
    insert(database, 3)
    with capture_logs() as logs:
        third = follow(server, database, inserted(3), second.kept)
    assert third.rows == [("c", 3)]
    assert [log["event"] for log in logs] == [UNPROVEN]


# Quiet tables


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_the_checkpoint_moves_though_no_captured_table_does(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """By transactions that are filtered, and by files that the server begins."""
    made = new_shop(tmp_path, request.getfixturevalue(f"{kind}_database"))
    config = made.project.load(made.file)
    server = made.database.server
    log_status = "show binary log status" if kind == "mysql" else "show master status"
    with (
        fresh_database(server) as other,
        running(config, ("capture",), made.project.environment) as run,
    ):
        status = run.metrics.stage("capture").status

        def wait_moved() -> None:
            (place,) = execute(server, log_status)  # type: ignore[arg-type]
            wanted = f"at {place[0]}:{place[1]}"
            wait_until(lambda: status().checkpoint.endswith(wanted), lambda: status().checkpoint)

        other.execute("create table t (id int primary key, v varchar(40))")
        insert(other, 1)
        wait_moved()
        other.execute("flush binary logs")
        wait_moved()
        assert not made.changes()
