"""The live server as a source: where it begins, how it goes on, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cdc.capture.gtid import MysqlGtidSet
from cdc.capture.server import ServerSource
from cdc.capture.source_settings import StartAt
from cdc.errors import PositionLost, SourceError, Unreachable
from cdc.services import MariaDBServer, MySQLServer, mariadb, mysql
from tests.proxy import Proxy
from tests.reading import SECONDS_MAX, Reading, kinds, read, settings_for, wait_until
from tests.services_plugin import FreshDatabase, fresh_database, held

Server = MySQLServer | MariaDBServer


@pytest.fixture(scope="module")
def own_mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    """A MySQL whose binlog may be purged and whose settings may be changed."""
    with held(tmp_path_factory.mktemp("own") / "mysql", mysql.start) as server:
        yield server


@pytest.fixture(scope="module")
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A MariaDB whose binlog may be purged and whose settings may be changed."""
    with held(tmp_path_factory.mktemp("own") / "mariadb", mariadb.start) as server:
        yield server


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the shared servers."""
    return request.getfixturevalue(f"{request.param}_server")  # type: ignore[no-any-return]


@pytest.fixture(params=["mysql", "mariadb"])
def own_server(request: pytest.FixtureRequest) -> Server:
    """Each of the module's own servers."""
    return request.getfixturevalue(f"own_{request.param}")  # type: ignore[no-any-return]


@pytest.fixture
def database(server: Server) -> Iterator[FreshDatabase]:
    with fresh_database(server) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        yield database


@pytest.fixture
def own_database(own_server: Server) -> Iterator[FreshDatabase]:
    with fresh_database(own_server) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        yield database


def insert(database: FreshDatabase, *numbers: int) -> None:
    """One transaction for each number, whose row holds `row-<number>;`."""
    database.execute(*(f"insert into t values ({n}, 'row-{n};')" for n in numbers))


def rows(*numbers: int) -> Callable[[Reading], bool]:
    """True once the rows of these numbers are there and committed."""
    texts = [f"row-{number};".encode() for number in numbers]
    return lambda reading: reading.is_committed() and reading.holds(*texts)


def server_settings(database: FreshDatabase, **more: Any) -> Any:
    return settings_for(database.server.address, f"{database.name}.*", **more)


def end_of_binlog(server: Server) -> tuple[str, int]:
    """File and position."""
    is_mysql = isinstance(server, MySQLServer)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("show binary log status" if is_mysql else "show master status")
        ((file, position, *_),) = cursor.fetchall()
    return file, position


def executed_now(server: Server) -> str:
    name = "gtid_executed" if isinstance(server, MySQLServer) else "gtid_binlog_pos"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"select @@global.{name}")
        ((value,),) = cursor.fetchall()
    return str(value).replace("\n", "")


def test_latest_gives_what_comes_after_and_nothing_before(database: FreshDatabase) -> None:
    insert(database, 1)
    before = executed_now(database.server)
    reading = read(server_settings(database), rows(2), begun=lambda: insert(database, 2))
    assert not reading.holds(b"row-1;")
    assert len(reading.transactions()) == 1
    assert reading.start is not None
    assert reading.start.gtid_set == before


def test_earliest_gives_all_that_the_server_still_has(database: FreshDatabase) -> None:
    insert(database, 1, 2)
    reading = read(server_settings(database, start=StartAt("earliest")), rows(1, 2))
    assert reading.holds(b"create table t")
    assert reading.start is not None
    assert reading.start.pos == 4


@pytest.mark.parametrize("coordinates", ["gtid", "file"])
def test_a_start_at_a_set_or_a_position_gives_exactly_what_follows(
    database: FreshDatabase, coordinates: str
) -> None:
    insert(database, 1)
    set_before = executed_now(database.server)
    file, position = end_of_binlog(database.server)
    insert(database, 2, 3)
    by_place = {
        "gtid": StartAt("gtid", gtid_set=set_before),
        "file": StartAt("file", file=file, position=position),
    }
    reading = read(
        server_settings(database, start=by_place[coordinates], coordinates=coordinates), rows(2, 3)
    )
    assert not reading.holds(b"row-1;")
    assert len(reading.transactions()) == 2
    assert reading.start is not None
    assert reading.start.gtid_set == set_before


