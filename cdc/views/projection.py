"""From an official event to changes of rows: pure functions of the event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from cdc.codec.avro import AvroSchema
from cdc.codec.types import ValueType, record_fields
from cdc.errors import ViewError
from cdc.findings import Finding, nearest
from cdc.section_parts import Scalar
from cdc.views.settings import Handling, ValueSource, ViewSettings

NESTED = frozenset(("record", "array", "map", "union"))

CONSTANT_TYPES: Mapping[type, ValueType] = {
    bool: ValueType("boolean", "boolean"),
    int: ValueType("long", "long"),
    float: ValueType("double", "double"),
    str: ValueType("string", "string"),
}

WIDER = {("int", "long"): "long", ("float", "double"): "double", ("enum", "string"): "string"}


class RowChange(NamedTuple):
    """What one event does to one row; `values` None deletes it."""

    topic: str
    partition: int
    offset: int
    key: tuple[Any, ...]
    values: Mapping[str, Any] | None


class RowWrite(NamedTuple):
    """All changes of one row in one batch."""

    key: tuple[Any, ...]
    is_reset: bool
    """The row is deleted first, so that nothing of an earlier one stays."""
    values: Mapping[str, Any] | None
    """Columns to set; None: the row is gone afterwards."""


def merge(changes: Iterable[RowChange]) -> list[RowWrite]:
    """One write per row that has the effect of all its changes in their order."""
    writes: dict[tuple[Any, ...], RowWrite] = {}
    for change in changes:
        earlier = writes.get(change.key)
        if change.values is None:
            writes[change.key] = RowWrite(change.key, True, None)
        elif earlier is None:
            writes[change.key] = RowWrite(change.key, False, change.values)
        else:
            values = {**(earlier.values or {}), **change.values}
            writes[change.key] = earlier._replace(values=values)
    return list(writes.values())


@dataclass(frozen=True, slots=True)
class ViewTable:
    """A view's table: columns with types in order, the key's columns first."""

    name: str
    columns: Mapping[str, ValueType]
    key: tuple[str, ...]
    definition: str
    """Changes when rows would be built otherwise; kept in the store to notice that."""


class Handler:
    """One event's effect, its constants and fields worked out."""

    def __init__(
        self,
        schema: AvroSchema,
        key: Sequence[tuple[str | None, Any]],
        values: Sequence[tuple[str, str | None, Any]] | None,
    ) -> None:
        self.schema = schema
        """The schema that the view was declared against; events are read in its form."""
        self._key = key
        self._values = values

    def apply(self, event: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any] | None]:
        """The row's key and its new values; ValueError for a key with null."""
        key = tuple(constant if field is None else event[field] for field, constant in self._key)
        if None in key:
            raise ValueError("null in a field that the view's key is made of")
        if self._values is None:
            return key, None
        return key, {
            column: constant if field is None else event[field]
            for column, field, constant in self._values
        }


@dataclass(frozen=True, slots=True)
class Projection:
    """A view, compiled: its table and a handler for each event that it names."""

    view: str
    topic: str
    table: ViewTable
    handlers: Mapping[str, Handler]


EventSchemas = Mapping[str, Mapping[str, Any]]
"""Event → Avro schema, of one event topic."""


def check_views(views: Sequence[ViewSettings], topics: Mapping[str, EventSchemas]) -> list[Finding]:
    """All findings, in the order of the configuration; `topics` holds the events of each."""
    findings: list[Finding] = []
    names: dict[tuple[str, str], int] = {}
    for index, view in enumerate(views):
        path = f"views[{index}]"
        first = names.setdefault((str(view.store.path), view.view.lower()), index)
        if first != index:
            findings.append(
                Finding("error", f"{path}.view", f"views[{first}] has this name in this store")
            )
        if view.topic not in topics:
            hint = nearest(view.topic, topics)
            findings.append(
                Finding("error", f"{path}.topic", f"there is no event topic {view.topic!r}", hint)
            )
        else:
            findings += project(path, view, topics[view.topic])[1]
    return findings


def project(
    path: str, view: ViewSettings, events: EventSchemas
) -> tuple[Projection | None, list[Finding]]:
    """The compiled view, or what is wrong with it."""
    compiler = _Compiler(path, view, events)
    projection = compiler.compile()
    return projection, compiler.findings


def compile_view(path: str, view: ViewSettings, events: EventSchemas) -> Projection:
    """The compiled view; ViewError with all that is wrong with it."""
    projection, findings = project(path, view, events)
    if projection is None:
        lines = [f"view {view.view} can't be built:", *(f"  {one}" for one in findings)]
        raise ViewError("\n".join(lines), hint="mend the view's declaration; see `cdc check`")
    return projection


