"""The evidence of a run, from the source by SQL and from the connector's topics."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from pymysql.cursors import SSCursor

from cdc.capture.gtid import MysqlGtidSet
from cdc.config import ConnectorConfig, KafkaLog
from cdc.model import Message
from cdc.ports import Log
from cdc.services import mysql
from cdc.services.ways import WayClosed
from cdc.wiring.ends import open_log, open_registry
from tests.faults.decoding import file_number
from tests.faults.evidence import Entry, Evidence, Place
from tests.faults.rows import as_value, spelled
from tests.faults.workload import place_of
from tests.services_plugin import FreshDatabase

SECONDS_MAX = 300.0
READERS_MAX = 4
PAYLOAD = "Transaction_payload"
"""What `SHOW BINLOG EVENTS` calls it."""
_ROW = re.compile(rb"### (INSERT INTO|UPDATE|DELETE FROM) `(\w+)`\.`(\w+)`")
_OPERATIONS = {b"INSERT INTO": 0, b"UPDATE": 1, b"DELETE FROM": 2}
_MARIADB_GTID = re.compile(r"(\d+)-(\d+)-(\d+)")


def collect(
    config: ConnectorConfig,
    database: FreshDatabase,
    restarts: Sequence[Mapping[Place, int]] = (),
    strangers: int = 0,
) -> Evidence:
    """What the source and the topics hold now; nobody may write meanwhile."""
    with closing(open_log(config)) as log, closing(open_registry(config)) as registry:
        topics = _topics(config.connector, database.name, log.topics())
        with ThreadPoolExecutor(READERS_MAX) as readers:  # opening a reader takes most of the time
            messages = [one for read in readers.map(_reading(log), topics) for one in read]
        subjects = {
            name: list(registry.versions(name))
            for name in registry.subjects()
            if name.rpartition("-")[0] in topics
        }
        schemas = {number: registry.schema(number) for ids in subjects.values() for number in ids}
    messages.sort(key=lambda one: one[:3])
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select file, pos, gtids from begun")
        begun = cursor.fetchone() or ("", 0, "")
        end = place_of(cursor, database.server.kind)
        cursor.execute("select seq, tx, tbl, pk, ver, op, row_hash from ledger order by seq")
        ledger = [Entry(*row) for row in cursor.fetchall()]
        rows = {name: _rows(cursor, name) for name in _tables(cursor)}
    return Evidence(
        connector=config.connector,
        database=database.name,
        ledger=ledger,
        rows=rows,
        gtids=_executed(database.server.kind, begun[2], end[2]),
        counted=_counted(database, begun, end),
        schemas=schemas,
        subjects=subjects,
        restarts=list(restarts),
        is_translated=bool(config.streams),
        strangers=strangers,
        payloads=_payloads(database, begun[0], end[0]),
        messages=messages,
    )


def ends_of(config: ConnectorConfig, database: str) -> Mapping[Place, int]:
    """Behind all that was written to the topics of the workload, committed or not."""
    with closing(open_log(config)) as log:
        topics = log.topics()
        names = _topics(config.connector, database, topics)
        if not isinstance(config.log, KafkaLog):
            return {at: end for name in names for at, end in log.end_offsets(name).items()}
    options = {"group.id": "cdc.faults", "isolation.level": "read_uncommitted"}
    with closing(Consumer({"bootstrap.servers": config.log.bootstrap_servers, **options})) as kafka:
        return {
            (name, partition): kafka.get_watermark_offsets(
                TopicPartition(name, partition), timeout=SECONDS_MAX
            )[1]
            for name in names
            for partition in range(topics[name])
        }


def marker_came(config: ConnectorConfig, topic: str, marker: str) -> Iterator[bool]:
    """True once the marker is in the topic; else False, each time nothing is new."""
    start: dict[Place, int] = {}
    with closing(open_log(config)) as log:
        while True:
            messages: Iterator[Message] = iter(())
            if topic in log.topics():
                messages = log.follow(topic, start, wait_seconds=0.2)
            for one in messages:
                start[one.topic, one.partition] = one.offset + 1
                if one.value is not None and marker.encode() in one.value:
                    yield True
            yield False


def _topics(connector: str, database: str, there: Mapping[str, int]) -> list[str]:
    """The change and event topics of the workload's tables and the transaction topic."""
    own = re.compile(
        rf"{connector}(\.({database}\.(w\w+|ledger)|transaction)|_(w\w+|ledger)\.v1)\Z"
    )
    return [name for name in there if own.match(name)]


