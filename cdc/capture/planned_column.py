"""One column's place in a table's plan: its field in the schemas, how its bytes are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdc.capture import opcodes
from cdc.capture import shapes as t
from cdc.capture.avro_out import avro_string
from cdc.capture.column_rules import Mask
from cdc.capture.columns import ColumnPlan, VeiledColumn
from cdc.capture.defaults import default_of, encode_default
from cdc.capture.description import ColumnDescription
from cdc.capture.envelope import Field
from cdc.capture.masks import hashing, truncating
from cdc.capture.names import avro_name
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.source_types import SourceType, source_type
from cdc.capture.types import AvroType, Form, form_of
from cdc.errors import DecodeError

_BLOBS = frozenset({t.TINY_BLOB, t.BLOB, t.MEDIUM_BLOB, t.LONG_BLOB, t.BLOB_COMPRESSED})
"""What `binlog_row_image=NOBLOB` may leave out; neither JSON nor GEOMETRY nor VECTOR is."""
_TEXT = frozenset({opcodes.UTF8, opcodes.TEXT, opcodes.COMPRESSED_TEXT, opcodes.ENUM, opcodes.SET})
"""What Debezium masks: character columns, ENUM and SET among them."""
_RAW = frozenset({opcodes.BYTES, opcodes.COMPRESSED_BYTES})


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column as field and as plan."""

    field: Field
    plan: ColumnPlan
    is_in_value: bool


@dataclass(frozen=True, slots=True)
class _Column:
    """What is known of a column while it is planned."""

    column: t.Column
    form: Form
    settings: ChangeEventSettings
    table: str
    key_slot: int
    source: SourceType

    @property
    def full_name(self) -> str:
        return f"{self.table}.{self.column.name}"

    def plan(self, default: Any, *, key_slot: int = -1) -> ColumnPlan:
        """The plan that reads the value; a default comes first in the union."""
        form, nullable, settings = self.form, self.column.nullable, self.settings
        encoded = None if default is None else encode_default(form.avro, default)
        shows_default = nullable and settings.replace_null_with_default
        null_branch = -1 if not nullable else 0 if default is None else 1
        return ColumnPlan(
            self.table,
            self.column.name,
            form,
            null_branch=null_branch,
            key_slot=key_slot,
            null_value=b"\x00" + encoded if encoded is not None and shows_default else None,
            fallback=encoded,
            absent=self._absent(null_branch),
            fails_on_substitution=settings.on_substitution != "count",
            replaces_text=settings.invalid_text == "replace",
        )

    def _absent(self, null_branch: int) -> bytes | None:
        """What stands for a value that NOBLOB leaves out; None: nothing can."""
        if self.column.type not in _BLOBS or self.key_slot >= 0:
            return None
        branch = b"" if null_branch < 0 else bytes([2 - 2 * null_branch])
        return branch + avro_string(self.settings.unavailable_value_placeholder)


def plan_column(
    column: t.Column,
    described: ColumnDescription | None,
    settings: ChangeEventSettings,
    *,
    table: str,
    key_slot: int,
) -> PlannedColumn:
    """Field and plan of a column; `key_slot` is its place in the key, -1 if it has none."""
    rules = settings.columns
    full_name = f"{table}.{column.name}"
    is_in_value = rules.is_included(full_name)
    if not is_in_value and key_slot < 0:
        return _left_out(column, settings, table)
    form = form_of(column, described, settings)
    source = source_type(column, described)
    known = _Column(column, form, settings, table, key_slot, source)
    mask = rules.mask_of(full_name)
    default = default_of(column, described, form) if described and mask is None else None
    comment = described.comment if described and settings.include_schema_comments else ""
    length_max = rules.length_max_of(known.full_name)
    parameters = _parameters(known, mask, length_max, described)
    name = avro_name(column.name, settings.field_name_adjustment_mode)
    field = Field(name, form.avro, column.nullable, default, parameters, comment)
    if not is_in_value:
        return PlannedColumn(field, _in_key_alone(known), is_in_value=False)
    if mask is not None:
        plan: ColumnPlan = _masked(known, mask)
    elif length_max is not None and _can_be_longer(source, length_max):
        plan = _truncated(known, default, length_max)
    elif key_slot >= 0 and column.nullable and default is not None:
        # The key's own union has null first, default or not.
        plan = VeiledColumn(
            known.plan(default), opcodes.APART, keyed=known.plan(None), key_slot=key_slot
        )
    else:
        plan = known.plan(default, key_slot=key_slot)
    return PlannedColumn(field, plan, is_in_value=True)


