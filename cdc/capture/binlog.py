"""The binlog's event types, flags and sizes, of MySQL 5.6–9.x and MariaDB 10–12.

Source of the numbers: the replication protocol's event header as both servers write it.
"""

from __future__ import annotations

from typing import Final

DAMAGED_HINT: Final = (
    "the binlog is damaged, on the source's disk or on the way; compare with mysqlbinlog"
    " --verify-binlog-checksum"
)
"""Of errors for bytes that no server would write."""

MAGIC: Final = b"\xfebin"
FIRST_POS: Final = len(MAGIC)
"""Where the first event of a file stands."""
HEADER_BYTES: Final = 19
CHECKSUM_BYTES: Final = 4
SENDER_BYTES: Final = 9
"""Of a header: time, type and server id; what follows depends on where the event stands."""

IN_USE_FLAG: Final = 0x01
"""On a format description: the file was not closed."""
ARTIFICIAL_FLAG: Final = 0x20
IGNORABLE_FLAG: Final = 0x80

QUERY: Final = 2
STOP: Final = 3
ROTATE: Final = 4
INTVAR: Final = 5
APPEND_BLOCK: Final = 9
"""More of the file that a LOAD DATA in statement format reads."""
DELETE_FILE: Final = 11
RAND: Final = 13
USER_VAR: Final = 14
FORMAT_DESCRIPTION: Final = 15
XID: Final = 16
BEGIN_LOAD_QUERY: Final = 17
EXECUTE_LOAD_QUERY: Final = 18
TABLE_MAP: Final = 19
WRITE_ROWS_V1: Final = 23
UPDATE_ROWS_V1: Final = 24
DELETE_ROWS_V1: Final = 25
INCIDENT: Final = 26
HEARTBEAT: Final = 27
IGNORABLE: Final = 28
ROWS_QUERY: Final = 29
WRITE_ROWS: Final = 30
UPDATE_ROWS: Final = 31
DELETE_ROWS: Final = 32
GTID: Final = 33
ANONYMOUS_GTID: Final = 34
PREVIOUS_GTIDS: Final = 35
TRANSACTION_CONTEXT: Final = 36
VIEW_CHANGE: Final = 37
XA_PREPARE: Final = 38
PARTIAL_UPDATE_ROWS: Final = 39
TRANSACTION_PAYLOAD: Final = 40
HEARTBEAT_V2: Final = 41
GTID_TAGGED: Final = 42

MARIADB_ANNOTATE_ROWS: Final = 160
MARIADB_BINLOG_CHECKPOINT: Final = 161
MARIADB_GTID: Final = 162
MARIADB_GTID_LIST: Final = 163
MARIADB_START_ENCRYPTION: Final = 164
MARIADB_QUERY_COMPRESSED: Final = 165
MARIADB_WRITE_ROWS_COMPRESSED_V1: Final = 166
MARIADB_UPDATE_ROWS_COMPRESSED_V1: Final = 167
MARIADB_DELETE_ROWS_COMPRESSED_V1: Final = 168
MARIADB_WRITE_ROWS_COMPRESSED: Final = 169
MARIADB_UPDATE_ROWS_COMPRESSED: Final = 170
MARIADB_DELETE_ROWS_COMPRESSED: Final = 171

MARIADB_GTID_STANDALONE: Final = 0x01
"""The event group is one statement with no commit event."""
MARIADB_GTID_GROUP_COMMIT_ID: Final = 0x02
MARIADB_GTID_PREPARED_XA: Final = 0x40
MARIADB_GTID_COMPLETED_XA: Final = 0x80

STMT_END_FLAG: Final = 0x01

OPENING: Final = (GTID, ANONYMOUS_GTID, GTID_TAGGED, MARIADB_GTID)
"""Events that open a transaction."""

WITHOUT_ROW_CHANGES: Final = frozenset(
    {
        STOP,
        INTVAR,
        RAND,
        USER_VAR,
        APPEND_BLOCK,
        DELETE_FILE,
        BEGIN_LOAD_QUERY,
        IGNORABLE,
        PREVIOUS_GTIDS,
        TRANSACTION_CONTEXT,
        VIEW_CHANGE,
        MARIADB_BINLOG_CHECKPOINT,
        MARIADB_GTID_LIST,
        MARIADB_START_ENCRYPTION,
    }
)
"""Events that a follower of rows steps over knowingly."""

NAMES: Final = {
    value: name
    for name, value in list(globals().items())
    if isinstance(value, int) and name.isupper() and not name.endswith(("FLAG", "BYTES"))
    if not name.startswith("MARIADB_GTID_") or name == "MARIADB_GTID_LIST"
}


def name_of(event_type: int) -> str:
    """An event type's name for messages."""
    return f"{NAMES.get(event_type, 'unknown event type')} ({event_type})"
