"""What others say of the same stretch of binlog: the server, mysqlbinlog, mysql-replication."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import read_facts
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.source_settings import ServerSettings
from cdc.codec.avro import SchemaCache
from cdc.model import Record
from cdc.reference.changes import Changes
from cdc.reference.comparison import Comparison, line_of_record, place_of
from cdc.reference.source import ReferenceSource
from cdc.reference.tables import Tables
from cdc.services import mariadb, mysql
from cdc.services.ways import WayClosed
from cdc.testing import MemoryRegistry
from tests.binlogs import Reading
from tests.forms_plugin import compiled, plain
from tests.properties.stories import Column, Story, Table, named
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase

SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Stretch:
    """What was written, and what capture made of it."""

    settings: ServerSettings
    start: Checkpoint
    end: tuple[str, int]
    records: Sequence[Record]
    schemas: Mapping[int, Any]
    events: Sequence[Mapping[str, Any]]
    """The decoded values of change events, in order."""
    shown: Mapping[str, Sequence[Sequence[Any]]]
    """Table → what the server selects."""


def stretch_of(database: FreshDatabase, story: Story) -> Stretch:
    """Run the story; read it by capture in both its forms, which agree to the byte."""
    session = "set time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'"
    connection = database.connect(init_command=session, autocommit=True)
    with connection, connection.cursor() as cursor:
        for table in story.tables:
            cursor.execute(table.create)
        start = _place(cursor, database)
        for statement in story.statements:
            cursor.execute(statement)
        end = _place(cursor, database)
        shown = {}
        for table in story.tables:
            cursor.execute(table.shown)
            shown[table.name] = cursor.fetchall()
        for table in story.tables:
            cursor.execute("drop table " + named(table.name))
    settings = settings_for(
        database.server.address, f"{database.name}.*", coordinates="file", heartbeat_seconds=1.0
    )
    with Session(settings) as first:
        facts = read_facts(first)
        dump = Dump(first, facts, Place(file=start[0], pos=start[1]), ends=True)
        events = b"".join(dump.batches(threading.Event()))
    checkpoint = Checkpoint(facts.flavor, facts.server_uuid, "", *start)
    reading, records = _captured(events, checkpoint, database.name)
    decoded = [reading.decoded(record.value) for record in records]
    return Stretch(settings, checkpoint, end, records, reading.schemas, decoded, shown)


def _place(cursor: Any, database: FreshDatabase) -> tuple[str, int]:
    kind = "binary log" if database.server.kind == "mysql" else "master"
    cursor.execute(f"show {kind} status")
    file, position = cursor.fetchone()[:2]
    return file, int(position)


def _captured(events: bytes, start: Checkpoint, database: str) -> tuple[Reading, Sequence[Record]]:
    found = []
    for form in filter(None, (compiled(), plain())):
        reading = Reading(
            form, connector="shop", tables=(f"{database}.*",),
            options={"tombstones.on.delete": "false"},
        )  # fmt: skip
        begin = form.checkpoint.Checkpoint(start.flavor, start.server, "", start.file, start.pos)
        found.append((reading, list(reading.read(events, begin).records)))
    values = [[record.value for record in records] for _, records in found]
    assert all(one == values[0] for one in values), "the compiled and the plain form differ"
    return found[0]


@dataclass(frozen=True)
class Known:
    """A registry of these schemas."""

    schemas: Mapping[int, Any]

    def schema(self, schema_id: int) -> Any:
        return self.schemas[schema_id]


def select_differs(story: Story, stretch: Stretch) -> list[Any]:
    """Where our change events, folded by id, are not what the server selects."""
    wrong: list[Any] = []
    for table in story.tables:
        rows: dict[int, Mapping[str, Any]] = {}
        for event in stretch.events:
            if event["source"]["table"] != table.name:
                continue
            if event["before"] is not None:
                wrong += _missing(rows.pop(event["before"]["id"], None), event["before"])
            if event["after"] is not None:
                rows[event["after"]["id"]] = event["after"]
        theirs = {row[0]: row[1:] for row in stretch.shown[table.name]}
        if rows.keys() != theirs.keys():
            wrong.append((table.name, sorted(rows), sorted(theirs)))
            continue
        for number, shown in theirs.items():
            for column, value in zip(table.columns, shown, strict=True):
                ours = _comparable(column, rows[number][column.field])
                expected = _expected(column, value)
                if ours != expected:
                    wrong.append((column.ddl, number, ours, expected))
    return wrong


def _missing(known: Any, before: Any) -> list[Any]:
    return [] if known == before else [("before is not what was after", known, before)]


def _comparable(column: Column, value: Any) -> Any:
    return None if value is None else column.kind.ours(value)


def _expected(column: Column, shown: Any) -> Any:
    """The server's answer; for a date that is none what stands for it."""
    if shown is None:
        return None
    if column.kind.is_date and not _is_date(shown):
        # As documented: null, else the epoch.
        if column.is_nullable:
            return None
        return "1970-01-01" + re.sub(r"[1-9]", "0", shown[10:])
    if column.kind.ddl == "json":
        return column.kind.ours(shown)
    return shown


