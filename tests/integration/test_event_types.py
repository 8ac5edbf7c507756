"""Event types that only some settings of a server write, read from real servers in both forms."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from cdc.errors import DecodeError
from tests.binlogs import id_of
from tests.forms_plugin import Capture
from tests.services_plugin import FreshDatabase
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
    capture: Capture, mysql_database: FreshDatabase
) -> None:
    mysql_database.execute("create table t (id int primary key)")
    written = write(
        mysql_database,
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
