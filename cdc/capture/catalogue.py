"""What the server's catalogue knows of tables: the rows that a description is made of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdc.capture.facts import TableFacts, TableName
from cdc.patterns import TablePatterns

if TYPE_CHECKING:
    from cdc.capture.connection import Session

TABLES_AT_ONCE = 200
"""Tables that one query describes: the answer's size is bounded by it."""

SYSTEM_DATABASES = ("mysql", "sys", "information_schema", "performance_schema")

# The form of `cdc describe`: these columns of information_schema, in this order.
COLUMN_KEYS = (
    "TABLE_SCHEMA", "TABLE_NAME", "ORDINAL_POSITION", "COLUMN_NAME", "COLUMN_DEFAULT",
    "IS_NULLABLE", "DATA_TYPE", "COLUMN_TYPE", "CHARACTER_MAXIMUM_LENGTH", "NUMERIC_PRECISION",
    "NUMERIC_SCALE", "DATETIME_PRECISION", "CHARACTER_SET_NAME", "COLLATION_NAME", "COLUMN_KEY",
    "EXTRA", "COLUMN_COMMENT", "GENERATION_EXPRESSION",
)  # fmt: skip
SRS_KEY = "SRS_ID"
STATISTICS_KEYS = (
    "TABLE_SCHEMA", "TABLE_NAME", "NON_UNIQUE", "INDEX_NAME", "SEQ_IN_INDEX", "COLUMN_NAME",
    "SUB_PART", "NULLABLE",
)  # fmt: skip
_SHOWN_DEFAULT = re.compile(
    r"^  `((?:[^`\n]|``)+)` (?:timestamp|binary|varbinary)\b[^'\n]*? DEFAULT "
    r"('(?:[^'\\\n]|\\.|'')*'|0x[0-9A-F]+)",
    re.IGNORECASE | re.MULTILINE,
)
_SHOWN_OTHERWISE = ("timestamp", "binary", "varbinary")
TABLE_KEYS = ("TABLE_SCHEMA", "TABLE_NAME", "TABLE_COLLATION", "TABLE_COMMENT")


def list_tables(session: Session) -> list[TableName]:
    """The base tables that the user can see, system tables left out."""
    rows = session.rows(
        "listing the tables",
        "SELECT TABLE_SCHEMA AS d, TABLE_NAME AS t FROM information_schema.TABLES"
        " WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        " AND TABLE_SCHEMA NOT IN (%s, %s, %s, %s) ORDER BY 1, 2",
        SYSTEM_DATABASES,
    )
    return [(row["d"], row["t"]) for row in rows]


def captured_tables(session: Session, tables: TablePatterns) -> list[TableName]:
    """The tables that the configuration's patterns name."""
    return [name for name in list_tables(session) if tables.matches(*name)]


def read_tables(session: Session, names: Sequence[TableName]) -> dict[str, list[dict[str, Any]]]:
    """`columns`, `statistics` and `tables` of these tables, as rows of information_schema."""
    has_srs = not session.is_mariadb and session.version >= (8,)
    column_keys = (*COLUMN_KEYS, SRS_KEY) if has_srs else COLUMN_KEYS
    columns = list(
        _described(session, names, "COLUMNS", column_keys, "TABLE_NAME, ORDINAL_POSITION")
    )
    return {
        "columns": _with_whole_defaults(session, columns) if has_srs else columns,
        "statistics": _in_key_order(
            session,
            list(
                _described(
                    session,
                    names,
                    "STATISTICS",
                    STATISTICS_KEYS,
                    "TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
                )
            ),
        ),
        "tables": list(_described(session, names, "TABLES", TABLE_KEYS, "TABLE_NAME")),
    }


