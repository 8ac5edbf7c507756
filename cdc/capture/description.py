"""What only the server's catalogue knows of a table; it decorates schemas, never reads bytes.

Made of rows of `information_schema.columns` and `.statistics`, as `cdc describe` writes them, or
of DDL (`alter.py`); kept as JSON beside the checkpoint (`decisions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cdc.capture.data_types import DATA_TYPES
from cdc.capture.shapes import Column, Shape

PRIMARY = "PRIMARY"

_EXPRESSION = re.compile(
    r"(?!current_timestamp\b|now\b)\w+\(|\(|`|(?:current_timestamp|now)(?:\(\d?\))?\s+\S",
    re.IGNORECASE,
)
"""A default of MariaDB that is neither a literal nor the time of the moment."""

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_WORDS = frozenset({"char", "varchar", "enum", "set"})
"""Data types whose defaults may look like a default's keyword, or have quotes of their own."""


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column of the catalogue."""

    name: str
    data_type: str
    column_type: str
    nullable: bool
    default: str | None
    """As the catalogue has it: a literal, in quotes where DDL or MariaDB give it so."""
    extra: str = ""
    comment: str = ""
    charset: str = ""
    """Of text, ENUM and SET; empty where none is known."""


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A primary or unique key."""

    name: str
    columns: tuple[str | None, ...]
    """None where the key is over an expression."""


@dataclass(frozen=True, slots=True)
class Description:
    """One table of the catalogue."""

    columns: tuple[ColumnDescription, ...]
    keys: tuple[UniqueKey, ...] = ()
    """In the table's own order."""
    charset: str = ""
    """The default one of the table's columns; empty where it isn't known."""
    comment: str = ""
    by_name: Mapping[str, ColumnDescription] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {c.name: c for c in self.columns})

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The primary key's columns; empty without one."""
        return next((_plain(key) for key in self.keys if key.name == PRIMARY), ())

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Columns of each unique key whose columns are all NOT NULL, the primary key first."""
        usable = [key for key in self.keys if self._identifies(key)]
        usable.sort(key=lambda key: key.name != PRIMARY)  # stable: the others keep their order
        return tuple(_plain(key) for key in usable)

    def _identifies(self, key: UniqueKey) -> bool:
        found = [self.by_name.get(name or "") for name in key.columns]
        return all(column is not None and not column.nullable for column in found)

    def agrees(self, shape: Shape) -> bool:
        """True if this can be the table that the shape was taken of."""
        if len(self.columns) != len(shape.columns):
            return False
        pairs = list(zip(self.columns, shape.columns, strict=True))
        if not shape.named:
            return all(_has_type_of(known, seen) for known, seen in pairs)
        names = [column.name for column in shape.columns]
        key = tuple(names[i] for i in shape.primary_key)
        # Without a primary key the server's stand-in is meant; key parts aren't known here.
        if self.keys and key != self.primary_key and key not in ((), *self.unique_keys):
            return False
        return all(_may_be(known, seen) for known, seen in pairs)

    def to_json(self) -> dict[str, Any]:
        """The form that is kept."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "keys": [asdict(key) for key in self.keys],
            "charset": self.charset,
            "comment": self.comment,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Description:
        """The description that `to_json` gave."""
        return cls(
            tuple(ColumnDescription(**column) for column in data["columns"]),
            tuple(UniqueKey(key["name"], tuple(key["columns"])) for key in data["keys"]),
            data["charset"],
            data["comment"],
        )


Descriptions = Mapping[tuple[str, str], Description]
"""(database, table) → what the catalogue knows."""


def parse_descriptions(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Descriptions:
    """Descriptions from the JSON form: `columns`, `statistics`, and, where there are, `tables`,
    rows of information_schema."""
    columns: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in tables["columns"]:
        columns.setdefault(_table(row), []).append(row)
    keys: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in tables.get("statistics", ()):
        if not int(row["NON_UNIQUE"]):
            keys.setdefault(_table(row), {}).setdefault(row["INDEX_NAME"], []).append(row)
    about = {_table(row): row for row in tables.get("tables", ())}
    return {
        table: Description(
            tuple(map(_column, sorted(rows, key=lambda r: int(r["ORDINAL_POSITION"])))),
            tuple(_key(name, found) for name, found in keys.get(table, {}).items()),
            (about.get(table, {}).get("TABLE_COLLATION") or "").split("_")[0],
            about.get(table, {}).get("TABLE_COMMENT") or "",
        )
        for table, rows in columns.items()
    }


def _table(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["TABLE_SCHEMA"], row["TABLE_NAME"]


def _column(row: Mapping[str, Any]) -> ColumnDescription:
    extra, default = row["EXTRA"] or "", row["COLUMN_DEFAULT"]
    if "SRS_ID" in row:
        # MySQL writes texts without quotes, and marks what isn't one.
        if row["DATA_TYPE"].lower() in _WORDS and default and "DEFAULT_GENERATED" not in extra:
            default = "'" + default.replace("\\", "\\\\").replace("'", "''") + "'"
    # MariaDB writes literals in quotes and expressions as they are, and doesn't mark these.
    elif _EXPRESSION.match(default or ""):
        extra = f"DEFAULT_GENERATED {extra}".rstrip()
    return ColumnDescription(
        name=row["COLUMN_NAME"],
        data_type=row["DATA_TYPE"].lower(),
        column_type=row["COLUMN_TYPE"],
        nullable=row["IS_NULLABLE"] == "YES",
        default=default,
        extra=extra,
        comment=row["COLUMN_COMMENT"] or "",
        charset=row.get("CHARACTER_SET_NAME") or "",
    )


def _key(name: str, rows: Sequence[Mapping[str, Any]]) -> UniqueKey:
    ordered = sorted(rows, key=lambda r: int(r["SEQ_IN_INDEX"]))
    return UniqueKey(name, tuple(row["COLUMN_NAME"] for row in ordered))


def _plain(key: UniqueKey) -> tuple[str, ...]:
    return tuple(name for name in key.columns if name is not None)


def _has_type_of(known: ColumnDescription, seen: Column) -> bool:
    data_type = DATA_TYPES.get(known.data_type)  # one that isn't there is taken on trust
    is_of_type = data_type is None or seen.type in data_type.codes
    return known.nullable == seen.nullable and is_of_type


def _may_be(known: ColumnDescription, seen: Column) -> bool:
    return (
        known.name == seen.name
        and _has_type_of(known, seen)
        and (
            known.data_type not in _INTEGERS or seen.unsigned == (" unsigned" in known.column_type)
        )
    )