def _base(avro: AvroType) -> str:
    return str(avro["type"]) if isinstance(avro, dict) else avro


def _parameters(
    known: _Column, mask: Mask | None, length_max: int | None, described: ColumnDescription | None
) -> dict[str, str]:
    """Connect parameters that Debezium's column mappers add to a field."""
    source, column = known.source, known.column
    parameters: dict[str, str] = {}
    if mask is not None:
        parameters["masked"] = "true"
    elif length_max is not None and _can_be_longer(source, length_max):
        parameters["truncateLength"] = str(length_max)
    if known.settings.columns.shows_source_type(known.table, column.name, source.name):
        parameters["__debezium.source.column.type"] = source.name
        if source.length is not None:
            parameters["__debezium.source.column.length"] = str(source.length)
        if source.scale is not None:
            parameters["__debezium.source.column.scale"] = str(source.scale)
        if known.settings.include_schema_comments and described and described.comment:
            parameters["__debezium.source.column.comment"] = described.comment
        parameters["__debezium.source.column.name"] = column.name
    return parameters


def _left_out(column: t.Column, settings: ChangeEventSettings, table: str) -> PlannedColumn:
    """A column of which only the length is read, so that nothing in it can stop the reader."""
    plain = ColumnPlan(table, column.name, form_of(column, None, settings))
    field = Field(column.name, "null", nullable=True)
    return PlannedColumn(field, VeiledColumn(plain, opcodes.EXCLUDED), is_in_value=False)


def _in_key_alone(known: _Column) -> ColumnPlan:
    """A column that no list includes; one that a list excludes can't be in the key either."""
    if known.settings.columns.is_excluded(known.full_name):
        # Invariant 9: what is excluded reaches no topic.
        raise DecodeError(
            f"column {known.column.name} of {known.table} is in column.exclude.list, but part of"
            " the key",
            hint="name other columns in message.key.columns, or take it off the list",
        )
    plain = known.plan(None)
    return VeiledColumn(plain, opcodes.EXCLUDED, keyed=plain, key_slot=known.key_slot)


def _masked(known: _Column, mask: Mask) -> ColumnPlan:
    if known.form.kind not in _TEXT:
        raise DecodeError(
            f"column {known.column.name} of {known.table} is to be masked, but it is"
            f" {known.source.name}: only text can be masked",
            hint="name it in column.exclude.list, or let the mask's expression match less",
        )
    plain = known.plan(None)
    if mask.algorithm:
        change = hashing(mask, known.source.length)
        return VeiledColumn(plain, opcodes.CHANGED, change=change, key_slot=known.key_slot)
    if known.key_slot >= 0:
        raise DecodeError(
            f"column {known.column.name} of {known.table} is masked by asterisks, but part of the"
            " key: all rows would have the same",
            hint="mask it by a hash, or name other columns in message.key.columns",
        )
    branch = bytes([2 * plain.value_branch]) if known.column.nullable else b""
    constant = branch + avro_string(mask.asterisks * "*")
    return VeiledColumn(plain, opcodes.CONSTANT, constant=constant)


def _can_be_longer(source: SourceType, length_max: int) -> bool:
    return source.length is None or source.length > length_max


def _truncated(known: _Column, default: Any, length_max: int) -> ColumnPlan:
    """A column that is cut, if it is text or bytes; the key holds it whole."""
    is_text = _base(known.form.avro) == "string"
    if not is_text and known.form.kind not in _RAW:
        return known.plan(default, key_slot=known.key_slot)
    return VeiledColumn(
        known.plan(default),
        opcodes.CHANGED,
        change=truncating(length_max, is_text=is_text),
        keyed=known.plan(None) if known.key_slot >= 0 else None,
        key_slot=known.key_slot,
    )
