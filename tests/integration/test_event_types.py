"""Event types that only some settings of a server write, read from real servers in both forms."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.gtid import MysqlGtidSet
from cdc.capture.server import ServerSource
from cdc.capture.source_settings import Coordinates
from cdc.errors import DecodeError, PositionLost
from cdc.services import MySQLServer
from tests.binlogs import Reading, id_of
from tests.forms_plugin import Capture
from tests.reading import SECONDS_MAX, settings_for
from tests.services_plugin import FreshDatabase, fresh_database
from tests.written import select, write

# Partial JSON updates


DOCUMENT = {
    "a": 1,
    "b": [1, 2.5, "three", None, {"x": [True]}],
    "long key, quoted": {"deep": {"er": list(range(40))}},
    "ž": "🐎",
    "text": "t" * 300,
    "empty": {},
}
PARTIAL = "set binlog_row_value_options = 'PARTIAL_JSON'"
PATHS = (
    "$.a", "$.b", "$.b[0]", "$.b[1]", "$.b[4].x", "$.b[4].x[0]", "$.b[4].new", "$.b[40]", "$.new",
    '$."long key, quoted".deep', '$."long key, quoted".deep.er[39]', '$."long key, quoted".zz',
    '$."ž"', "$.text", "$.empty.one", '$.empty."two words"', "$.b[last]", "$.b[last-1]",
    "$.b[last-9]", "$.a[0]", "$.a[1]",
)  # fmt: skip
VALUES = (
    "1", "-70000", "18446744073709551615", "2.5", "null", "true", "'s'", "repeat('long', 90)",
    "cast('2020-01-02' as date)", "cast(1.25 as decimal(6,3))", "json_array(1, 'b')",
    "json_array()",
    "json_object('k', json_array(json_object()))", "json_object('z', 1, 'yy', 2, '', 3)",
    "(select json_arrayagg(n) from (with recursive s as (select 1 n union all select n + 1 from s"
    " where n < 900) select n from s) q)",
)  # fmt: skip


def random_update(chance: random.Random) -> str:
    """Some diffs of one document, as one statement."""
    expression = "j"
    for _ in range(chance.randint(1, 3)):
        function = chance.choice(("json_set", "json_set", "json_replace", "json_remove"))
        value = "" if function == "json_remove" else f", {chance.choice(VALUES)}"
        expression = f"{function}({expression}, '{chance.choice(PATHS)}'{value})"
    return f"update t set n = n + 1, j = {expression}"


def event_kinds(events: bytes) -> list[int]:
    at, found = 0, []
    while at < len(events):
        found.append(events[at + 4])
        at += int.from_bytes(events[at + 9 : at + 13], "little")
    return found


def around(events: bytes) -> int:
    """Bytes of what a dump sends in front of the events of the file."""
    sizes, at = 0, 0
    while events[at + 4] in (4, 15):
        size = int.from_bytes(events[at + 9 : at + 13], "little")
        at, sizes = at + size, sizes + size
    return sizes


@pytest.mark.parametrize("seed", range(4))
def test_partial_json_updates_give_the_servers_own_documents(
    capture: Capture, mysql_database: FreshDatabase, seed: int
) -> None:
    """All diffs of a column, in order, on its before image."""
    chance = random.Random(seed)
    mysql_database.execute(
        "create table t (id int primary key, n int, before_it json, j json, after_it json)",
        "create table seen (n int primary key, j longtext)",
    )
    see = "insert into seen select n, j from t"
    changes = []
    for _ in range(60):
        # Back to the first document now and then, else removals leave nothing to change.
        if chance.random() < 0.3:
            changes += ["update t set n = n + 1, j = (select j from first_one)", see]
        changes += [random_update(chance), see]
    written = write(
        mysql_database,
        "create table first_one (id int primary key, j json)",
        f"insert into first_one values (1, '{json.dumps(DOCUMENT, ensure_ascii=False)}')",
        "insert into t select 1, 0, j, j, null from first_one",
        PARTIAL,
        *changes,
    )
    assert event_kinds(written.events).count(39) > 60
    ours = {after["n"]: after for after in written.changes(capture, "t")}
    for number, text in select(mysql_database, "select n, j from seen"):
        assert json.loads(ours[number]["j"]) == json.loads(text), number
        assert list(json.loads(ours[number]["j"])) == list(json.loads(text))
        assert json.loads(ours[number]["before_it"]) == DOCUMENT
        assert ours[number]["after_it"] is None


def test_a_partial_update_without_the_value_before_it_is_refused(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    mysql_database.execute("create table t (id int primary key, j json)")
    written = write(
        mysql_database,
        f"insert into t values (1, '{json.dumps(DOCUMENT, ensure_ascii=False)}')",
        PARTIAL,
        "set binlog_row_image = 'MINIMAL'",
        "update t set j = json_set(j, '$.a', 2)",
    )
    with pytest.raises(DecodeError, match="without the value before it"):
        written.changes(capture, "t")


def test_partial_updates_of_a_table_that_is_not_captured_are_stepped_over(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    document = json.dumps(DOCUMENT, ensure_ascii=False)
    mysql_database.execute("create table t (id int primary key, j json, v int, k json)")
    mysql_database.execute("create table other (id int primary key)")
    written = write(
        mysql_database,
        f"insert into t values (1, '{document}', 1, '{document}')",
        PARTIAL,
        "begin",
        "update t set v = 2, j = json_remove(j, '$.a'), k = json_set(k, '$.a', 'longer text')",
        "insert into other values (7)",
        "commit",
    )
    assert written.changes(capture, "other") == [{"id": 7}]


# GTIDs with tags


def test_tagged_transactions_have_their_tag_in_every_name(
    capture: Capture, start_mysql: Callable[..., MySQLServer]
) -> None:
    # Tags stay in the executed set, where others' tests would meet them: a server of its own.
    with fresh_database(start_mysql()) as database:
        database.execute("create table t (id int primary key)")
        written = write(
            database,
            "insert into t values (1)",
            "set gtid_next = 'automatic:of_a_tool'",
            "insert into t values (2)",
            "insert into t values (3)",
            "set gtid_next = 'automatic'",
            "insert into t values (4)",
        )
    reading, output = written.decoded(capture, "t")
    gtids = [reading.decoded(r.value)["source"]["gtid"] for r in output.records]
    tags = [gtid.split(":")[1:-1] for gtid in gtids]
    assert tags == [[], ["of_a_tool"], ["of_a_tool"], []]
    assert [id_of(r) for r in output.records] == [f"c/{gtid}/1" for gtid in gtids]
    uuid, _, first = gtids[1].split(":")
    assert f"{uuid}:{gtids[0].split(':')[1]}-" in output.checkpoint.gtid_set
    assert f":of_a_tool:{first}-{int(first) + 1}" in output.checkpoint.gtid_set
    times = [reading.decoded(r.value)["source"]["ts_us"] for r in output.records]
    assert times == sorted(times)
    assert all(micros % 1_000_000 for micros in times)


# MariaDB's compressed events


@pytest.fixture
def compressing(mariadb_database: FreshDatabase) -> Iterator[FreshDatabase]:
    mariadb_database.execute(
        "set global log_bin_compress_min_len = 10", "set global log_bin_compress = on"
    )
    yield mariadb_database
    mariadb_database.execute("set global log_bin_compress = off")


def test_compressed_rows_and_statements_are_read_as_they_were_written(
    capture: Capture, compressing: FreshDatabase
) -> None:
    many = ", ".join(f"c{i} int" for i in range(300))  # so that the count of columns is a long one
    wide = ", ".join(["0"] * 300)
    written = write(
        compressing,
        "create table t (id int primary key, v longtext)",
        f"create table wide (id int primary key, {many})",
        "insert into t values (1, repeat('one', 4000)), (2, null)",
        "update t set v = repeat('two', 7) where id = 1",
        "delete from t where id = 1",
        f"insert into wide values (1, {wide})",
        "truncate table t",
    )
    assert {165, 166, 167, 168} <= set(event_kinds(written.events))
    reading, output = written.decoded(capture, "t")
    events = [reading.decoded(r.value) for r in output.records]
    assert [event and (event["op"], event["before"], event["after"]) for event in events] == [
        ("c", None, {"id": 1, "v": "one" * 4000}),
        ("c", None, {"id": 2, "v": None}),
        ("u", {"id": 1, "v": "one" * 4000}, {"id": 1, "v": "two" * 7}),
        ("d", {"id": 1, "v": "two" * 7}, None),
        None,
        ("t", None, None),
    ]
    assert written.changes(capture, "wide") == [{"id": 1} | {f"c{i}": 0 for i in range(300)}]


# Compressed transactions


@pytest.mark.parametrize("bytes_max", [500, 1 << 22])
def test_compressed_transactions_are_read_as_they_would_be_without(
    capture: Capture, mysql_database: FreshDatabase, bytes_max: int
) -> None:
    mysql_database.execute("create table t (id int primary key, v longtext)")
    changes = [
        "insert into t values (1, repeat('one', 1000)), (2, 'two')",
        "begin",
        *(f"insert into t values ({n}, repeat('x', 2000))" for n in range(10, 30)),
        "commit",
        "update t set v = concat(v, '!') where id > 9",
        "delete from t where id < 15",
    ]
    written = write(mysql_database, "set binlog_transaction_compression = on", *changes)
    assert event_kinds(written.events).count(40) == 4
    reading, followed = written.decoded(capture, "t", bytes_max=bytes_max)
    mysql_database.execute("truncate table t")
    plain = write(mysql_database, *changes)
    plain_reading, expected = plain.decoded(capture, "t")
    assert 40 not in event_kinds(plain.events)

    def changed(reading: Reading, output: Any) -> list[Any]:
        events = [reading.decoded(record.value) for record in output.records]
        return [
            event and (event["op"], event["before"], event["after"], event["source"]["row"])
            for event in events
        ]

    assert changed(reading, followed) == changed(plain_reading, expected)
    if bytes_max == 500:
        assert len(followed.outputs) > 20


def test_a_restart_inside_a_compressed_transaction_goes_on_behind_the_last_row(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    """The server sends the whole payload again; what was done of it is stepped over."""
    mysql_database.execute("create table t (id int primary key)")
    with mysql_database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select @@global.gtid_executed")
        before = cursor.fetchone()[0].replace("\n", "")
    written = write(
        mysql_database,
        "set binlog_transaction_compression = on",
        "begin",
        *(f"insert into t values ({number})" for number in range(20)),
        "commit",
        "insert into t values (20)",
    )
    _, followed = written.decoded(capture, "t", bytes_max=500)
    inside = [one.checkpoint for one in followed.outputs if one.checkpoint.rows_done]
    assert len(inside) > 3
    for checkpoint in inside[::3]:
        after = replace(checkpoint, gtid_set=before, server="")
        again = Reading(capture, tables=(f"{mysql_database.name}.t",))
        found, _ = decode_from(again, mysql_database, after, 21 - checkpoint.rows_done)
        assert found == list(range(checkpoint.rows_done, 21))


# XA


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """Of each server, with a table."""
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as database:
        database.execute("create table t (id int primary key)")
        yield database


def ids_of(reading: Reading, output: Any) -> list[int]:
    return [reading.decoded(record.value)["after"]["id"] for record in output.records]


@pytest.mark.parametrize("bytes_max", [100, 1 << 22])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_xa_transactions_count_where_they_are_committed(
    capture: Capture, database: FreshDatabase, bytes_max: int, is_compressed: bool
) -> None:
    is_mysql = database.server.flavor == "mysql"
    compression = ["set binlog_transaction_compression = on"] * (is_compressed and is_mysql)

    def session(*statements: str) -> Callable[[], object]:
        return lambda: database.execute(*compression, *statements)

    def insert(*numbers: int) -> list[str]:
        return [f"insert into t values ({number})" for number in numbers]

    written = write(
        database,
        session("xa start 'a'", *insert(1, 2), "xa end 'a'", "xa prepare 'a'"),
        *insert(3),
        session("xa start 'b', 'q', 7", *insert(4), "xa end 'b', 'q', 7", "xa prepare 'b', 'q', 7"),
        session("xa start 'gone'", *insert(5), "xa end 'gone'", "xa prepare 'gone'"),
        session("xa start 'none'", "xa end 'none'", "xa prepare 'none'", "xa commit 'none'"),
        "xa rollback 'gone'",
        session("xa start 'd'", *insert(6), "xa end 'd'", "xa commit 'd' one phase"),
        "xa commit 'b', 'q', 7",
        *insert(7),
        "xa commit 'a'",
    )
    reading, followed = written.decoded(capture, "t", bytes_max=bytes_max)
    assert ids_of(reading, followed) == [3, 6, 4, 7, 1, 2]
    gtids = [reading.decoded(r.value)["source"]["gtid"] for r in followed.records]
    assert len(set(gtids)) == 5
    assert gtids == sorted(gtids, key=lambda gtid: [int(n) for n in re.findall(r"\d+$", gtid)])
    assert len(gtids) == len(followed.records)
    if is_mysql:
        # Nothing is open any more: the set has no gap.
        assert followed.checkpoint.gtid_set.count("-") == 5


def decode_from(
    reading: Reading,
    database: FreshDatabase,
    after: Any,
    count: int,
    coordinates: Coordinates = "auto",
    *,
    begun: Any = None,
) -> tuple[list[int], Any]:
    """Ids that come live behind a checkpoint, until there are so many; the last checkpoint."""
    stop, found, checkpoint = threading.Event(), [], None
    settings = settings_for(database.server.address, f"{database.name}.*", coordinates=coordinates)
    timer = threading.Timer(SECONDS_MAX, stop.set)
    timer.start()
    try:
        for batch in ServerSource(settings, stop=stop).read(after):
            if batch.start is not None and begun is not None:
                begun()
            output = reading.decoder(batch)
            found += ids_of(reading, output)
            checkpoint = output.checkpoint
            if len(found) >= count and not checkpoint.transaction:
                stop.set()
    finally:
        timer.cancel()
    return found, checkpoint


@pytest.fixture(params=[("mysql", "auto"), ("mysql", "file"), ("mariadb", "auto")], ids="-".join)
def coordinates_of(request: pytest.FixtureRequest) -> Iterator[tuple[FreshDatabase, Coordinates]]:
    kind, coordinates = request.param
    database: FreshDatabase = request.getfixturevalue(f"{kind}_database")
    yield database, coordinates
    # What a failed test leaves prepared would keep its database from being dropped.
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("xa recover")
        for *_, name in cursor.fetchall():
            cursor.execute("xa rollback %s", (name,))


def test_a_prepared_transaction_comes_again_after_a_restart(
    capture: Capture, coordinates_of: tuple[FreshDatabase, Coordinates]
) -> None:
    """MySQL sends by GTID what isn't in the set; elsewhere it is fetched from its place."""
    database, coordinates = coordinates_of
    database.execute("create table t (id int primary key)")

    def prepare() -> None:
        for name, *ids in (("r", 1, 2), ("gone", 9), ("late", 7)):
            inserts = [f"insert into t values ({number})" for number in ids]
            ends = f"xa end '{name}'", f"xa prepare '{name}'"
            database.execute(f"xa start '{name}'", *inserts, *ends)
        database.execute("insert into t values (3)", "insert into t values (4)")

    reading = Reading(capture, tables=(f"{database.name}.t",))
    found, checkpoint = decode_from(reading, database, None, 2, coordinates, begun=prepare)
    assert found == [3, 4]
    assert len(checkpoint.prepared) == 3
    checkpoint = Checkpoint.from_bytes(checkpoint.to_bytes())
    database.execute("insert into t values (5)", "xa rollback 'gone'", "xa commit 'r'")
    database.execute("insert into t values (6)")
    again = Reading(capture, tables=(f"{database.name}.t",))
    found, after = decode_from(again, database, checkpoint, 4, coordinates)
    assert found == [5, 1, 2, 6]
    assert [*after.prepared] == ["X'6c617465',X'',1"]

    database.execute("xa commit 'late'")
    last = Reading(capture, tables=(f"{database.name}.t",))
    found, done = decode_from(last, database, after, 1, coordinates)
    assert found == [7]
    assert not done.prepared
    if isinstance(database.server, MySQLServer):  # all that the server did is in the set
        (row,) = database.execute("select @@global.gtid_executed")
        assert MysqlGtidSet.parse(done.gtid_set).contains(MysqlGtidSet.parse(row[0]))


