"""The reference reader gives the same records as capture, or says by name what it can't read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cdc.errors import ConfigError, SourceError, Unreachable
from cdc.reference.source import ReferenceSource
from cdc.services import MariaDBServer, MySQLServer
from tests.readers import Readers, place_now
from tests.reading import settings_for, wait_until
from tests.services_plugin import FreshDatabase, fresh_database

Server = MySQLServer | MariaDBServer

TABLE = """
create table t (
    id int unsigned primary key, big bigint unsigned, tiny tinyint, mid mediumint unsigned,
    amount decimal(12,3), short_text varchar(20), fixed char(8) character set latin1,
    raw binary(5), bits bit(11), flag bit(1), one_of enum('x','y,z'), some set('p','q','r'),
    happened datetime(5), at timestamp(2) null, day date, took time(3), born year,
    ratio float, exact double, note mediumtext, body blob, spot point, any_shape geometry
)
"""
ROWS = (
    "1, 18446744073709551615, -128, 16777215, -123456789.125, 'žluť 🐎', 'äé', x'0100',"
    " b'10000000001', 1, 'y,z', 'p,r', '2024-02-29 12:34:56.78901',"
    " '2001-09-09 01:46:40.12', '1969-12-31', '-838:59:59', 0, 1.1, -0.0, 'n', x'00ff',"
    " st_geomfromtext('POINT(1.5 -2)'),"
    " st_geomfromtext('LINESTRING(0 0,1 1)')",
    "2" + ", null" * 22,
    "3, 0, 0, 0, 0, '', '', '', 0, 0, 0, '', '0000-00-00', '0000-00-00', '0000-00-00',"
    " '12:00:00.5', 2155, -3.4e38, 5e-324, repeat('L', 70000), '', "
    " st_geomfromtext('POINT(0 1e300)'), null",
)


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_server")  # type: ignore[no-any-return]


@pytest.fixture
def database(server: Server) -> Iterator[FreshDatabase]:
    with fresh_database(server) as made:
        yield made


def run(database: FreshDatabase, *statements: str) -> None:
    """In one session that takes what the servers' strict modes refuse."""
    database.execute("set sql_mode = '', time_zone = '+00:00'", *statements)


def readers_of(database: FreshDatabase, *tables: str, **options: Any) -> Readers:
    names = tables or (f"{database.name}.*",)
    return Readers(settings_for(database.server.address, *names), options.pop("options", {}))


def differing(one: Any, other: Any) -> Any:
    """The fields whose values differ."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one, other
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return {name: differing(one.get(name), other.get(name)) for name in names}


def both(readers: Readers, start: Any) -> Sequence[Any]:
    """Records and checkpoint of the reference; they are capture's as well."""
    end = place_now(readers.settings)
    ours = readers.read("capture", start, end)
    theirs = readers.read("reference", start, end)
    for one, other in zip(theirs[0], ours[0], strict=True):
        assert one == other, differing(readers.decoded(one), readers.decoded(other))
    assert theirs[1] == ours[1]
    return theirs[0]


OPTIONS = [
    {"provide.transaction.metadata": "true"},
    {"compat": "debezium-3.7", "decimal.handling.mode": "string", "time.precision.mode": "connect",
     "bigint.unsigned.handling.mode": "precise", "topic.delimiter": "_",
     "skipped.operations": "t"},
    {"decimal.handling.mode": "double", "time.precision.mode": "nanoseconds",
     "tombstones.on.delete": "false"},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=["transactions", "3.7", "nanoseconds"])
def test_its_records_and_checkpoint_are_those_of_capture(
    database: FreshDatabase, options: Mapping[str, str]
) -> None:
    run(database, "create table other (id int primary key)", "create table nokey (a int, b text)")
    run(database, TABLE)
    readers = readers_of(
        database,
        f"{database.name}.t",
        f"{database.name}.nokey",
        options=options,
    )
    start = place_now(readers.settings)
    run(
        database,
        *(f"insert into t values ({row})" for row in ROWS),
        "begin",
        "insert into other values (1), (2)",
        "update t set amount = 1, note = null where id = 1",
        "savepoint s",
        "insert into nokey values (1, 'a'), (2, null)",
        "update t set id = 11 where id = 3",
        "delete from nokey where a = 2",
        "commit",
        "delete from t where id = 2",
        "alter table t drop column amount, add column more int default 4 first",
        "insert into t (id) values (4)",
        "flush binary logs",
        "insert into t (id) values (5)",
        "truncate table t",
    )
    records = both(readers, start)
    assert len(records) >= 13


