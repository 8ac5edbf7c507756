"""What of a server forbids following it, or will hurt later; each finding with its fix."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cdc.capture.catalogue import list_tables, table_facts
from cdc.capture.facts import DAY_SECONDS, ServerFacts, TableFacts, TableName
from cdc.capture.grants import Grants, quoted_user, read_grants
from cdc.capture.source_settings import ServerSettings
from cdc.findings import Finding, nearest
from cdc.patterns import TablePatterns, is_glob

if TYPE_CHECKING:
    from cdc.capture.connection import Session

EXPIRE_SECONDS_MIN = DAY_SECONDS
"""Binlog files that are kept for less don't outlast a night without the connector."""
CASCADES_LOGGED_FROM = (9, 6)
"""From this version on MySQL writes the rows that foreign keys change."""

PATH = "source"
_SESSIONS = " (sessions that are open keep the old value until they reconnect)"


def inspect_source(session: Session, facts: ServerFacts, settings: ServerSettings) -> list[Finding]:
    """All findings of a live server: its settings, the user's rights, the tables."""
    visible = list_tables(session)
    captured = [name for name in visible if settings.tables.matches(*name)]
    tables = table_facts(session, captured)
    grants = read_grants(session)
    return inspect(facts, grants, settings.tables, settings.accept, visible, tables)


def inspect(
    facts: ServerFacts,
    grants: Grants,
    wanted: TablePatterns,
    accept: Collection[str],
    visible: Sequence[TableName],
    captured: Sequence[TableFacts],
) -> list[Finding]:
    """All findings: server, rights, tables; `visible` are the tables that the user can see."""
    return [
        *inspect_server(facts, accept),
        *inspect_rights(facts, grants),
        *inspect_tables(facts, grants, wanted, visible, captured),
    ]


def inspect_server(facts: ServerFacts, accept: Collection[str]) -> Iterator[Finding]:
    """The server's settings."""
    if not facts.has_log_bin:
        yield Finding(
            "error",
            PATH,
            "the server writes no binary log (log_bin is OFF)",
            "put log_bin = binlog and server_id = 1 into [mysqld] of my.cnf, restart the server",
        )
    if facts.binlog_format != "ROW":
        yield _setting(facts, "binlog_format", facts.binlog_format, "ROW")
    if facts.row_image != "FULL":
        yield from _inspect_row_image(facts, is_accepted="row_image_not_full" in accept)
    if facts.row_metadata != "FULL" and "row_metadata_not_full" not in accept:
        if facts.row_metadata:
            name = "binlog_row_metadata"
            yield _setting(facts, name, facts.row_metadata, "FULL", "row_metadata_not_full")
        else:
            yield Finding(
                "error",
                PATH,
                f"the server {facts.version_text} has no binlog_row_metadata, so columns have no"
                " names in its binlog",
                "upgrade to MySQL 8.0.1 or MariaDB 10.5, or accept it: source.accept:"
                " [row_metadata_not_full]",
            )
    if not facts.has_gtid:
        yield Finding(
            "warning",
            PATH,
            "the server has gtid_mode off: transactions are known by file and position alone",
            "SET PERSIST gtid_mode goes up in steps: OFF_PERMISSIVE, ON_PERMISSIVE, ON, with"
            " enforce_gtid_consistency = ON first",
        )
    if 0 < facts.expire_seconds < EXPIRE_SECONDS_MIN:
        yield Finding(
            "warning",
            PATH,
            f"the server keeps binlog files for {facts.expire_seconds} s only; a connector that"
            " stands longer loses its place",
            _fix(facts, "binlog_expire_logs_seconds", "604800"),
        )


def _inspect_row_image(facts: ServerFacts, *, is_accepted: bool) -> Iterator[Finding]:
    """Only what NOBLOB leaves out can be accepted: placeholders say that it is not there."""
    if facts.row_image == "NOBLOB":
        if not is_accepted:
            yield _setting(facts, "binlog_row_image", "NOBLOB", "FULL", "row_image_not_full")
        return
    finding = _setting(facts, "binlog_row_image", facts.row_image, "FULL")
    yield replace(finding, severity="warning") if is_accepted else finding