def test_the_rows_of_a_prepared_transaction_are_gone_with_their_file(
    capture: Capture, mariadb_database: FreshDatabase
) -> None:
    database = mariadb_database
    database.execute("create table t (id int primary key)")
    reading = Reading(capture, tables=(f"{database.name}.t",))
    _, checkpoint = decode_from(
        reading, database, None, 1, begun=lambda: database.execute("insert into t values (1)")
    )
    xid = "X'6e6f77686572',X'',1"
    gone = replace(checkpoint, prepared={xid: Prepared("gone.000001", 4)})
    with pytest.raises(PositionLost, match=rf"{xid} of the checkpoint wait.*gone\.000001"):
        decode_from(reading, database, gone, 1)
    elsewhere = replace(checkpoint, prepared={xid: Prepared(checkpoint.file, 4)})
    with pytest.raises(PositionLost, match="no longer at"):
        decode_from(reading, database, elsewhere, 1)


def test_a_commit_whose_rows_lie_before_the_start_stops_with_its_name(
    capture: Capture, mariadb_database: FreshDatabase
) -> None:
    mariadb_database.execute("create table t (id int primary key)")
    mariadb_database.execute(
        "xa start 'early'", "insert into t values (1)", "xa end 'early'", "xa prepare 'early'"
    )
    written = write(mariadb_database, "xa commit 'early'", "insert into t values (2)")
    with pytest.raises(DecodeError, match="XA COMMIT of X'6561726c79'") as refused:
        written.decoded(capture, "t")
    assert "prepared_before_start" in refused.value.hint
    reading, followed = written.decoded(capture, "t", accept=("prepared_before_start",))
    assert ids_of(reading, followed) == [2]
    assert sum(reading.decoder.dropped.values()) == 1


