"""What a server says of itself, as far as a follower of its binlog must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdc.capture import binlog
from cdc.capture.checkpoint import Flavor

if TYPE_CHECKING:  # it comes in as an argument: decisions over facts import no socket
    from cdc.capture.connection import Session

DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server at one moment."""

    flavor: Flavor
    version: tuple[int, ...]
    version_text: str
    server_id: int
    server_uuid: str
    """Empty for MariaDB, which has none."""
    user: str
    """`user@host` as the server knows us."""
    has_log_bin: bool
    binlog_format: str
    row_image: str
    row_metadata: str
    """Empty if the server is too old to have the setting."""
    checksum: str
    has_gtid: bool
    """Whether every transaction from now on has a GTID."""
    gtid_executed: str = ""
    """MySQL's executed set; MariaDB's last GTID of each domain in its binlog."""
    gtid_purged: str = ""
    """MySQL's purged set; MariaDB's last GTID of each domain before its oldest file, once asked
    (`read_purged`)."""
    expire_seconds: int = 0
    """How long binlog files are kept; 0: for ever."""
    logs_statements: bool = True
    """Whether the texts of statements stand beside their rows."""

    @property
    def identity(self) -> str:
        """What no other server of the same replication has (see docs/decisions/0013)."""
        return self.server_uuid or str(self.server_id)


@dataclass(frozen=True, slots=True)
class BinaryLog:
    """A binlog file that the server still has."""

    name: str
    size: int


TableName = tuple[str, str]
"""Database and table."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a check must know of a table."""

    database: str
    table: str
    has_primary_key: bool = True
    cascades_from: tuple[str, ...] = ()
    """Tables whose changes the engine carries on to this one, by foreign keys."""


def read_facts(session: Session) -> ServerFacts:
    """The server's settings, read from its variables."""
    named = session.rows("reading the server's settings", "SHOW GLOBAL VARIABLES")
    known = {row["Variable_name"].lower(): str(row["Value"]) for row in named}
    (row,) = session.rows("reading the user's name", "SELECT CURRENT_USER() AS u")
    is_mariadb = session.is_mariadb
    executed, purged = _gtids(session, "gtid_mode" in known)
    return ServerFacts(
        flavor="mariadb" if is_mariadb else "mysql",
        version=session.version,
        version_text=session.version_text,
        server_id=int(known.get("server_id", "0")),
        server_uuid="" if is_mariadb else known.get("server_uuid", ""),
        user=row["u"],
        has_log_bin=known.get("log_bin", "").upper() in ("ON", "1"),
        binlog_format=known.get("binlog_format", "").upper() or "ROW",
        row_image=known.get("binlog_row_image", "").upper() or "FULL",
        row_metadata=known.get("binlog_row_metadata", "").upper(),
        checksum=known.get("binlog_checksum", "").upper() or "NONE",
        has_gtid=is_mariadb or known.get("gtid_mode", "").upper() == "ON",
        gtid_executed=executed,
        gtid_purged=purged,
        expire_seconds=_expire_seconds(known),
        logs_statements=any(
            known.get(name, "").upper() in ("ON", "1")
            for name in ("binlog_rows_query_log_events", "binlog_annotate_row_events")
        ),
    )


def read_identity(session: Session) -> str:
    """`ServerFacts.identity`, asked for alone: a proxy may lead the next session elsewhere."""
    name = "server_id" if session.is_mariadb else "server_uuid"
    (row,) = session.rows("asking who the server is", f"SELECT @@GLOBAL.{name} AS i")
    return str(row["i"])


def _gtids(session: Session, has_mode: bool) -> tuple[str, str]:
    """Executed and purged; asked one by one, since SHOW VARIABLES cuts long values off."""
    if session.is_mariadb:
        columns = "@@GLOBAL.gtid_binlog_pos AS e, '' AS p"
    elif has_mode:
        columns = "@@GLOBAL.gtid_executed AS e, @@GLOBAL.gtid_purged AS p"
    else:
        return "", ""
    (row,) = session.rows("reading the executed GTIDs", f"SELECT {columns}")
    return row["e"].replace("\n", ""), row["p"].replace("\n", "")


def read_purged(session: Session, logs: Sequence[BinaryLog]) -> str:
    """MariaDB's last GTID of each domain before its oldest file."""
    if not logs:
        return ""
    doing, first = (
        "reading the GTIDs before the oldest binlog file",
        (logs[0].name, binlog.FIRST_POS),
    )
    (row,) = session.rows(doing, "SELECT BINLOG_GTID_POS(%s, %s) AS p", first)
    return row["p"] or ""


def _expire_seconds(known: dict[str, str]) -> int:
    if known.get("binlog_expire_logs_auto_purge", "ON").upper() == "OFF":
        return 0
    seconds = int(known.get("binlog_expire_logs_seconds", "0"))
    return seconds or int(float(known.get("expire_logs_days", "0")) * DAY_SECONDS)


def binary_logs(session: Session) -> list[BinaryLog]:
    """The server's binlog files, oldest first."""
    rows = session.rows("listing the binlog files", "SHOW BINARY LOGS")
    return [BinaryLog(row["Log_name"], int(row["File_size"])) for row in rows]
