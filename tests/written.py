"""What a real server's binlog holds of some statements, and what the server itself says of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.capture.connection import Session
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import read_facts
from tests.binlogs import Followed, Reading
from tests.forms_plugin import Capture
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase

BATCH_ROWS = 500
Rows = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Written:
    """A stretch of binlog, from just before the statements."""

    flavor: str
    file: str
    pos: int
    events: bytes
    database: str

    def changes(self, capture: Capture, table: str) -> list[dict[str, Any]]:
        """`after` of each change event of the table, in order."""
        reading, output = self.decoded(capture, table)
        return [reading.decoded(record.value)["after"] for record in output.records]

    def decoded(
        self, capture: Capture, table: str, *, bytes_max: int = 1 << 22, **settings: Any
    ) -> tuple[Reading, Followed]:
        """The table's records and the checkpoints after them, and what reads their values."""
        reading = Reading(capture, tables=(f"{self.database}.{table}",), **settings)
        start = reading.start(self.flavor, self.file, self.pos)
        return reading, reading.follow(self.events, start, bytes_max=bytes_max)


def write(database: FreshDatabase, *statements: str | Callable[[], object]) -> Written:
    """Run the statements; what the binlog says of them, read as a replica reads it.

    A function among them may do something else at its turn, in a session of its own, say."""
    flavor = database.server.flavor
    relaxed = "set time_zone = '+00:00', sql_mode = ''"
    with database.connect(init_command=relaxed) as connection, connection.cursor() as cursor:
        cursor.execute(f"show {'binary log' if flavor == 'mysql' else 'master'} status")
        file, pos = (cursor.fetchone() or ("", 0))[:2]
        for statement in statements:
            if isinstance(statement, str):
                cursor.execute(statement)
            else:
                statement()
    settings = settings_for(database.server.address, f"{database.name}.*")
    with Session(settings) as session:
        facts = read_facts(session)
        dump = Dump(session, facts, Place(file=file, pos=pos), ends=True)
        events = b"".join(dump.batches(threading.Event()))
    return Written(flavor, file, pos, events, database.name)


def select(database: FreshDatabase, query: str) -> Rows:
    """The server's own answer, in UTC."""
    in_utc = "set time_zone = '+00:00'"
    with database.connect(init_command=in_utc) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return tuple(cursor.fetchall())


def inserts(table: str, rows: Sequence[str]) -> list[str]:
    """INSERT statements of a bounded number of rows each."""
    return [
        f"insert into {table} values " + ",".join(rows[at : at + BATCH_ROWS])
        for at in range(0, len(rows), BATCH_ROWS)
    ]