# Rolled back on MariaDB


@pytest.fixture(params=["10", "11"])
def either_mariadb(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """MariaDB 11 leaves positions out inside transactions."""
    server = "mariadb_server" if request.param == "10" else "mariadb11_server"
    with fresh_database(request.getfixturevalue(server)) as database:
        yield database


@pytest.mark.parametrize("bytes_max", [100, 1 << 22])
def test_what_mariadb_rolls_back_behind_what_it_has_written_does_not_count(
    capture: Capture, either_mariadb: FreshDatabase, bytes_max: int
) -> None:
    mariadb_database = either_mariadb
    mariadb_database.execute("create table t (id int primary key)")
    mariadb_database.execute("create table other (id int primary key) engine=myisam")
    written = write(
        mariadb_database,
        "begin", "create temporary table x (id int)", "insert into t values (1)", "rollback",
        "begin", "insert into t values (2)", "savepoint a", "insert into t values (3)",
        "insert into other values (1)", "insert into t values (4)", "rollback to a",
        "insert into t values (5)", "commit",
        "begin", "insert into t values (6)", "rollback",
        "insert into t values (7)",
    )  # fmt: skip
    reading, followed = written.decoded(capture, "t", bytes_max=bytes_max)
    assert ids_of(reading, followed) == [2, 5, 7]
    assert [row[0] for row in select(mariadb_database, "select id from t order by id")] == [2, 5, 7]
    assert followed.checkpoint.pos == written.pos + len(written.events) - around(written.events)
    assert b"ROLLBACK TO" in written.events
    assert b"ROLLBACK" in written.events.replace(b"ROLLBACK TO", b"")


# Statements instead of rows


@pytest.mark.parametrize(
    "statement",
    [
        "insert into t select id + 100 from t",
        "update t set id = id + 1000",
        "delete from t",
        "replace into t values (1)",
        "create table made as select * from t",
        "select changing(7)",
        "load data local infile '{file}' into table t",
    ],
)
def test_changes_written_as_statements_stop_with_their_place(
    capture: Capture, database: FreshDatabase, statement: str, tmp_path: Path
) -> None:
    (tmp_path / "rows").write_text("50\n51\n")
    database.execute(
        "set global log_bin_trust_function_creators = 1", "set global local_infile = 1"
    )
    database.execute(
        "create function changing(n int) returns int begin insert into t values (n); return n; end"
    )
    database.execute("insert into t values (1)")

    def change() -> None:
        with database.connect(local_infile=True) as connection, connection.cursor() as cursor:
            cursor.execute("set binlog_format = statement")
            cursor.execute(statement.format(file=tmp_path / "rows"))

    written = write(database, change, "insert into t values (9999)")
    with pytest.raises(DecodeError, match=rf"as a statement, not as rows, at {written.file}:\d+"):
        written.decoded(capture, "t")
    reading, followed = written.decoded(capture, "t", accept=("statement_rows",))
    assert ids_of(reading, followed) == [9999]
    assert sum(reading.decoder.dropped.values()) == 1


def test_statements_outside_the_captured_databases_are_counted(
    capture: Capture, database: FreshDatabase
) -> None:
    written = write(database, "set binlog_format = statement", "insert into t values (1)")
    reading = Reading(capture, tables=("elsewhere.*",))
    start = reading.start(written.flavor, written.file, written.pos)
    assert reading.follow(written.events, start).records == []
    assert sum(reading.decoder.dropped.values()) == 1


# Without GTIDs, without checksums, large


def test_a_server_without_gtids_and_checksums_is_read_as_any_other(
    capture: Capture, start_mysql: Callable[..., MySQLServer]
) -> None:
    flags = ("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--binlog-checksum=NONE")
    with fresh_database(start_mysql(*flags, "--max-allowed-packet=64M")) as database:
        database.execute("create table t (id int primary key, v longblob)")
        written = write(
            database,
            "insert into t values (1, repeat('x', 20000000))",
            "set binlog_transaction_compression = on",
            "insert into t values (2, repeat('y', 20000000))",
            "update t set v = 'small' where id = 2",
            "xa start 'a'", "insert into t values (3, 'xa')", "xa end 'a'", "xa prepare 'a'",
            "set binlog_transaction_compression = off",
            "insert into t values (4, 'four')",
            "xa commit 'a'",
        )  # fmt: skip
        reading, followed = written.decoded(capture, "t")
        values = [reading.decoded(record.value)["after"] for record in followed.records]
        assert [(v["id"], len(v["v"]), v["v"][:1]) for v in values] == [
            (1, 20_000_000, b"x"), (2, 20_000_000, b"y"), (2, 5, b"s"), (4, 4, b"f"), (3, 2, b"x"),
        ]  # fmt: skip
        sources = [reading.decoded(record.value)["source"] for record in followed.records]
        assert {source["gtid"] for source in sources} == {None}
        assert all(f"{written.file}:" in id_of(record) for record in followed.records)


def test_a_row_of_20_mb_comes_whole(capture: Capture, mysql_database: FreshDatabase) -> None:
    """Its event goes over several packets, whatever the size of a batch."""
    mysql_database.execute("create table t (id int primary key, v longblob)")
    written = write(
        mysql_database, "insert into t values (1, concat(repeat('ab', 10000000), 'end'))"
    )
    (after,) = written.changes(capture, "t")
    assert after["v"] == b"ab" * 10_000_000 + b"end"


# What servers make of one statement


def test_triggers_and_updates_of_several_tables_come_in_the_order_of_the_binlog(
    capture: Capture, database: FreshDatabase
) -> None:
    database.execute(
        "create table a (id int primary key, v int)",
        "create table b (id int primary key, v int)",
        "create trigger log_a after insert on a for each row insert into b values (new.id, new.v)",
    )
    written = write(
        database,
        "begin",
        "insert into a values (1, 10), (2, 20)",
        "savepoint s",
        "insert into a values (3, 30)",
        "rollback to s",
        "commit",
        "update a join b using (id) set a.v = a.v + 1, b.v = b.v + 2",
        "create table made as select * from a",
        "delete from a, b using a join b using (id) where id = 1",
    )
    reading, followed = written.decoded(capture, "*")
    shown = []
    for record in followed.records:
        event = reading.decoded(record.value)
        if event is not None:
            image = event["after"] or event["before"]
            shown.append((event["source"]["table"], event["op"], image["id"], image["v"]))
    assert sorted(shown[:4]) == [
        ("a", "c", 1, 10),
        ("a", "c", 2, 20),
        ("b", "c", 1, 10),
        ("b", "c", 2, 20),
    ]
    assert sorted(shown[4:8]) == [
        ("a", "u", 1, 11),
        ("a", "u", 2, 21),
        ("b", "u", 1, 12),
        ("b", "u", 2, 22),
    ]
    assert shown[8:10] == [("made", "c", 1, 11), ("made", "c", 2, 21)]
    assert sorted(shown[10:]) == [("a", "d", 1, 11), ("b", "d", 1, 12)]
    ordinals = [id_of(record).rsplit("/", 1) for record in followed.records if record.value]
    by_transaction: dict[str, list[int]] = {}
    for transaction, ordinal in ordinals:
        by_transaction.setdefault(transaction, []).append(int(ordinal))
    assert [len(found) for found in by_transaction.values()] == [4, 4, 2, 2]
    assert all(found == sorted(found) for found in by_transaction.values())


# Row images


LEFT_OUT = ("row_image_not_full",)
GONE = "__debezium_unavailable_value"


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_values_that_a_noblob_image_leaves_out_say_so(
    capture: Capture, request: pytest.FixtureRequest, kind: str
) -> None:
    with fresh_database(request.getfixturevalue(f"{kind}_server")) as database:
        database.execute("create table t (id int primary key, n int, v text, b blob)")
        written = write(
            database,
            "set binlog_row_image = 'NOBLOB'",
            "insert into t values (1, 1, 'text', 'blob')",
            "update t set n = 2",
            "update t set v = 'other'",
        )
        reading, output = written.decoded(capture, "t", accept=LEFT_OUT)
        afters = [reading.decoded(record.value)["after"] for record in output.records]
        assert afters == [
            {"id": 1, "n": 1, "v": "text", "b": b"blob"},
            {"id": 1, "n": 2, "v": GONE, "b": GONE.encode()},
            {"id": 1, "n": 2, "v": "other", "b": GONE.encode()},
        ]
        names = rf"a row of {database.name}\.t comes without its columns v, b \(at \S+:\d+\)"
        with pytest.raises(DecodeError, match=names) as refused:
            written.decoded(capture, "t")
        assert "source.accept: [row_image_not_full]" in refused.value.hint
        reading, output = written.decoded(
            capture, "t", options={"column.exclude.list": r".*\.t\.(v|b)"}
        )
        afters = [reading.decoded(record.value)["after"] for record in output.records]
        assert afters == [{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": 1, "n": 2}]


LARGE = {
    "mysql": "j json, v vector(2)",
    "mariadb": "z blob compressed, y text compressed character set latin1",
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_noblob_image_leaves_out_every_blob_and_text_and_no_other_type(
    capture: Capture, request: pytest.FixtureRequest, kind: str
) -> None:
    with fresh_database(request.getfixturevalue(f"{kind}_server")) as database:
        blobs = "a tinytext, b blob, c mediumtext, d longblob"
        others = "w varchar(9000), r varbinary(900), g geometry, p point"
        database.execute(f"create table t (id int primary key, {blobs}, {others}, {LARGE[kind]})")
        more = {"mysql": "'[]', string_to_vector('[1,2]')", "mariadb": "'z', 'y'"}[kind]
        shapes = "st_geomfromtext('POINT(1 2)'), st_geomfromtext('POINT(1 2)')"
        written = write(
            database,
            f"insert into t values (1, 'a', 'b', 'c', 'd', 'w', 'r', {shapes}, {more})",
            "set binlog_row_image = 'NOBLOB'",
            "update t set w = 'ww'",
        )
        reading, output = written.decoded(capture, "t", accept=LEFT_OUT)
        whole, after = (reading.decoded(record.value)["after"] for record in output.records)
        gone = dict.fromkeys("abcd" if kind == "mysql" else "abcdzy", GONE)
        gone |= {name: GONE.encode() for name in "bdz" if name in gone}
        assert after == {**whole, "w": "ww", **gone}
        counted = {name for (_, name), count in reading.decoder.substitutions().items() if count}
        assert counted == set(gone)


LEAVING_OUT = {
    "update of null": ("update t set n = 2", "(n, )?id"),
    "insert": ("insert into t (id) values (2)", "n"),
    "delete": ("delete from t", "n"),
    "update of key": ("update t set id = 2", "n"),
}


@pytest.mark.parametrize("accept", [(), ("row_image_not_full",)], ids=["", "accepted"])
@pytest.mark.parametrize("what", LEAVING_OUT)
@pytest.mark.parametrize("image", ["mysql MINIMAL", "mariadb MINIMAL", "mariadb11 FULL_NODUP"])
def test_an_image_without_another_column_stops_also_where_null_would_do(
    capture: Capture,
    request: pytest.FixtureRequest,
    image: str,
    what: str,
    accept: tuple[str, ...],
) -> None:
    kind, name = image.split()
    statement, missing = LEAVING_OUT[what]
    with fresh_database(request.getfixturevalue(f"{kind}_server")) as database:
        database.execute(
            "create table t (id int primary key, n int default 5)", "insert into t values (1, 1)"
        )
        written = write(database, f"set binlog_row_image = '{name}'", statement)
        if name == "FULL_NODUP" and not statement.startswith("update"):
            assert len(written.decoded(capture, "t")[1].records) > 0  # nothing to be left out
            return
        names = rf"of {database.name}\.t comes without its columns? {missing} \(at \S+:\d+\)"
        with pytest.raises(DecodeError, match=names) as refused:
            written.decoded(capture, "t", accept=accept)
        assert "set it to FULL" in refused.value.hint
        assert "source.accept" not in refused.value.hint
