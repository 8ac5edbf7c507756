"""The schema-change topic holds what Debezium writes: schemas, keys, DDL, tables."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from tests.binlogs import GOLDEN, Binlog, Reading, artificial_rotate
from tests.forms_plugin import Capture

FILES = {
    "gstream2": ("mysql", "binlog.000014"),
    "mariadb/gmaria5": ("mariadb", "mbin.000008"),
}
OPTIONS = {"include.schema.changes": True}


def connector_of(name: str) -> str:
    return name.split("/")[-1]


def recorded(name: str) -> list[tuple[Any, Any, Any, Any]]:
    """Key, value and their schemas, of all records of the recording's schema-change topic."""
    schemas = json.loads((GOLDEN / f"{name}.schemas.json").read_text())
    found = []
    for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["topic"] == connector_of(name):
            key_schema = schemas[str(one["key_schema"])]
            value_schema = schemas[str(one["value_schema"])]
            key = decoded(bytes.fromhex(one["key"]), key_schema)
            value = decoded(bytes.fromhex(one["value"]), value_schema)
            assert one["partition"] == 0
            found.append((key, value, key_schema, value_schema))
    return found


def decoded(body: bytes, schema: Any) -> Any:
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    return fastavro.schemaless_reader(io.BytesIO(body), parsed, None)


def ours(name: str, capture: Capture) -> list[tuple[Any, Any, Any, Any]]:
    flavor, file = FILES[name]
    reading = Reading(capture, connector_of(name), ("golden.*",), OPTIONS)
    data = (GOLDEN / f"{name}.binlog").read_bytes()[4:]
    output = reading.read(artificial_rotate(file) + data, reading.start(flavor, file))
    found = []
    for record in output.records:
        if record.topic == connector_of(name):
            assert record.place == 0
            ids = [int.from_bytes(data[1:5], "big") for data in (record.key, record.value)]
            schemas = [reading.schemas[one] for one in ids]
            found.append(
                (
                    decoded(record.key[5:], schemas[0]),
                    decoded(record.value[5:], schemas[1]),
                    *schemas,
                )
            )
    return found


@pytest.mark.parametrize("name", FILES)
def test_ddl_in_the_stream_gives_debeziums_records(capture: Capture, name: str) -> None:
    theirs = [one for one in recorded(name) if one[1]["source"]["snapshot"] == "false"]
    mine = {one[1]["ddl"]: one for one in ours(name, capture)}
    assert len(theirs) == 3
    for key, value, key_schema, value_schema in theirs:
        found = mine[value["ddl"]]
        value["ts_ms"] = found[1]["ts_ms"]  # of its processing
        assert found == (key, value, key_schema, value_schema)


@pytest.mark.parametrize("name", FILES)
def test_tables_of_every_type_are_told_as_debezium_tells_them(capture: Capture, name: str) -> None:
    """Debezium's are of SHOW CREATE TABLE, ours of the CREATE TABLE in the file."""
    theirs = {
        change["id"]: change["table"]
        for _, value, _, _ in recorded(name)
        for change in value["tableChanges"]
        if change["type"] == "CREATE" and value["databaseName"] == "golden"
    }
    mine = {
        change["id"]: change["table"]
        for _, value, _, _ in ours(name, capture)
        for change in value["tableChanges"]
        if change["type"] == "CREATE"
    }
    assert len(theirs) == 7
    assert mine == theirs


def test_a_database_and_a_dropped_table_have_records_and_what_is_not_captured_has_none(
    capture: Capture,
) -> None:
    reading = Reading(capture, tables=("shop.*",), options=OPTIONS)
    log = Binlog()
    for nth, text in enumerate(
        [
            "create database shop",
            "create table t (id int primary key)",
            "create table other.t (id int)",
            "create table _t_new like t",
            "create user x identified by 'secret'",
            "drop table t, _t_new",
            "create view v as select 1",
            "drop database other",
        ],
        1,
    ):
        log.gtid(nth).query(text)
    records = [one for one in reading.first(log).records if one.topic == "c"]
    events = [reading.decoded(one.value) for one in records]
    assert [(one["ddl"], [c["type"] for c in one["tableChanges"]]) for one in events] == [
        ("create database shop", []),
        ("create table t (id int primary key)", ["CREATE"]),
        ("drop table t, _t_new", ["DROP"]),
    ]
    assert {reading.decoded(one.key)["databaseName"] for one in records} == {"shop"}
    assert events[2]["tableChanges"] == [{"type": "DROP", "id": '"shop"."t"', "table": None}]


def test_without_the_option_there_is_no_such_topic(capture: Capture) -> None:
    reading = Reading(capture, tables=("shop.*",))
    log = Binlog().gtid(1).query("create table t (id int primary key)")
    assert list(reading.first(log).records) == []


def test_what_is_kept_of_hidden_columns_is_their_names_and_types(capture: Capture) -> None:
    options = {"column.exclude.list": "shop.t.b", "column.mask.with.3.chars": "shop.t.c"}
    reading = Reading(capture, tables=("shop.*",), options=options, topic="c.descriptions")
    log = Binlog().gtid(1)
    log.query(
        "create table t (a varchar(9) default 'seen' primary key, b varchar(9) default 'never1'"
        " comment 'never2', c enum('never3') default 'never3')"
    )
    (record,) = reading.first(log).records
    assert b"seen" in record.value
    assert b"never" not in record.value