def _reading(log: Log) -> Callable[[str], list[Message]]:
    return lambda topic: list(log.follow(topic, {}, wait_seconds=0))


def _tables(cursor: Any) -> list[str]:
    cursor.execute("show tables like 'w%'")
    return [name for (name,) in cursor.fetchall()]


def _rows(cursor: Any, table: str) -> dict[str, dict[str, str]]:
    cursor.execute(f"select * from {table}")
    names = [column[0] for column in cursor.description]
    found = {}
    for row in cursor.fetchall():
        values = {name: spelled(as_value(one)) for name, one in zip(names, row, strict=True)}
        found[values["id"]] = values
    return found


def _executed(kind: str, before: str, after: str) -> list[str]:
    """Each transaction of the difference."""
    if kind == "mysql":
        difference = MysqlGtidSet.parse(after).subtract(MysqlGtidSet.parse(before))
        return [
            f"{source}:{number}"
            for source, (first, last) in difference.intervals()
            for number in range(first, last + 1)
        ]
    ended = {domain: int(last) for domain, _, last in _MARIADB_GTID.findall(before)}
    return [
        f"{domain}-{server}-{number}"
        for domain, server, last in _MARIADB_GTID.findall(after)
        for number in range(ended.get(domain, 0) + 1, int(last) + 1)
    ]


def _payloads(database: FreshDatabase, begun: str, end: str) -> set[tuple[int, int]]:
    """Where transactions stand as one compressed event, in the files that are still there."""
    if database.server.kind != "mysql":
        return set()
    found = set()
    with database.connect() as connection, connection.cursor(SSCursor) as cursor:
        for file in _files(database, begun, end):
            cursor.execute(f"show binlog events in '{file}'")
            found |= {
                (file_number(file), int(position))
                for _, position, kind, *_ in cursor
                if kind == PAYLOAD
            }
    return found


def _files(database: FreshDatabase, begun: str, end: str) -> list[str]:
    """The binlog's files from one to another, but for those that were purged."""
    there = [str(row[0]) for row in database.execute("show binary logs")]
    return [name for name in there if begun <= name <= end]


def _counted(
    database: FreshDatabase, begun: Sequence[Any], end: Sequence[Any]
) -> dict[str, Sequence[int]] | None:
    """Row changes by table as the server's own tool counts them, where it can be had."""
    if database.server.kind != "mysql":
        return None
    try:
        command = mysql.client_command("mysqlbinlog")
    except WayClosed:
        if os.environ.get("CI") == "true":
            raise
        return None
    files = _files(database, str(begun[0]), str(end[0]))
    if begun[0] not in files:
        return None  # purged
    address = database.server.address
    process = subprocess.Popen(
        [*command, "-v", "--base64-output=DECODE-ROWS", "--read-from-remote-server",
         f"--host={address.host}", f"--port={address.port}", f"--user={address.user}",
         "--protocol=TCP", f"--start-position={begun[1]}", f"--stop-position={end[1]}",
         f"--database={database.name}", *files],
        env={**os.environ, "MYSQL_PWD": address.password},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    counts: Counter[tuple[str, int]] = Counter()
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if row := _ROW.match(line):
                counts[row[3].decode(), _OPERATIONS[row[1]]] += 1
    assert process.returncode == 0, f"mysqlbinlog ended with {process.returncode}"
    return {
        table: [counts[table, op] for op in range(3)]
        for table in sorted({table for table, _ in counts})
        if table == "ledger" or table.startswith("w")  # what is captured
    }
