"""Settings of change events against the tables that are captured now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cdc.capture.expected import Rows
from cdc.capture.facts import ServerFacts
from cdc.capture.settings import ChangeEventSettings
from cdc.errors import DecodeError
from cdc.findings import Finding


def check_settings(
    settings: ChangeEventSettings,
    facts: ServerFacts,
    tables: Mapping[str, Rows],
    refused: Sequence[DecodeError],
) -> Iterator[Finding]:
    """What of the settings can't hold, or does nothing; `refused` comes from the plans."""
    for error in refused:
        yield Finding("error", "change_events", error.message, error.hint)
    columns = [
        f"{row['TABLE_SCHEMA']}.{row['TABLE_NAME']}.{row['COLUMN_NAME']}"
        for row in tables["columns"]
    ]
    for option, expression in settings.columns.idle(columns):
        # What was to be hidden would be published under its real name.
        yield Finding(
            "warning",
            f"change_events.{option}",
            f"{expression} matches no column of the captured tables",
            "an expression has to match the whole of database.table.column",
        )
    if (settings.include_query or settings.context_keys) and not facts.logs_statements:
        is_mariadb = facts.flavor == "mariadb"
        name = "binlog_annotate_row_events" if is_mariadb else "binlog_rows_query_log_events"
        option = "include.query" if settings.include_query else "context_keys"
        yield Finding(
            "warning",
            f"change_events.{option}",
            f"the server doesn't log the texts of statements: {name} is OFF",
            f"SET GLOBAL {name} = ON" if is_mariadb else f"SET PERSIST {name} = ON",
        )