class _Compiler:
    """Compiles one view and notes what is wrong with it."""

    def __init__(self, path: str, view: ViewSettings, events: EventSchemas) -> None:
        self._path = path
        self._view = view
        self._events = events
        self._columns: dict[str, ValueType] = {}
        self.findings: list[Finding] = []

    def compile(self) -> Projection | None:
        view = self._view
        sources: dict[str, dict[str, ValueSource]] = {}
        for name, handling in view.events.items():
            path = f"{self._path}.events.{name}"
            if name not in self._events:
                self._error(
                    path, f"topic {view.topic} has no event {name!r}", nearest(name, self._events)
                )
                continue
            for column in set(handling.delete or ()) - set(view.key):
                where = f"{path}.delete.{column}"
                self._error(where, f"{column} is no column of the key", nearest(column, view.key))
            sources[name] = self._with_key(handling)
            self._field_types(path, name, sources[name])
        self._constant_types(sources)
        if self.findings:
            return None
        handlers = {name: self._handler(name, found) for name, found in sources.items()}
        if self.findings:
            return None
        return Projection(view.view, view.topic, self._table(), handlers)

    def _error(self, path: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding("error", path, message, hint))

    def _with_key(self, handling: Handling) -> dict[str, ValueSource]:
        """The columns with the key's first; a key column that isn't named is filled by name."""
        named = handling.columns
        key = {
            column: named.get(column) or ValueSource.model_validate(column)
            for column in self._view.key
        }
        return {**key, **named}

    def _field_types(self, path: str, event: str, sources: Mapping[str, ValueSource]) -> None:
        fields = record_fields(self._events[event])
        for column, source in sources.items():
            if source.from_ is None:
                continue
            found = fields.get(source.from_)
            where = f"{path}.{column}"
            if found is None:
                self._error(
                    where, f"{event} has no field {source.from_!r}", nearest(source.from_, fields)
                )
            elif found.type.kind in NESTED:
                self._error(
                    where,
                    f"the field {source.from_} is {found.type}; a column can't hold"
                    " nested values yet",
                    "leave it out",
                )
            else:
                self._add_type(where, column, found.type)

    def _add_type(self, path: str, column: str, type_: ValueType) -> None:
        known = self._columns.get(column)
        common = type_ if known is None else common_type(known, type_)
        if common is None:
            self._error(
                path,
                f"column {column} would be {type_} here and {known} elsewhere",
                "give one of them a column of another name",
            )
        else:
            self._columns[column] = common

    def _constant_types(self, sources: Mapping[str, Mapping[str, ValueSource]]) -> None:
        """Columns that only constants fill have the constants' type."""
        filled = set(self._columns)
        for event, columns in sources.items():
            for column, source in columns.items():
                is_constant = source.from_ is None and source.value is not None
                if is_constant and column not in filled:
                    path = f"{self._path}.events.{event}.{column}"
                    self._add_type(path, column, CONSTANT_TYPES[type(source.value)])
        for event, columns in sources.items():
            for column in columns:
                if column not in self._columns and not self.findings:
                    self._error(
                        f"{self._path}.events.{event}.{column}",
                        f"nothing but null fills column {column}",
                    )

    def _handler(self, event: str, sources: Mapping[str, ValueSource]) -> Handler:
        def read(column: str) -> tuple[str | None, Any]:
            source = sources[column]
            if source.from_ is not None:
                return source.from_, None
            try:
                return None, constant(source.value, self._columns[column])
            except ValueError as fault:
                self._error(
                    f"{self._path}.events.{event}.{column}",
                    f"the constant doesn't fit {self._columns[column]}",
                    str(fault),
                )
                return None, None

        key = [read(column) for column in self._view.key]
        is_delete = self._view.events[event].upsert is None
        values = None if is_delete else [(column, *read(column)) for column in sources]
        return Handler(AvroSchema(self._events[event]), key, values)

    def _table(self) -> ViewTable:
        view = self._view
        rest = [column for column in self._columns if column not in view.key]
        columns = {column: self._columns[column] for column in (*view.key, *rest)}
        declared = view.model_dump(mode="json", exclude={"store"}, exclude_unset=True)
        kinds = {
            name: [type_.kind, type_.precision, type_.scale] for name, type_ in columns.items()
        }
        definition = json.dumps({"view": declared, "columns": kinds}, sort_keys=True)
        return ViewTable(view.view, columns, view.key, definition)


def common_type(one: ValueType, other: ValueType) -> ValueType | None:
    """The type that holds the values of both; None if there is none."""
    if one.kind == other.kind == "decimal":
        scale = max(one.scale, other.scale)
        whole = max(one.precision - one.scale, other.precision - other.scale)
        return replace(one, precision=whole + scale, scale=scale)
    if one.kind == other.kind:
        return one
    kinds = sorted((one.kind, other.kind))
    wider = WIDER.get((kinds[0], kinds[1]))
    return ValueType(wider, wider) if wider else None


def constant(value: Scalar, type_: ValueType) -> Any:
    """A constant as a value of a column's type; ValueError says what the type allows."""
    if value is None:
        return None
    natural = CONSTANT_TYPES[type(value)].kind
    if natural == type_.kind or (natural, type_.kind) in (("string", "enum"), ("long", "int")):
        return value
    if type_.kind in ("float", "double") and natural == "long":
        return float(value)
    if type_.kind == "decimal" and natural in ("long", "double", "string"):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            raise ValueError("allowed: a decimal number") from None
    raise ValueError(f"allowed: null, or a constant of type {type_.kind}")