def _is_date(shown: str) -> bool:
    try:
        date.fromisoformat(shown[:10])
    except ValueError:
        return False
    return True


# mysqlbinlog

_ROW = re.compile(r"### (INSERT INTO|UPDATE|DELETE FROM) (`(?:[^`]|``)*`)\.(`(?:[^`]|``)*`)\s*$")
_VALUE = re.compile(r"###   @(\d+)=(.*?)(?: /\* .*?is_null=[01] \*/)?$", re.DOTALL)


@dataclass
class Shown:
    """A row change as mysqlbinlog prints it."""

    operation: str
    table: str
    images: list[dict[int, str]]


def mysqlbinlog_of(kind: str) -> list[str]:
    """The server's own tool; its tests skip where it can't be had, and fail in CI."""
    try:
        if kind == "mysql":
            return mysql.client_command("mysqlbinlog")
        return mariadb.tool_command("mariadb-binlog")
    except WayClosed as missing:
        reason = f"mysqlbinlog of {kind}: {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def shown_by_mysqlbinlog(stretch: Stretch, command: Sequence[str]) -> list[Shown]:
    """All row changes of the stretch."""
    settings = stretch.settings
    ended = subprocess.run(
        [*command, "-vv", "--base64-output=DECODE-ROWS", "--read-from-remote-server",
         f"--host={settings.host}", f"--port={settings.port}", f"--user={settings.user}",
         "--protocol=TCP", f"--start-position={stretch.start.pos}",
         f"--stop-position={stretch.end[1]}", stretch.start.file],
        env={**os.environ, "MYSQL_PWD": settings.password},
        capture_output=True,
        timeout=SECONDS_MAX,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return list(_parsed(ended.stdout.decode("latin-1")))


def _parsed(text: str) -> Iterator[Shown]:
    current: Shown | None = None
    for line in text.split("\n"):
        row = _ROW.match(line)
        if row:
            if current:
                yield current
            current = Shown(row[1].split()[0], row[3][1:-1].replace("``", "`"), [])
        elif current and line in ("### SET", "### WHERE"):
            current.images.append({})
        elif current and line.startswith("###   @"):
            value = _VALUE.match(line)
            assert value, line
            current.images[-1][int(value[1])] = value[2]
        elif current and not line.startswith("###"):
            yield current
            current = None
    if current:
        yield current


_OPERATIONS = {"INSERT": ("after",), "UPDATE": ("before", "after"), "DELETE": ("before",)}


def mysqlbinlog_differs(story: Story, stretch: Stretch, shown: Sequence[Shown]) -> list[Any]:
    """Where our change events are not what mysqlbinlog prints, of types that it prints whole."""
    tables = {table.name: table for table in story.tables if table.is_printable}
    ours = [one for one in _as_statements(stretch.events) if one[1] in tables]
    theirs = [one for one in shown if _latin(one.table) in tables]
    if [(op, table) for op, table, _ in ours] != [(o.operation, _latin(o.table)) for o in theirs]:
        return [([(op, table) for op, table, _ in ours],
                 [(one.operation, _latin(one.table)) for one in theirs])]  # fmt: skip
    wrong: list[Any] = []
    for (_, name, images), one in zip(ours, theirs, strict=True):
        for image, printed in zip(images, one.images, strict=True):
            wrong += _image_differs(tables[name], image, printed)
    return wrong


def _latin(text: str) -> str:
    """Names are printed in UTF-8, and the output is read octet by octet."""
    return text.encode("latin-1").decode()


def _as_statements(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[Any]]]:
    """(operation, table, images); a changed key, which comes in two events, is one update."""
    held: Mapping[str, Any] | None = None
    for event in events:
        source = event["source"]
        table = source["table"]
        if held is not None:
            place = (held["source"]["pos"], held["source"]["row"])
            if place == (source["pos"], source["row"]):
                yield "UPDATE", table, [held["before"], event["after"]]
                held = None
                continue
            yield "DELETE", held["source"]["table"], [held["before"]]
            held = None
        if event["op"] == "d":
            held = event
        elif event["op"] == "u":
            yield "UPDATE", table, [event["before"], event["after"]]
        else:
            yield "INSERT", table, [event["after"]]
    if held is not None:
        yield "DELETE", held["source"]["table"], [held["before"]]