@pytest.mark.parametrize("coordinates", ["auto", "gtid", "file"])
def test_a_resumed_reading_gives_exactly_the_events_that_follow(
    database: FreshDatabase, coordinates: str
) -> None:
    settings = server_settings(database, coordinates=coordinates)
    places: list[tuple[str, int, str]] = []

    def write() -> None:
        for number in range(1, 7):
            insert(database, number)
            places.append((*end_of_binlog(database.server), executed_now(database.server)))

    whole = read(settings, rows(6), begun=write)
    assert whole.start is not None
    for done in (1, 3, 5):
        file, pos, gtid_set = places[done - 1]
        after = replace(whole.start, file=file, pos=pos, gtid_set=gtid_set)
        rest = read(settings, rows(6), after)
        assert rest.start == after
        assert rest.events == [event for one in whole.transactions()[done:] for event in one]


def test_a_batch_ends_where_nothing_more_is_to_be_read_and_its_time_is_told(
    database: FreshDatabase,
) -> None:
    insert(database, 1)
    reading = read(server_settings(database), rows(2), begun=lambda: insert(database, 2))
    assert max(reading.batch_sizes) < 4096
    assert reading.seen[-1] > 1_700_000_000


def test_batches_are_bounded_and_a_larger_event_is_one_of_its_own(database: FreshDatabase) -> None:
    file, position = end_of_binlog(database.server)
    database.execute("insert into t select seq.n, repeat('x', 40) from (" + numbers(3000) + ") seq")
    insert(database, 0)
    start = StartAt("file", file=file, position=position)
    reading = read(server_settings(database, start=start, batch_bytes_max=5000), rows(0))
    large = {size for size in reading.batch_sizes if size > 5000}
    assert large
    assert large <= {len(event) for event in reading.events}


def numbers(count: int) -> str:
    """A query for the numbers 1 to `count`."""
    return (
        "with recursive s as (select 1 n union all select n + 1 from s where n < 1000)"
        f" select (a.n - 1) * 1000 + b.n as n from s a join s b where a.n <= {count // 1000}"
    )


