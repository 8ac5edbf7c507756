"""Tables unlike most: partitioned, opened anew, with a key that the server made, sequences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cdc.services import DatabaseServer, MariaDBServer
from tests.binlogs import whole_events
from tests.forms_plugin import Capture
from tests.integration.test_descriptions import Capturing
from tests.services_plugin import FreshDatabase, fresh_database
from tests.written import Written, select, write

TABLE_MAP, ROWS, PARTIAL_UPDATE_ROWS = 19, (30, 31, 32), 39
PARTITIONS = (
    "partition by range (id) (partition p0 values less than (10),"
    " partition p1 values less than (20), partition p2 values less than maxvalue)"
)


@pytest.fixture(params=["mysql", "mariadb", "mariadb11"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A database of each server."""
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    with fresh_database(server) as made:
        yield made


@pytest.fixture(params=["mariadb", "mariadb11"])
def mariadb(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    """A database of each MariaDB."""
    server: MariaDBServer = request.getfixturevalue(f"{request.param}_server")
    with fresh_database(server) as made:
        yield made


def changes_by_key(reading: Any, output: Any) -> Mapping[Any, list[Any]]:
    """(table, id) → operation, before and after of its changes, in order."""
    found: dict[Any, list[Any]] = {}
    for record in output.records:
        event = reading.decoded(record.value)
        if event is not None:
            image = event["after"] or event["before"]
            change = (event["op"], event["before"], event["after"])
            found.setdefault((event["source"]["table"], image["id"]), []).append(change)
    return found


# Partitions


CHANGES = (
    "insert into {} values (1, 'a'), (11, 'b'), (2, 'c'), (31, null)",
    "update {} set v = concat(v, '!') where id < 20",
    "update {} set id = id + 10 where id = 2",
    "update {} set id = 3, v = 'from p2' where id = 31",
    "delete from {} where id > 10",
)


def test_rows_of_a_partitioned_table_are_those_of_any_other(
    capture: Capture, database: FreshDatabase
) -> None:
    """MySQL says in the event which partition they are of, and of updates which two."""
    columns = "(id int primary key, v varchar(9))"
    database.execute(f"create table t {columns} {PARTITIONS}", f"create table u {columns}")
    statements = [text.format(table) for text in CHANGES for table in ("t", "u")]
    written = write(database, *statements)
    found = changes_by_key(*written.decoded(capture, "*"))
    of_t = {key: changes for (table, key), changes in found.items() if table == "t"}
    of_u = {key: changes for (table, key), changes in found.items() if table == "u"}
    assert of_t == of_u
    assert set(of_t) == {1, 2, 3, 11, 12, 31}
    extra = {
        int.from_bytes(event[27:29], "little")
        for event in whole_events(written.events)
        if event[4] in ROWS
    }
    assert len(extra) > 1 if database.server.kind == "mysql" else extra <= {2}


def test_partial_json_of_a_partitioned_table_is_whole(
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    document = "json_object('pad', repeat('x', 300), 'n', 1)"
    mysql_database.execute(f"create table t (id int primary key, j json) {PARTITIONS}")
    written = write(
        mysql_database,
        "set binlog_row_value_options = partial_json",
        f"insert into t values (1, {document}), (11, {document})",
        "update t set j = json_set(j, '$.n', 2)",
        "update t set j = json_set(j, '$.n', 3), id = 12 where id = 1",
    )
    kinds = [event[4] for event in whole_events(written.events)]
    assert kinds.count(PARTIAL_UPDATE_ROWS) > 1
    whole = dict(select(mysql_database, "select id, j->>'$.n' from t"))
    last = {
        key: changes[-1][2]
        for (_, key), changes in changes_by_key(*written.decoded(capture, "t")).items()
    }
    assert {key: str(json.loads(row["j"])["n"]) for key, row in last.items() if row} == whole


def test_rows_that_partitions_take_along_are_counted(
    capture: Capture, database: FreshDatabase
) -> None:
    columns = "(id int primary key, v varchar(9))"
    database.execute(f"create table t {columns} {PARTITIONS}", f"create table u {columns}")
    written = write(
        database,
        "insert into t values (1, 'a'), (11, 'b'), (31, 'c')",
        "insert into u values (2, 'x')",
        "alter table t exchange partition p0 with table u",
        "alter table t truncate partition p1",
        "alter table t drop partition p2",
        "insert into t values (3, 'd')",
    )
    reading, output = written.decoded(capture, "t")
    assert sorted(key for _, key in changes_by_key(reading, output)) == [1, 3, 11, 31]
    reason = "rows of partitions or tablespaces, without events"
    assert reading.decoder.dropped[f"{database.name}.t", reason] == 3


# Table ids


def test_a_table_that_is_opened_anew_has_another_id_and_is_the_same(
    capture: Capture, database: FreshDatabase
) -> None:
    names = [f"t{n}" for n in range(30)]
    database.execute(*(f"create table {name} (id int primary key, v int)" for name in names))
    inserts = [[f"insert into {name} values ({n}, {n})" for name in names] for n in range(3)]
    written = write(
        database,
        *inserts[0],
        "flush tables",
        *inserts[1],
        "flush tables",
        "alter table t7 add w int default 7 first",
        *(f"insert into {name} (id, v) values (2, 2)" for name in names),
    )
    ids = ids_by_table(written)
    assert {len(found) for found in ids.values()} == {3}
    reading, output = written.decoded(capture, "*")
    events = [reading.decoded(record.value) for record in output.records]
    assert [one["source"]["table"] for one in events] == names * 3
    assert [one["after"]["id"] for one in events] == [0] * 30 + [1] * 30 + [2] * 30
    assert [one["after"]["w"] for one in events if "w" in one["after"]] == [7]


def ids_by_table(written: Written) -> Mapping[str, set[int]]:
    """What the stretch's TABLE_MAP events call each table."""
    ids: dict[str, set[int]] = {}
    for event in whole_events(written.events):
        if event[4] == TABLE_MAP:
            name = event[28:].split(b"\0")[1][1:].decode()
            ids.setdefault(name, set()).add(int.from_bytes(event[19:25], "little"))
    return ids


# A key that the server made


def test_a_generated_invisible_key_is_a_column_and_the_key(mysql_database: FreshDatabase) -> None:
    capturing = Capturing(mysql_database)
    start = capturing.here()
    mysql_database.execute(
        "set sql_generate_invisible_primary_key = on",
        "create table t (a int, b varchar(9) not null default 'x')",
        "insert into t (a) values (1), (1)",
        "update t set a = 2 where my_row_id = 2",
    )
    capturing.run(start, count=3)
    changes = capturing.changes()
    assert [one.row for one in changes] == [
        {"my_row_id": 1, "a": 1, "b": "x"},
        {"my_row_id": 2, "a": 1, "b": "x"},
        {"my_row_id": 2, "a": 2, "b": "x"},
    ]
    assert {field["name"] for one in changes for field in one.key_schema["fields"]} == {"my_row_id"}
    assert [one.default("b") for one in changes] == ["x"] * 3


def test_a_generated_invisible_key_is_known_where_the_server_hides_it(
    mysql_database: FreshDatabase,
) -> None:
    mysql_database.execute(
        "set sql_generate_invisible_primary_key = on",
        "create table t (a int, b varchar(9) not null default 'x')",
        "set global show_gipk_in_create_table_and_information_schema = off",
    )
    try:
        hidden = "select count(*) from information_schema.columns where table_schema = database()"
        assert mysql_database.execute(hidden) == ((2,),)
        capturing = Capturing(mysql_database)
        capturing.run(capturing.here(), ["insert into t (a) values (1)"], count=1)
    finally:
        mysql_database.execute(
            "set global show_gipk_in_create_table_and_information_schema = default"
        )
    (change,) = capturing.changes()
    assert change.default("b") == "x"
    assert capturing.decisions("t") == ["catalogue"]


# Sequences


def test_a_sequences_state_is_counted_and_its_numbers_are_in_the_rows(
    capture: Capture, mariadb: FreshDatabase
) -> None:
    written = write(
        mariadb,
        "create sequence s start with 5 cache 1",
        "create table t (id int primary key default nextval(s), v int)",
        "insert into t (v) values (1), (2)",
        "select setval(s, 50)",
        "alter sequence s increment by 10",
        "insert into t (v) values (3)",
    )
    reading, output = written.decoded(capture, "*")
    assert {record.topic for record in output.records} == {f"c.{mariadb.name}.t"}
    shown = [row for (row,) in select(mariadb, "select id from t order by v")]
    assert [key for _, key in changes_by_key(reading, output)] == shown
    (dropped,) = reading.decoder.dropped.items()
    assert dropped[0] == (f"{mariadb.name}.s", "a sequence's state, which is no table's rows")
    assert dropped[1] >= 4
