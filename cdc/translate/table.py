"""What a rule may know of a table: the columns and the key of its change events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdc.codec.avro import full_name
from cdc.codec.types import ValueType, record_fields
from cdc.errors import SchemaError


@dataclass(frozen=True, slots=True)
class ChangeSchemas:
    """The Avro schemas of a table's change events as JSON values; no key, no key schema."""

    value: Any
    key: Any = None


@dataclass(frozen=True, slots=True)
class TableTypes:
    """Columns by the names that change events give them."""

    columns: Mapping[str, ValueType]
    key_columns: frozenset[str]


def table_types(schemas: ChangeSchemas) -> TableTypes:
    """The columns and key of a table, from Debezium's envelope."""
    row = _row_of(schemas.value)
    columns = {name: one.type for name, one in record_fields(row).items()}
    key = record_fields(schemas.key) if schemas.key is not None else {}
    return TableTypes(columns, frozenset(key))


def change_topic(connector: str, table: str, delimiter: str = ".") -> str:
    """The change topic of `database.table`."""
    # Debezium's rule: what a topic's name can't hold becomes an underscore.
    return re.sub(r"[^A-Za-z0-9._-]", "_", delimiter.join((connector, *table.split(".", 1))))


def _row_of(envelope: Any) -> Mapping[str, Any]:
    fields = envelope.get("fields", ()) if isinstance(envelope, Mapping) else ()
    for one in fields:
        if one["name"] == "before" and isinstance(one["type"], list):
            for branch in one["type"]:
                if isinstance(branch, Mapping) and branch.get("type") == "record":
                    return {"namespace": envelope.get("namespace", ""), **branch}
    raise SchemaError(
        f"the schema {full_name(envelope)} is no change event in Debezium's envelope",
        hint="a change topic holds what capture wrote; give translate no other topic",
    )