def test_descriptions_decorate_its_records_as_captures(database: FreshDatabase) -> None:
    """Defaults, stand-in keys and schemas that change with DDL, and where they are kept."""
    run(
        database,
        "create table t (id int primary key, n int default 7, d decimal(6,2) default 1.50,"
        " s varchar(9) default 'x', day date not null default '2020-01-01', f float(7,3),"
        " at timestamp not null default current_timestamp, b varbinary(3) default 'ab')",
        "create table nokey (a int not null, b int, unique (a))",
    )
    readers = readers_of(
        database,
        f"{database.name}.t",
        f"{database.name}.nokey",
        options={"include.schema.changes": "true"},
    )
    readers.is_described = True
    start = place_now(readers.settings)
    run(
        database,
        "insert into t values (1, null, null, null, '0000-00-00', 1.5, '0000-00-00', null)",
        "insert into nokey values (1, 2)",
        "alter table t alter n set default 8",
        "insert into t (id) values (2)",
        "insert into t values (3, null, null, null, '0000-00-00', 1.5, '0000-00-00', null)",
        "update t set n = null where id = 3",
        "update nokey set a = 3",
        "alter table nokey drop index a, add unique (b)",
        "alter table nokey modify b int not null",
        "insert into nokey values (5, 6)",
        "create table gone (id int)",
        "drop table gone",
    )
    records = both(readers, start)
    seen = [readers.decoded(record)["after"] for record in records if record.topic.endswith(".t")]
    assert seen[-1]["n"] == 8
    assert [record.key for record in records if record.topic.endswith(".nokey")][-1] is not None


def test_addresses_of_mariadb_are_text_as_captures(mariadb_database: FreshDatabase) -> None:
    run(mariadb_database, "create table t (id int primary key, u uuid, i inet4, b binary(4))")
    readers = readers_of(mariadb_database)
    readers.is_described = True
    start = place_now(readers.settings)
    value = "'00112233-4455-1677-8899-aabbccddee00', '10.0.0.0', 'ab'"
    run(mariadb_database, f"insert into t values (1, {value}), (2, null, null, null)")
    (first, _) = both(readers, start)[-2:]
    assert readers.decoded(first)["after"]["i"] == "10.0.0.0"


def test_partitions_and_sequences_are_the_same_to_both(database: FreshDatabase) -> None:
    has_sequences = database.server.kind == "mariadb"
    number = "int default nextval(s)" if has_sequences else "int default 1"
    run(
        database,
        *["create sequence s cache 1"] * has_sequences,
        f"create table t (id int primary key, n {number}) partition by hash (id) partitions 3",
    )
    readers = readers_of(database)
    start = place_now(readers.settings)
    run(
        database,
        "insert into t (id) values (1), (2), (3)",
        "update t set id = id + 10, n = 5 where id > 1",
        "delete from t",
    )
    records = both(readers, start)
    assert {record.topic for record in records} == {f"shop.{database.name}.t"}


@pytest.mark.parametrize("coordinates", ["gtid", "file"])
def test_it_goes_on_inside_a_transaction(database: FreshDatabase, coordinates: str) -> None:
    run(database, "create table t (id int primary key, v varchar(9))")
    readers = readers_of(database)
    readers.settings = replace(readers.settings, coordinates=coordinates)  # type: ignore[arg-type]
    start = place_now(readers.settings)
    values = ", ".join(f"({n}, 'x')" for n in range(5000))
    run(database, f"insert into t values {values}", "insert into t values (10000, 'last')")
    end = place_now(readers.settings)
    whole, _ = readers.read("reference", start, end)
    first = next(output for output in readers.outputs("reference", start, end) if output.records)
    assert first.checkpoint.rows_done
    rest, _ = readers.read("reference", first.checkpoint, end)
    begun = list(whole[: len(first.records)])
    assert [*begun, *rest] == whole
    assert rest[0] == readers.read("capture", first.checkpoint, end)[0][0]


WRONG = {
    "json": ("json", "'[1]'", "JSON strings come as bytes"),
    "negative fraction": ("time(2)", "'-00:00:00.10'", "fraction of a negative TIME"),
    "charset": ("varchar(9) character set cp1251", "'Жук'", "text in cp1251"),
    "label charset": ("enum('é') character set latin1", "1", "labels in latin1"),
    "wide labels": ("set('a','b') character set ucs2", "3", "labels in ucs2"),
    "undefined latin1": ("varchar(9) character set latin1", "x'81'", "UnicodeDecodeError"),
    "long label": (f"enum('{'l' * 200}')", "1", "longer than 127 bytes"),
    "vector": ("vector(2)", "string_to_vector('[1,2]')", "VECTOR columns stop it"),
    "compressed column": ("varchar(200) compressed", "repeat('a', 200)", "compressed columns"),
}
ONLY = {"json": "mysql", "vector": "mysql", "compressed column": "mariadb"}