def _with_whole_defaults(session: Session, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Defaults that MySQL's view shows wrongly as SHOW CREATE TABLE shows them: a TIMESTAMP's is in
    the time zone of who set it, not in our session's, and bytes end at the first zero."""
    of_table: dict[TableName, dict[str, str]] = {}
    for row in rows:
        default, table = row["COLUMN_DEFAULT"], (row["TABLE_SCHEMA"], row["TABLE_NAME"])
        if row["DATA_TYPE"].lower() in _SHOWN_OTHERWISE and (default or "")[:1].isdigit():
            if table not in of_table:
                of_table[table] = _shown_defaults(session, table)
            row["COLUMN_DEFAULT"] = of_table[table].get(row["COLUMN_NAME"], default)
    return rows


def _shown_defaults(session: Session, table: TableName) -> dict[str, str]:
    quoted = _quoted(table)
    (row,) = session.rows(f"looking at {quoted}", f"SHOW CREATE TABLE {quoted}")
    found = _SHOWN_DEFAULT.findall(str(row.get("Create Table", "")))
    return {name.replace("``", "`"): default for name, default in found}


def _quoted(table: TableName) -> str:
    return ".".join("`" + part.replace("`", "``") + "`" for part in table)


def _in_key_order(session: Session, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The keys of each table in its own order, which the view doesn't tell.

    It matters where several unique keys could stand in for a primary one; the first does."""
    unique: dict[TableName, set[str]] = defaultdict(set)
    for row in rows:
        if not int(row["NON_UNIQUE"]):
            unique[row["TABLE_SCHEMA"], row["TABLE_NAME"]].add(row["INDEX_NAME"])
    order: dict[tuple[str, str, str], int] = {}
    for table, names in unique.items():
        if len(names) > 1 and "PRIMARY" not in names:
            quoted = _quoted(table)
            shown = session.rows(f"asking for the keys of {quoted}", f"SHOW INDEX FROM {quoted}")
            for place, row in enumerate(shown):
                order.setdefault((*table, row["Key_name"]), place)
    return sorted(
        rows,
        key=lambda row: (
            row["TABLE_SCHEMA"],
            row["TABLE_NAME"],
            order.get((row["TABLE_SCHEMA"], row["TABLE_NAME"], row["INDEX_NAME"]), -1),
        ),
    )


def _described(
    session: Session, names: Sequence[TableName], view: str, keys: Sequence[str], order: str
) -> Iterator[dict[str, Any]]:
    """Rows of a view of information_schema, for a bounded number of tables at once."""
    columns = ", ".join(f"{key} AS `{key}`" for key in keys)
    for database, tables in _by_database(names).items():
        for at in range(0, len(tables), TABLES_AT_ONCE):
            some = tables[at : at + TABLES_AT_ONCE]
            marks = ", ".join(["%s"] * len(some))
            yield from session.rows(
                f"describing tables of {database}",
                f"SELECT {columns} FROM information_schema.{view}"  # noqa: S608  # names are ours
                f" WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({marks}) ORDER BY {order}",
                (database, *some),
            )


def table_facts(session: Session, names: Sequence[TableName]) -> list[TableFacts]:
    """Keys of the tables: which have a primary one, which are exposed to cascades."""
    found: dict[TableName, TableFacts] = {}
    for database, tables in _by_database(names).items():
        keyed = {
            row["t"]
            for row in session.rows(
                f"looking for primary keys in {database}",
                "SELECT TABLE_NAME AS t FROM information_schema.TABLE_CONSTRAINTS"
                " WHERE TABLE_SCHEMA = %s AND CONSTRAINT_TYPE = 'PRIMARY KEY'",
                (database,),
            )
        }
        cascades = _cascades(session, database)
        for table in tables:
            parents = tuple(sorted(cascades.get(table, ())))
            found[database, table] = TableFacts(database, table, table in keyed, parents)
    return [found[name] for name in names]


def _cascades(session: Session, database: str) -> Mapping[str, set[str]]:
    rows = session.rows(
        f"looking for foreign keys in {database}",
        "SELECT TABLE_NAME AS t, REFERENCED_TABLE_NAME AS parent"
        " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s"
        " AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
        " OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))",
        (database,),
    )
    parents: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        parents[row["t"]].add(f"{database}.{row['parent']}")
    return parents


def _by_database(names: Sequence[TableName]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = defaultdict(list)
    for database, table in names:
        tables[database].append(table)
    return tables
