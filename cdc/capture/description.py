"""What only the server's catalogue knows of a table; it decorates schemas, never reads bytes.

Form: rows of `information_schema.columns` and `.statistics`, as `cdc describe` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.capture.shapes import Shape


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column of the catalogue."""

    name: str
    data_type: str
    column_type: str
    nullable: bool
    default: str | None
    extra: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """One table of the catalogue."""

    columns: tuple[ColumnDescription, ...]
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """Columns of each unique key whose columns are all NOT NULL, the primary key first."""
    by_name: Mapping[str, ColumnDescription] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {c.name: c for c in self.columns})

    def agrees(self, shape: Shape) -> bool:
        """True if this can be the table that the shape was taken of."""
        if len(self.columns) != len(shape.columns):
            return False
        if not shape.named:
            return True
        return all(
            known.name == seen.name and known.nullable == seen.nullable
            for known, seen in zip(self.columns, shape.columns, strict=True)
        )


Descriptions = Mapping[tuple[str, str], Description]
"""(database, table) → what the catalogue knows."""


def parse_descriptions(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Descriptions:
    """Descriptions from the JSON form: `columns` and `statistics`, rows of information_schema."""
    columns: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in tables["columns"]:
        columns.setdefault((row["TABLE_SCHEMA"], row["TABLE_NAME"]), []).append(row)
    keys: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in tables.get("statistics", ()):
        if not int(row["NON_UNIQUE"]):
            table_keys = keys.setdefault((row["TABLE_SCHEMA"], row["TABLE_NAME"]), {})
            table_keys.setdefault(row["INDEX_NAME"], []).append(row)
    return {
        table: Description(
            tuple(map(_column, sorted(rows, key=lambda r: int(r["ORDINAL_POSITION"])))),
            _unique_keys(keys.get(table, {})),
        )
        for table, rows in columns.items()
    }


def _column(row: Mapping[str, Any]) -> ColumnDescription:
    return ColumnDescription(
        name=row["COLUMN_NAME"],
        data_type=row["DATA_TYPE"].lower(),
        column_type=row["COLUMN_TYPE"].lower(),
        nullable=row["IS_NULLABLE"] == "YES",
        default=row["COLUMN_DEFAULT"],
        extra=row["EXTRA"] or "",
        comment=row["COLUMN_COMMENT"] or "",
    )


def _unique_keys(keys: Mapping[str, list[Mapping[str, Any]]]) -> tuple[tuple[str, ...], ...]:
    usable: list[tuple[str, ...]] = []
    for name, rows in keys.items():
        if any(row["NULLABLE"] == "YES" or row["COLUMN_NAME"] is None for row in rows):
            continue
        ordered = sorted(rows, key=lambda r: int(r["SEQ_IN_INDEX"]))
        key = tuple(row["COLUMN_NAME"] for row in ordered)
        usable.insert(0 if name == "PRIMARY" else len(usable), key)
    return tuple(usable)
