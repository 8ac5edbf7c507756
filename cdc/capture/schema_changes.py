"""Records of the schema-change topic: DDL, and what it made of tables, in Debezium's form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.capture.checkpoint import Flavor
from cdc.capture.data_types import DATA_TYPES, JDBC_OTHER
from cdc.capture.defaults import NOW_SHOWN, is_now, literal_of
from cdc.capture.description import ColumnDescription, Description
from cdc.capture.dialect import Dialect
from cdc.capture.envelope import optional, source_schema
from cdc.capture.knowledge import Change
from cdc.capture.sql_tokens import STRING, tokens_of

_ARGUMENTS: Final = re.compile(r"\((\d+)(?:,(\d+))?\)")
_SCHEMA: Final = "io.debezium.connector.schema"


@dataclass(frozen=True, slots=True)
class Said:
    """A DDL statement and where it stands in the binlog."""

    ddl: str
    database: str
    """The session's."""
    micros: int
    """Of its commit."""
    now_millis: int
    server_id: int
    gtid: str | None
    file: str
    position: int
    is_published: bool = False
    """Before a restart in the middle of its transaction."""
    dialect: Dialect | None = None
    """How the text is to be read; None: as in a session with the usual settings."""


def _record(namespace: str, name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "fields": fields,
        "connect.version": 1,
        "connect.name": f"{namespace}.{name}",
    }


def _nested(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A record inside one of the same namespace, which isn't said again."""
    record = _record(_SCHEMA, name, fields)
    del record["namespace"]
    return record


_STRINGS: Final = {"type": "array", "items": "string"}
_COLUMN: Final = _nested(
    "Column",
    [
        {"name": "name", "type": "string"},
        {"name": "jdbcType", "type": "int"},
        {"name": "nativeType", **optional("int")},
        {"name": "typeName", "type": "string"},
        {"name": "typeExpression", **optional("string")},
        {"name": "charsetName", **optional("string")},
        {"name": "length", **optional("int")},
        {"name": "scale", **optional("int")},
        {"name": "position", "type": "int"},
        {"name": "optional", **optional("boolean")},
        {"name": "autoIncremented", **optional("boolean")},
        {"name": "generated", **optional("boolean")},
        {"name": "comment", **optional("string")},
        {"name": "defaultValueExpression", **optional("string")},
        {"name": "enumValues", **optional(_STRINGS)},
    ],
)
_TABLE: Final = _nested(
    "Table",
    [
        {"name": "defaultCharsetName", **optional("string")},
        {"name": "primaryKeyColumnNames", **optional(_STRINGS)},
        {"name": "columns", "type": {"type": "array", "items": _COLUMN}},
        {"name": "comment", **optional("string")},
    ],
)
_CHANGE: Final = _record(
    _SCHEMA,
    "Change",
    [
        {"name": "type", "type": "string"},
        {"name": "id", "type": "string"},
        {"name": "table", **optional(_TABLE)},
    ],
)


def key_schema(flavor: Flavor) -> dict[str, Any]:
    """The schema of the topic's keys."""
    namespace = f"io.debezium.connector.{flavor}"
    return _record(namespace, "SchemaChangeKey", [{"name": "databaseName", "type": "string"}])


def value_schema(flavor: Flavor) -> dict[str, Any]:
    """The schema of the topic's values."""
    namespace = f"io.debezium.connector.{flavor}"
    source = {name: value for name, value in source_schema(flavor).items() if name != "namespace"}
    return _record(
        namespace,
        "SchemaChangeValue",
        [
            {"name": "source", "type": source},
            {"name": "ts_ms", "type": "long"},
            {"name": "databaseName", **optional("string")},
            {"name": "schemaName", **optional("string")},
            {"name": "ddl", **optional("string")},
            {"name": "tableChanges", "type": {"type": "array", "items": _CHANGE}},
        ],
    )


def value_of(
    said: Said,
    database: str,
    changes: Sequence[Change],
    *,
    origin: tuple[str, Flavor, str],
    with_comments: bool,
) -> dict[str, Any]:
    """What the statement did; `origin` is `source`'s version, connector and name."""
    version, connector, name = origin
    # Debezium's commit time has milliseconds here.
    millis = said.micros // 1000
    return {
        "source": {
            "version": version,
            "connector": connector,
            "name": name,
            "ts_ms": millis,
            "snapshot": "false",
            "db": database,
            "sequence": None,
            "ts_us": millis * 1000,
            "ts_ns": millis * 1_000_000,
            "table": ",".join(change.table[1] for change in changes) or None,
            "server_id": said.server_id,
            "gtid": said.gtid,
            "file": said.file,
            "pos": said.position,
            "row": 0,
            "thread": None,
            "query": None,
        },
        "ts_ms": said.now_millis,
        "databaseName": database,
        "schemaName": None,
        "ddl": said.ddl,
        "tableChanges": [
            {
                "type": change.kind,
                "id": ".".join(f'"{part}"' for part in change.table),
                "table": table_of(change.description, with_comments=with_comments),
            }
            for change in changes
        ],
    }


def table_of(description: Description | None, *, with_comments: bool) -> dict[str, Any] | None:
    """A table as `tableChanges` has it; None where it is gone, or nothing is known."""
    if description is None:
        return None
    keys = description.unique_keys
    return {
        "defaultCharsetName": description.charset or None,
        "primaryKeyColumnNames": list(keys[0]) if keys else [],
        "columns": [
            _column(column, position, with_comments)
            for position, column in enumerate(description.columns, 1)
        ],
        "comment": (description.comment or None) if with_comments else None,
    }


def _column(column: ColumnDescription, position: int, with_comments: bool) -> dict[str, Any]:
    labels = None
    length: int | None = None
    scale: int | None = None
    if column.data_type in ("enum", "set"):
        labels = [one.text for one in tokens_of(column.column_type) if one.kind == STRING]
        length = 1 if column.data_type == "enum" else 2 * len(labels) - 1
    elif found := _ARGUMENTS.search(column.column_type):
        length, scale = int(found[1]), int(found[2]) if found[2] else None
        if column.data_type == "decimal" and scale is None:
            scale = 0
    words = (
        column.column_type.rpartition(")")[2] if "(" in column.column_type else column.column_type
    )
    flags = [word for word in ("unsigned", "zerofill") if word in words.split()]
    type_name = " ".join([column.data_type, *flags]).upper()
    is_counted = "auto_increment" in column.extra
    known = DATA_TYPES.get(column.data_type)
    return {
        "name": column.name,
        "jdbcType": known.jdbc if known else JDBC_OTHER,
        "nativeType": None,
        "typeName": type_name,
        "typeExpression": type_name,
        "charsetName": column.charset or None,
        "length": length,
        "scale": scale,
        "position": position,
        "optional": column.nullable,
        "autoIncremented": is_counted,
        "generated": is_counted,  # not what the word says, but what Debezium writes
        "comment": (column.comment or None) if with_comments else None,
        "defaultValueExpression": _default(column),
        "enumValues": labels,
    }


def _default(column: ColumnDescription) -> str | None:
    text = literal_of(column)
    if text is None:
        return None
    if is_now(column):
        return NOW_SHOWN
    return None if "DEFAULT_GENERATED" in column.extra else text
