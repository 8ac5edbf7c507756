"""The library that Python users would otherwise take, decoding the same binlog: a peer."""

from __future__ import annotations

import time
from importlib.metadata import version

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import UpdateRowsEvent, WriteRowsEvent

from cdc.services import DatabaseAddress
from tests.bench.place import Stretch

SERVER_ID = 4_100_000_002
LABEL = f"mysql-replication {version('mysql-replication')}"


def rows_per_second(address: DatabaseAddress, stretch: Stretch, rows_max: int) -> float:
    """Rows decoded a second, over the first `rows_max` of the stretch, nothing done with them."""
    file, position = stretch.place.start.split(":")
    reader = BinLogStreamReader(
        connection_settings={
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
        },
        server_id=SERVER_ID,
        log_file=file,
        log_pos=int(position),
        resume_stream=True,
        only_events=[WriteRowsEvent, UpdateRowsEvent],
        only_schemas=[stretch.place.database],
        only_tables=[stretch.place.table],
    )
    count = 0
    begun = time.monotonic()
    try:
        for event in reader:
            count += len(event.rows)
            if count >= rows_max:
                break
        seconds = time.monotonic() - begun
    finally:
        reader.close()
    if count < min(rows_max, stretch.changes):
        raise RuntimeError(f"{LABEL} found {count} rows of {stretch.changes}")
    return count / seconds
