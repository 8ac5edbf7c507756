"""A table that pt-online-schema-change rebuilds under load is one topic, all the way through."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fastavro
import pytest

from cdc.model import Record
from tests.integration.test_descriptions import KEPT, Capturing
from tests.percona import change_online
from tests.services_plugin import FreshDatabase, fresh_database

ROWS = 2048
LAST = "the last row"


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as found:
        yield found


@contextmanager
def load(database: FreshDatabase) -> Iterator[None]:
    """Inserts, updates and deletes, one transaction each, for as long as the block runs."""
    stop = threading.Event()

    def write() -> None:
        with database.connect(autocommit=True) as connection, connection.cursor() as cursor:
            number = 0
            while not stop.is_set():
                number += 1
                cursor.execute("insert into orders (name) values (%s)", (f"new {number}",))
                cursor.execute("update orders set name = %s where id = %s", (f"u {number}", number))
                cursor.execute("delete from orders where id = %s", (ROWS - number,))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_rows_stay_complete_on_the_tables_own_topic(database: FreshDatabase) -> None:
    capturing = Capturing(database)
    start = capturing.here()
    database.execute(
        "create table orders (id int auto_increment primary key, name varchar(40) not null,"
        " state int not null default 5)",
        "insert into orders (name) values ('a'), ('b'), ('c'), ('d')",
        *("insert into orders (name) select name from orders",) * 9,
    )
    done = threading.Event()

    def rebuild() -> None:
        try:
            with load(database):
                said.append(
                    change_online(
                        database,
                        "orders",
                        "add note varchar(9) not null default 'n', alter state set default 6",
                    )
                )
        finally:
            database.execute(f"insert into orders (name) values ('{LAST}')")
            done.set()

    said: list[str] = []
    thread = threading.Thread(target=rebuild)
    thread.start()
    try:
        capturing.run_until(start, lambda record: LAST.encode() in (record.value or b""))
    finally:
        thread.join()
    assert said and "Successfully altered" in said[0]

    topics = {record.topic for record in capturing.records} - {KEPT}
    assert topics == {f"shop.{database.name}.orders"}
    assert any("online schema change" in reason for _, reason in capturing.dropped)
    rows, defaults = applied(capturing)
    found = database.execute("select id, name, state from orders")
    assert rows == {row[0]: row for row in found}
    assert defaults[0] == (5, None)
    assert defaults[-1] == (6, "n")


def applied(capturing: Capturing) -> tuple[dict[int, Any], list[Any]]:
    """The table as its events make it; and the defaults of its schemas, in order."""
    rows: dict[int, Any] = {}
    defaults: list[Any] = []
    schemas: dict[int, Any] = {}
    for record in capturing.records:
        if record.topic == KEPT or record.value is None:
            continue
        event = decoded(capturing, record, schemas, defaults)
        if event["after"] is None:
            del rows[event["before"]["id"]]
        else:
            after = event["after"]
            rows[after["id"]] = (after["id"], after["name"], after["state"])
    return rows, defaults


def decoded(
    capturing: Capturing, record: Record, schemas: dict[int, Any], defaults: list[Any]
) -> Any:
    assert record.value is not None
    schema_id = int.from_bytes(record.value[1:5], "big")
    if schema_id not in schemas:
        schema = capturing.registry.schema(schema_id)
        (value,) = (t for t in schema["fields"][0]["type"] if isinstance(t, dict))
        by_name = {field["name"]: field.get("default") for field in value["fields"]}
        defaults.append((by_name["state"], by_name.get("note")))
        schemas[schema_id] = fastavro.parse_schema(schema)
    return fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schemas[schema_id], None)
