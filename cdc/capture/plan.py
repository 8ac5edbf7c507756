"""From a shape to what decodes its rows and what its change events look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdc.capture import rows
from cdc.capture.checkpoint import Flavor
from cdc.capture.columns import ColumnPlan
from cdc.capture.description import ColumnDescription, Description
from cdc.capture.envelope import Field, key_schema, value_schema
from cdc.capture.names import avro_namespace, topic_name
from cdc.capture.planned_column import PlannedColumn, plan_column
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import ENUM, SET, Column, Shape
from cdc.errors import DecodeError

_LABEL = re.compile(r"'((?:[^']|'')*)'")
"""Of an ENUM or SET in the catalogue's words."""


@dataclass(frozen=True, slots=True)
class TablePlan:
    """All that is fixed for one shape of one table."""

    shape: Shape
    topic: str
    rows: rows.RowPlan
    value_schema: dict[str, Any]
    key_schema: dict[str, Any] | None
    """None: the table has no key; its records have none."""
    is_described: bool


def plan_table(
    shape: Shape,
    description: Description | None,
    settings: ChangeEventSettings,
    *,
    connector: str,
    flavor: Flavor,
) -> TablePlan:
    """The plan of a shape, decorated by the description if that agrees with it (invariant 6)."""
    if description is not None and not description.agrees(shape):
        description = None
    shape = _with_names(shape, description)
    table = f"{shape.database}.{shape.table}"
    topic = topic_name(connector, shape.database, shape.table, delimiter=settings.topic_delimiter)
    key = _key_columns(shape, description, settings)
    planned = [
        plan_column(
            column,
            description.by_name.get(column.name) if description else None,
            settings,
            table=table,
            key_slot=key.index(i) if i in key else -1,
        )
        for i, column in enumerate(shape.columns)
    ]
    _refuse_equal_names(table, planned)
    namespace = avro_namespace(topic, settings.schema_name_adjustment_mode)
    columns: list[ColumnPlan] = [one.plan for one in planned]
    return TablePlan(
        shape,
        topic,
        rows.RowPlan(table, columns),
        value_schema(namespace, [one.field for one in planned if one.is_in_value], flavor),
        key_schema(namespace, [planned[i].field for i in key]) if key else None,
        description is not None,
    )


def _with_names(shape: Shape, description: Description | None) -> Shape:
    if shape.named:
        return shape
    table = f"{shape.database}.{shape.table}"
    if description is None:
        raise DecodeError(
            f"the binlog holds no column names of {table}, and it isn't certain that the"
            " catalogue's hold for its rows: their columns are others, or DDL came behind them",
            hint="SET PERSIST binlog_row_metadata=FULL on the source, then write to the table"
            " only after that; rows written before can't be named for certain",
        )
    columns = map(_with_name, shape.columns, description.columns)
    return replace(shape, columns=tuple(columns))


def _with_name(seen: Column, known: ColumnDescription) -> Column:
    """The column with what a TABLE_MAP without names leaves out as well: labels, signs."""
    labels, charset = seen.labels, seen.charset
    if seen.type in (ENUM, SET) and not labels:
        found = _LABEL.findall(known.column_type)
        labels = tuple(label.replace("''", "'") for label in found)
        charset = charset or known.charset
    return replace(
        seen,
        name=known.name,
        unsigned=" unsigned" in known.column_type,
        labels=labels,
        charset=charset,
    )


def _key_columns(
    shape: Shape, description: Description | None, settings: ChangeEventSettings
) -> Sequence[int]:
    """Indexes of the key's columns: configured, primary key, else the first usable unique key."""
    names = [column.name for column in shape.columns]
    configured = settings.columns.key_columns(f"{shape.database}.{shape.table}", names)
    if configured:
        return configured
    if shape.primary_key:
        return shape.primary_key
    # With names a TABLE_MAP tells the unique key that stands in as well: the server takes the
    # first one over whole NOT NULL columns for the primary key. So no key depends on what is
    # known beside it, and none changes when more is.
    if not shape.named and description and description.unique_keys:
        return [names.index(name) for name in description.unique_keys[0]]
    return ()


def _refuse_equal_names(table: str, planned: Sequence[PlannedColumn]) -> None:
    seen: dict[str, str] = {}
    for one in planned:
        field: Field = one.field
        if field.name in seen:
            raise DecodeError(
                f"columns {seen[field.name]} and {one.plan.name} of {table}"
                f" would both be called {field.name} in Avro",
                hint="rename one of them, leave one out, or set field.name.adjustment.mode:"
                " avro_unicode",
            )
        if one.is_in_value or one.plan.key_slot >= 0:
            seen[field.name] = one.plan.name