def _is_printed_date(text: str) -> bool:
    return text.strip("0.") != "" and (text[0] != "'" or _is_date(text[1:].replace(":", "-", 2)))


def _image_differs(table: Table, image: Mapping[str, Any], printed: Mapping[int, str]) -> list[Any]:
    wrong = []
    columns: list[Column | None] = [*table.columns]
    columns.insert(table.id_at, None)
    for at, column in enumerate(columns, 1):
        text = printed.get(at)
        if column is None:
            if text is None or int(text.split(" (")[0]) != image["id"]:
                wrong.append(("id", image["id"], text))
            continue
        value = image[column.field]
        is_null = text == "NULL"
        if column.kind.is_date and (value is None or not _is_printed_date(str(text))):
            continue  # something else stands for a date that is none
        if text is None or (value is None) != is_null:
            wrong.append((column.ddl, value, text))
        elif value is not None and column.kind.binlog is not None:
            allowed = column.kind.binlog(value)
            if not {text, text.strip("'")} & allowed:
                wrong.append((column.ddl, allowed, text))
    return wrong


# mysql-replication


def reference_differs(stretch: Stretch) -> list[Any]:
    """Where our change events are not what mysql-replication reads, where that is right."""
    registry = MemoryRegistry()

    def announce(topic: str, key: Any, value: Any) -> tuple[int, int]:
        return (registry.register("k", key) if key else 0), registry.register("v", value)

    settings = ChangeEventSettings(tombstones_on_delete=False)
    binder = Binder("shop", stretch.settings.tables, settings, announce, is_plain=True)
    tables = Tables(binder, settings)
    changes, comparison = Changes(tables, with_gaps=True), Comparison()
    end, stop = place_of(*stretch.end), threading.Event()
    timer = threading.Timer(SECONDS_MAX, stop.set)
    timer.start()
    passed = place_of(stretch.start.file, stretch.start.pos)
    source = ReferenceSource(replace(stretch.settings, server_id=4_000_000_077), stop=stop)
    try:
        with closing(source.read(stretch.start)) as batches:
            for batch in batches:
                comparison.reference(changes.of(batch))
                checkpoint = changes.checkpoint(0)
                passed = place_of(checkpoint.file, checkpoint.pos)
                if passed >= end:
                    break
    finally:
        timer.cancel()
    assert passed >= end, "the reference did not come to the end"
    schemas = SchemaCache(Known(stretch.schemas), plain=True)  # type: ignore[arg-type]
    lines = [line_of_record(record, schemas) for record in stretch.records]
    comparison.ours(line for line in lines if line is not None)
    comparison.join(end, end)
    return comparison.differences