@pytest.mark.parametrize("what", WRONG)
def test_it_refuses_what_the_library_reads_wrongly(
    request: pytest.FixtureRequest, what: str
) -> None:
    type_, value, reason = WRONG[what]
    server = request.getfixturevalue(f"{ONLY.get(what, 'mysql')}_server")
    with fresh_database(server) as database:
        run(database, f"create table t (id int primary key, c {type_})")
        readers = readers_of(database)
        start = place_now(readers.settings)
        run(database, f"insert into t values (1, {value})")
        with pytest.raises(SourceError, match=reason) as refusal:
            readers.read("reference", start, place_now(readers.settings))
        assert start.file in str(refusal.value)


LONG_JSON = "insert into t values (0, concat('[1, \"', repeat('x', 200), '\"]'))"
EVENTS = {
    "compressed": (
        ["set binlog_transaction_compression = on", "insert into t values (1, '[]')"],
        "compressed transactions",
    ),
    "xa": (
        ["xa start 'a'", "insert into t values (1, '[]')", "xa end 'a'", "xa prepare 'a'",
         "xa rollback 'a'"],
        "XA transactions",
    ),
    "partial json": (
        ["set binlog_row_value_options = partial_json",
         "update t set j = json_replace(j, '$[0]', 2)"],
        "partial JSON update",
    ),
    "minimal image": (
        ["set binlog_row_image = minimal", "update u set a = 3"],
        "row image leaves out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", EVENTS)
def test_it_refuses_events_that_the_library_drops(mysql_server: MySQLServer, what: str) -> None:
    statements, reason = EVENTS[what]
    with fresh_database(mysql_server) as database:
        run(
            database,
            "create table t (id int primary key, j json)",
            "create table u (id int primary key, a int, b int)",
        )
        wanted = "u" if what == "minimal image" else "t"
        readers = readers_of(database, f"{database.name}.{wanted}")
        run(database, f"insert into {wanted} select 0, 1, 2" if wanted == "u" else LONG_JSON)
        start = place_now(readers.settings)
        run(database, *statements)
        with pytest.raises(SourceError, match=reason):
            readers.read("reference", start, place_now(readers.settings))


def test_tables_that_it_cannot_read_do_not_matter_while_others_are_captured(
    mysql_server: MySQLServer,
) -> None:
    with fresh_database(mysql_server) as database:
        run(
            database,
            "create table t (id int primary key)",
            "create table other (id int primary key, v vector(2), j json)",
        )
        readers = readers_of(database, f"{database.name}.t")
        start = place_now(readers.settings)
        other = "insert into other values ({}, string_to_vector('[1,2]'), '[]')"
        run(database, other.format(1), "insert into t values (1)")
        assert len(both(readers, start)) == 1
        # Their rows count in ids, and can't be counted.
        start = place_now(readers.settings)
        run(database, "begin", other.format(2), "insert into t values (2)", "commit")
        with pytest.raises(SourceError, match="ids, can't be told"):
            readers.read("reference", start, place_now(readers.settings))


def test_a_lost_connection_is_an_error_not_a_silent_new_one(database: FreshDatabase) -> None:
    run(database, "create table t (id int primary key)")
    readers = readers_of(database)
    start = place_now(readers.settings)
    run(database, "insert into t values (1)")
    outputs = readers.outputs("reference", start)
    assert any(output.records for output in outputs)
    found = "select id from information_schema.processlist where command like 'binlog dump%'"
    ((number,),) = database.execute(found)
    database.execute(f"kill {number}")
    with pytest.raises(Unreachable):
        list(outputs)


def test_it_ends_when_told_to(database: FreshDatabase) -> None:
    stop = threading.Event()
    settings = settings_for(database.server.address, heartbeat_seconds=60.0)
    ended = threading.Event()

    def follow() -> None:
        for _ in ReferenceSource(settings, stop=stop).read(None):
            begun.set()
        ended.set()

    begun = threading.Event()
    threading.Thread(target=follow, daemon=True).start()
    wait_until(begun.is_set)
    stop.set()
    wait_until(ended.is_set)


def test_settings_that_it_does_not_follow_are_refused(mysql_database: FreshDatabase) -> None:
    readers = readers_of(mysql_database, options={"invalid_text": "replace"})
    with pytest.raises(ConfigError, match="invalid"):
        next(readers.outputs("reference", place_now(readers.settings)))


def test_it_begins_by_position_where_the_gtid_set_has_tags(start_mysql: Any) -> None:
    with fresh_database(start_mysql()) as database:
        tag = "set gtid_next = 'AUTOMATIC:app'"
        run(database, "create table t (id int primary key)", tag, "insert into t values (1)")
        readers = readers_of(database)
        start = place_now(readers.settings)
        assert ":app:" in start.gtid_set
        run(database, "insert into t values (2)")
        assert len(both(readers, start)) == 1
        start = place_now(readers.settings)
        run(database, tag, "insert into t values (3)")
        with pytest.raises(SourceError, match="tagged GTIDs"):
            readers.read("reference", start, place_now(readers.settings))
