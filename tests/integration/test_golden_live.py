"""The golden statements on real servers give what Debezium wrote of them, as they happen."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pymysql.constants import CLIENT

from cdc.capture.settings import parse_settings
from cdc.model import Record
from tests.binlogs import GOLDEN
from tests.integration.test_descriptions import KEPT, Capturing
from tests.services_plugin import FreshDatabase
from tests.unit.test_golden import MARIADB_DDL, RECORDINGS, Golden, recorded, timeless

PARTITIONS = 4
METADATA = "provide.transaction.metadata"
SERVERS_OWN = ("ts_ms", "ts_us", "ts_ns", "server_id", "gtid", "file", "pos", "thread")
"""Fields of `source` that a server gives."""


def execute_file(database: FreshDatabase, path: Path) -> None:
    """All statements of a file in one session."""
    with (
        database.server.connect(
            client_flag=CLIENT.MULTI_STATEMENTS, charset="utf8mb4", autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(path.read_text())
        while cursor.nextset():
            pass


@pytest.mark.parametrize("golden", RECORDINGS, ids=lambda golden: golden.name)
def test_live_records_are_debeziums_but_for_what_the_server_gives(
    golden: Golden, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(f"{golden.flavor}_server")
    database = FreshDatabase(server, "golden")
    folder = (GOLDEN / golden.name).parent
    settings, _ = parse_settings(golden.options)
    capturing = Capturing(database, connector=golden.name.split("/")[-1], events=settings)
    try:
        execute_file(database, folder / "schema.sql")
        start = capturing.here()
        execute_file(database, folder / "rows1.sql")
        end = capturing.run_until(start, lambda record: record.topic.endswith(".Odd-Name.1"))
        execute_file(database, folder / "rows2.sql")
        kept = [record for record in capturing.records if record.topic == KEPT]
        is_last = end_of_rows2(has_transactions=METADATA in golden.options)
        capturing.run_until(end, is_last, kept)
    finally:
        database.execute("drop database if exists golden")
    theirs, mine = recorded_changes(golden), captured_changes(capturing)
    assert mine.keys() == theirs.keys()
    deviating = {place for place in theirs if mine[place] != theirs[place]}
    assert deviating == {
        (topic, bytes.fromhex(key or "")) for topic, key in golden.deviations if "numbers" in topic
    }
    their_transactions = recorded_transactions(golden)
    assert captured_transactions(capturing) == their_transactions
    assert bool(their_transactions) is (METADATA in golden.options)


def end_of_rows2(*, has_transactions: bool) -> Callable[[Record], bool]:
    """`insert … on duplicate key update f=9.25` is the last statement; its transaction ends."""
    is_there = False

    def is_end(record: Record) -> bool:
        nonlocal is_there
        value = record.value or b""
        is_there |= struct.pack("<f", 9.25) in value
        return is_there and (not has_transactions or b"\x06END" in value)

    return is_end


def recorded_transactions(golden: Golden) -> list[Any]:
    """As Debezium told them, less the BEGIN that it has of MariaDB's DDL."""
    wires = (wire for (topic, _), found in recorded(golden).items() for wire in found
             if topic.endswith(".transaction"))  # fmt: skip
    told = transactions_of(plain(wire.value_schema, wire.value) for wire in wires)
    begun_only = [one for one in told if len(one) == 1]
    assert len(begun_only) == list(golden.deviations.values()).count(MARIADB_DDL)
    return [one for one in told if len(one) > 1]


def captured_transactions(capturing: Capturing) -> list[Any]:
    found = (one for one in capturing.records if one.topic.endswith(".transaction"))
    return transactions_of(
        plain(schema_of(capturing, one.value), one.value[5:]) for one in found if one.value
    )


def transactions_of(events: Iterable[Any]) -> list[list[tuple[str, int | None, Any]]]:
    """What is said of each, in the order of their numbers: status, events in all, by table."""
    by_id: dict[str, list[tuple[str, int | None, Any]]] = {}
    for event in events:
        told = (event["status"], event["event_count"], event["data_collections"])
        by_id.setdefault(event["id"], []).append(told)
    number = re.compile(r"\d+$")
    return [by_id[name] for name in sorted(by_id, key=lambda name: int(number.findall(name)[0]))]


def recorded_changes(golden: Golden) -> dict[Any, list[Any]]:
    return {
        place: [
            (
                wire.partition,
                wire.key_schema,
                wire.value_schema,
                neutral(wire.value_schema, wire.value),
            )
            for wire in wires
        ]
        for place, wires in recorded(golden).items()
        if not place[0].endswith(".transaction")
    }


def captured_changes(capturing: Capturing) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for record in capturing.records:
        if record.topic in (KEPT, capturing.connector) or record.topic.endswith(".transaction"):
            continue
        key_schema = schema_of(capturing, record.key)
        value_schema = schema_of(capturing, record.value)
        key = None if record.key is None else record.key[5:]
        value = None if record.value is None else timeless(value_schema, record.value[5:])
        found.setdefault((record.topic, key), []).append(
            (
                None if key is None else record.place % PARTITIONS,
                key_schema,
                value_schema,
                neutral(value_schema, value),
            )
        )
    return found


def schema_of(capturing: Capturing, framed: bytes | None) -> Any:
    return None if framed is None else capturing.registry.schema(int.from_bytes(framed[1:5], "big"))


def neutral(schema: Any, value: bytes | None) -> Any:
    """A change event without what a server, or the moment, gives."""
    if value is None:
        return None
    no_times = bytes(3)
    event = plain(schema, value + no_times)
    event["source"] = {
        name: None if name in SERVERS_OWN else one for name, one in event["source"].items()
    }
    if event["transaction"] is not None:
        event["transaction"]["id"] = None
    return event


def plain(schema: Any, value: bytes | None) -> Any:
    """As Python has it."""
    return fastavro.schemaless_reader(io.BytesIO(value or b""), fastavro.parse_schema(schema), None)
