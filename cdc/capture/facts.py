"""What a server says of itself, as far as a follower of its binlog must know."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.capture.checkpoint import Flavor
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
    expire_seconds: int = 0
    """How long binlog files are kept; 0: for ever."""


def read_facts(session: Session) -> ServerFacts:
    """The server's settings, read from its variables."""
    named = session.rows("reading the server's settings", "SHOW GLOBAL VARIABLES")
    known = {row["Variable_name"].lower(): str(row["Value"]) for row in named}
    (row,) = session.rows("reading the user's name", "SELECT CURRENT_USER() AS u")
    is_mariadb = session.is_mariadb
    executed = known.get("gtid_binlog_pos" if is_mariadb else "gtid_executed", "")
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
        gtid_executed=executed.replace("\n", ""),
        gtid_purged="" if is_mariadb else known.get("gtid_purged", "").replace("\n", ""),
        expire_seconds=_expire_seconds(known),
    )


def _expire_seconds(known: dict[str, str]) -> int:
    if known.get("binlog_expire_logs_auto_purge", "ON").upper() == "OFF":
        return 0
    seconds = int(known.get("binlog_expire_logs_seconds", "0"))
    return seconds or int(float(known.get("expire_logs_days", "0")) * DAY_SECONDS)