def test_an_event_larger_than_a_packet_comes_whole(database: FreshDatabase) -> None:
    size = 20 << 20
    database.execute("create table large (id int primary key, v longblob)")

    def write() -> None:
        database.execute(
            f"insert into large values (1, repeat('y', {size // 2}))",
            "update large set v = concat(v, 'end-of-it')",
        )

    reading = read(server_settings(database), lambda r: r.holds(b"yend-of-it"), begun=write)
    (large,) = [event for event in reading.events if len(event) > size]
    assert large.count(b"y" * 1000) == 2 * (size // 2 // 1000)


def test_it_stops_soon_when_told_though_nothing_comes(server: Server) -> None:
    stop, is_begun = threading.Event(), threading.Event()
    settings = replace(settings_for(server.address), heartbeat_seconds=60)

    def follow() -> None:
        for _ in ServerSource(settings, stop=stop).read(None):
            is_begun.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert is_begun.wait(SECONDS_MAX)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_heartbeats_keep_a_quiet_link_alive(server: Server) -> None:
    settings = replace(settings_for(server.address), heartbeat_seconds=0.3)
    reading = read(settings, lambda r: len(r.batch_sizes) >= 6)
    assert reading.events == []


def test_a_server_that_falls_silent_is_unreachable(server: Server) -> None:
    with Proxy(server.address.host, server.address.port) as proxy:
        settings = settings_for(server.address, port=proxy.port, heartbeat_seconds=0.3)
        with pytest.raises(Unreachable, match="silent"):
            read(settings, lambda r: False, begun=proxy.stall)


def test_a_link_that_breaks_is_unreachable(server: Server) -> None:
    with Proxy(server.address.host, server.address.port) as proxy:
        settings = settings_for(server.address, port=proxy.port)
        with pytest.raises(Unreachable, match="following the binlog"):
            read(settings, lambda r: False, begun=proxy.cut)


def test_a_server_that_shuts_down_is_unreachable_and_can_be_gone_on_with(
    own_mysql: MySQLServer,
) -> None:
    with fresh_database(own_mysql) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        first = read(server_settings(database), rows(1), begun=lambda: insert(database, 1))
        with pytest.raises(Unreachable, match="following the binlog"):
            read(server_settings(database), lambda r: False, first.start, begun=own_mysql.restart)
        insert(database, 2)
        again = read(server_settings(database), rows(1, 2), first.start)
        assert again.events[: len(first.events)] == first.events


def test_a_second_follower_with_the_same_id_is_named_as_the_cause(server: Server) -> None:
    settings = settings_for(server.address)

    def second() -> None:
        read(settings, lambda r: True)

    with pytest.raises(SourceError, match="same") as ended:
        read(settings, lambda r: False, begun=second)
    assert str(settings.server_id) in str(ended.value)


def purge_to(database: FreshDatabase, file: str) -> None:
    """Make the server forget the files before this one."""

    def is_first() -> bool:
        # A file that a session still reads is kept, until the server notices that it is gone.
        database.execute(f"purge binary logs to '{file}'")
        return bool(database.execute("show binary logs")[0][0] == file)

    wait_until(is_first)


def test_a_checkpoint_whose_file_is_gone_is_lost(own_database: FreshDatabase) -> None:
    server = own_database.server
    first = read(server_settings(own_database), rows(1), begun=lambda: insert(own_database, 1))
    assert first.start is not None
    before_last = executed_now(server)  # type: ignore[arg-type]
    own_database.execute("flush binary logs")
    insert(own_database, 2)
    last, _ = end_of_binlog(server)  # type: ignore[arg-type]
    purge_to(own_database, last)
    for coordinates in ("gtid", "file"):
        settings = server_settings(own_database, coordinates=coordinates)
        with pytest.raises(PositionLost) as lost:
            read(settings, lambda r: True, first.start)
        if coordinates == "file":
            assert f"{first.start.file}, which is gone; the server has {last}" in str(lost.value)
        elif isinstance(server, MySQLServer):
            gone = MysqlGtidSet.parse(before_last).subtract(
                MysqlGtidSet.parse(first.start.gtid_set)
            )
            assert f"purged {gone.count()} transactions" in str(lost.value)
            assert f"still needs: {gone}\n" in str(lost.value)
        else:
            assert (
                f"those up to {before_last}; the checkpoint has those up to {first.start.gtid_set}"
                in str(lost.value)
            )


def test_earliest_after_a_purge_knows_what_lies_before(own_database: FreshDatabase) -> None:
    insert(own_database, 1)
    own_database.execute("flush binary logs")
    file, _ = end_of_binlog(own_database.server)
    before = executed_now(own_database.server)
    purge_to(own_database, file)
    insert(own_database, 2)
    for coordinates in ("auto", "file"):
        settings = server_settings(own_database, start=StartAt("earliest"), coordinates=coordinates)
        reading = read(settings, rows(2))
        assert not reading.holds(b"row-1;")
        assert reading.start is not None
        assert (reading.start.file, reading.start.gtid_set) == (file, before)


def test_a_checkpoint_of_a_server_that_was_reset_is_refused(own_database: FreshDatabase) -> None:
    insert(own_database, 1, 2, 3)
    settings = server_settings(own_database, lineage_wait_seconds=0.3)
    after = read(settings, rows(4), begun=lambda: insert(own_database, 4)).start
    is_mysql = isinstance(own_database.server, MySQLServer)
    own_database.execute("reset binary logs and gtids" if is_mysql else "reset master")
    with pytest.raises(SourceError, match="lacks transactions"):
        read(settings, lambda r: True, after)


def test_a_position_inside_a_transaction_is_refused(server: Server) -> None:
    with fresh_database(server) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        file, position = end_of_binlog(server)
        insert(database, 1)
        start = StartAt("file", file=file, position=position)
        (transaction,) = read(server_settings(database, start=start), rows(1)).transactions()
        inside = position + len(transaction[0])
        for wrong in (inside, inside + 1):
            settings = server_settings(database, start=replace(start, position=wrong))
            with pytest.raises(SourceError, match=r"inside a transaction|no event begins"):
                read(settings, lambda r: True)


def test_tagged_transactions_are_followed_from_a_tagged_set(own_mysql: MySQLServer) -> None:
    with fresh_database(own_mysql) as database:
        tag = "set gtid_next = 'AUTOMATIC:app'"
        database.execute("create table t (id int primary key, v varchar(40))")
        database.execute(tag, "insert into t values (1, 'row-1;')")
        before = executed_now(own_mysql)
        assert ":app:" in before
        database.execute(tag, "insert into t values (2, 'row-2;')")
        insert(database, 3)
        start = StartAt("gtid", gtid_set=before)
        reading = read(server_settings(database, start=start), rows(2, 3))
        assert not reading.holds(b"row-1;")
        assert kinds(reading.events)[0] == 42
        assert reading.start is not None
        assert MysqlGtidSet.parse(reading.start.gtid_set) == MysqlGtidSet.parse(before)
