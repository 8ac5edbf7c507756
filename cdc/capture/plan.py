"""From a shape to what decodes its rows and what its change events look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdc.capture import opcodes, rows
from cdc.capture.avro_out import avro_string
from cdc.capture.checkpoint import Flavor
from cdc.capture.columns import ColumnPlan
from cdc.capture.defaults import default_of, encode_default
from cdc.capture.description import Description
from cdc.capture.envelope import Field, key_schema, value_schema
from cdc.capture.names import avro_name, avro_namespace, topic_of
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Shape
from cdc.capture.types import form_of
from cdc.errors import DecodeError

_BULKY = frozenset({opcodes.UTF8, opcodes.TEXT, opcodes.BYTES, opcodes.JSON})
_UNAVAILABLE = avro_string("__debezium_unavailable_value")


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
    topic = topic_of(connector, shape.database, shape.table)
    fields: list[Field] = []
    columns: list[ColumnPlan] = []
    key = _key_columns(shape, description)
    for i, column in enumerate(shape.columns):
        described = description.by_name.get(column.name) if description else None
        form = form_of(column, described, settings)
        default = default_of(column, described, form) if described else None
        field = Field(avro_name(column.name), form.avro, column.nullable, default)
        fields.append(field)
        is_bulky = form.kind in _BULKY
        columns.append(
            ColumnPlan(
                f"{shape.database}.{shape.table}",
                column.name,
                form,
                null_branch=(0 if field.is_null_first else 1) if column.nullable else -1,
                key_slot=key.index(i) if i in key else -1,
                null_value=_null_value(field, settings),
                placeholder=_UNAVAILABLE if is_bulky else None,
            )
        )
    _refuse_equal_names(shape, fields)
    namespace = avro_namespace(topic)
    return TablePlan(
        shape,
        topic,
        rows.RowPlan(f"{shape.database}.{shape.table}", columns),
        value_schema(namespace, fields, flavor),
        key_schema(namespace, [fields[i] for i in key]) if key else None,
        description is not None,
    )


def _null_value(field: Field, settings: ChangeEventSettings) -> bytes | None:
    """What is written for null where the column has a default; None: null itself."""
    if field.default is None or not field.nullable or not settings.replace_null_with_default:
        return None
    return b"\x00" + encode_default(field.avro, field.default)


def _with_names(shape: Shape, description: Description | None) -> Shape:
    if shape.named:
        return shape
    table = f"{shape.database}.{shape.table}"
    if description is None:
        raise DecodeError(
            f"the binlog holds no column names of {table} and the catalogue's don't fit",
            hint="SET PERSIST binlog_row_metadata=FULL on the source, then write to the table"
            " only after that; rows written before can't be named for certain",
        )
    columns = tuple(
        replace(seen, name=known.name, unsigned=" unsigned" in known.column_type)
        for seen, known in zip(shape.columns, description.columns, strict=True)
    )
    return replace(shape, columns=columns)


def _key_columns(shape: Shape, description: Description | None) -> Sequence[int]:
    """Indexes of the key's columns: primary key, else the first usable unique key."""
    if shape.primary_key:
        return shape.primary_key
    if description and description.unique_keys:
        names = [column.name for column in shape.columns]
        return [names.index(name) for name in description.unique_keys[0]]
    return ()


def _refuse_equal_names(shape: Shape, fields: Sequence[Field]) -> None:
    seen: dict[str, str] = {}
    for column, field in zip(shape.columns, fields, strict=True):
        if field.name in seen:
            raise DecodeError(
                f"columns {seen[field.name]} and {column.name} of {shape.database}.{shape.table}"
                f" would both be called {field.name} in Avro",
                hint="rename one of them, or leave one out",
            )
        seen[field.name] = column.name