def _setting(
    facts: ServerFacts, name: str, found: str, needed: str, accepted_as: str = ""
) -> Finding:
    hint = _fix(facts, name, needed) + _SESSIONS
    if accepted_as:
        hint += f"; or accept it: source.accept: [{accepted_as}]"
    return Finding("error", PATH, f"the server's {name} is {found}, not {needed}", hint)


def _fix(facts: ServerFacts, name: str, value: str) -> str:
    if facts.flavor == "mysql" and facts.version >= (8,):
        return f"SET PERSIST {name} = {value};"
    return f"SET GLOBAL {name} = {value}; and {name} = {value} in [mysqld] of my.cnf"


def inspect_rights(facts: ServerFacts, grants: Grants) -> Iterator[Finding]:
    """What the user must be allowed to follow the binlog."""
    monitor = "REPLICATION CLIENT"
    if facts.flavor == "mariadb" and facts.version >= (10, 5):
        monitor = "BINLOG MONITOR"
    # SHOW GRANTS of MariaDB may give either name of the same right.
    same = {monitor, "REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"}
    missing = []
    if not grants.allows("REPLICATION SLAVE"):
        missing.append("REPLICATION SLAVE")
    if not grants.allows(*same):
        missing.append(monitor)
    if missing:
        names = ", ".join(missing)
        yield Finding(
            "error",
            f"{PATH}.user",
            f"the user {facts.user} lacks {names}",
            f"GRANT {names} ON *.* TO {_user(facts)};",
        )


def inspect_tables(
    facts: ServerFacts,
    grants: Grants,
    wanted: TablePatterns,
    visible: Sequence[TableName],
    captured: Sequence[TableFacts],
) -> Iterator[Finding]:
    """The configured tables: that they are there, may be read, and can be followed."""
    names = [f"{database}.{table}" for database, table in visible]
    for index, pattern in enumerate(wanted.patterns):
        path = f"{PATH}.tables[{index}]"
        matched = [name for name in visible if TablePatterns((pattern,)).matches(*name)]
        database, _, table = pattern.partition(".")
        level = ("*" if is_glob(database) else database, "*" if is_glob(table) else table)
        if level[0] == "*":
            level = ("*", "*")
        readable = grants.allows_select(*level)
        if not readable and (not matched or not all(grants.allows_select(*m) for m in matched)):
            yield Finding(
                "error",
                path,
                f"the user {facts.user} may not read {pattern}",
                f"GRANT SELECT ON {_level(*level)} TO {_user(facts)};",
            )
        elif not matched:
            word = "no table matches" if is_glob(pattern) else "there is no table"
            yield Finding("error", path, f"{word} {pattern}", nearest(pattern, names))
    for one in captured:
        yield from _inspect_table(facts, one)


def _inspect_table(facts: ServerFacts, table: TableFacts) -> Iterator[Finding]:
    name = f"{table.database}.{table.table}"
    if not table.has_primary_key:
        yield Finding(
            "warning",
            f"{PATH}.tables",
            f"{name} has no primary key: without a unique key instead, its events have none and"
            " keep no order",
            f"ALTER TABLE {_level(table.database, table.table)} ADD PRIMARY KEY (…);",
        )
    is_logged = facts.flavor == "mysql" and facts.version >= CASCADES_LOGGED_FROM
    if table.cascades_from and not is_logged:
        yield Finding(
            "warning",
            f"{PATH}.tables",
            f"{name} is changed by foreign keys from {', '.join(table.cascades_from)}; this"
            " server does that below its binlog, so these changes are not seen",
            "let the application change these rows itself, or upgrade to MySQL 9.6",
        )


def _level(database: str, table: str) -> str:
    return ".".join(
        name if name == "*" else "`" + name.replace("`", "``") + "`" for name in (database, table)
    )


def _user(facts: ServerFacts) -> str:
    user, _, host = facts.user.rpartition("@")
    return quoted_user(user, host)
