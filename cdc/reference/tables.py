"""Captured tables as the reference reader needs them: schemas, fields, ids; once per shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint, Flavor
from cdc.capture.envelope import version_of
from cdc.capture.knowledge import Place
from cdc.capture.plan import TablePlan
from cdc.capture.schema_changes import Said
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Column, Shape
from cdc.codec.avro import AvroSchema
from cdc.errors import ConfigError
from cdc.model import Record

SETTINGS_KNOWN = frozenset(
    {
        "tombstones_on_delete", "skipped_operations", "provide_transaction_metadata", "compat",
        "decimal_handling_mode", "bigint_unsigned_handling_mode", "time_precision_mode",
        "topic_delimiter", "topic_transaction", "unavailable_value_placeholder",
        "replace_null_with_default", "include_schema_changes", "include_schema_comments",
    }
)  # fmt: skip
"""Settings of change events that it follows; others must have their defaults."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the row's record and the column that it holds."""

    name: str
    column: Column
    index: int
    """Of the column in the shape."""
    avro: Any
    """The field's type, less null."""
    default: Any
    """As a datum; None: it has none."""
    shows_default: bool
    """Whether null is published as the default."""


@dataclass(frozen=True)
class Table:
    """One shape of a captured table."""

    name: str
    plan: TablePlan
    fields: Sequence[Field]
    key_names: Sequence[str]
    """Fields of the key, in its order; empty: no key."""
    value_frame: bytes
    key_frame: bytes
    value_schema: AvroSchema
    key_schema: AvroSchema | None
    source: dict[str, Any]
    """What of `source` is the same for all events."""


class Tables:
    """The captured tables as they are where the stream is; what is known of them the binder says.

    Descriptions decorate schemas, and never have a part in reading a row (invariant 6)."""

    def __init__(self, binder: Binder, settings: ChangeEventSettings) -> None:
        _refuse_other_settings(settings)
        self._binder, self._settings = binder, settings
        self._by_shape: dict[int, tuple[Shape, Table]] = {}
        self._last_by_name: dict[tuple[str, str], Table] = {}

    @property
    def connector(self) -> str:
        return self._binder.connector

    @property
    def transaction_topic(self) -> str:
        return self._binder.transaction_topic

    def start(self, checkpoint: Checkpoint) -> None:
        """A reading begins."""
        self._binder.start(checkpoint)
        self._by_shape, self._last_by_name = {}, {}

    def captures(self, database: str, table: str) -> bool:
        """True if the configuration names the table."""
        return self._binder.captures(database, table)

    def drop_reason(self, shape: Shape, flavor: Flavor) -> str:
        """Why the rows of a table are not published; empty: they are."""
        return self._binder.drop_reason(shape, flavor)

    def captures_database(self, database: str) -> bool:
        """True if the configuration may name a table of the database."""
        return self._binder.captures_database(database)

    def opened(self, at: Place) -> None:
        """A transaction begins."""
        if self._binder.is_waiting:
            self._forget(self._binder.opened(at))

    def defined(self, said: Said, flavor: Flavor, at: Place) -> None:
        """DDL, perhaps."""
        self._forget(self._binder.statement(said, flavor, at))

    def records(self) -> list[Record]:
        """What is to be written beside the change events."""
        return self._binder.records()

    def of(self, shape: Shape, flavor: Flavor, at: Place) -> Table:
        """The table of a shape; the same object for the same shape, until it is another table."""
        known = self._by_shape.get(id(shape))
        if known is None:
            table = self._table(shape, flavor, at)
            if self._binder.take_changed():
                self._forget([table.name])
            known = self._by_shape[id(shape)] = (shape, table)
        self._last_by_name[shape.database, shape.table] = known[1]
        return known[1]

    def last_of(self, database: str, table: str) -> Table | None:
        """The table as it was last seen."""
        return self._last_by_name.get((database, table))

    def column_of(self, table: str, field: str) -> str | None:
        """The column that a field of `database.table` holds, as it was last seen."""
        for known in self._last_by_name.values():
            if known.name == table:
                found = (one.column.name for one in known.fields if one.name == field)
                return next(found, None)
        return None

    def transactions(self) -> tuple[bytes, bytes]:
        """Frames of the transaction topic's keys and values."""
        return self._binder.transaction_frames()

    def _forget(self, names: Sequence[str]) -> None:
        if names:
            self._by_shape = {
                key: one for key, one in self._by_shape.items() if one[1].name not in names
            }

    def _table(self, shape: Shape, flavor: Flavor, at: Place) -> Table:
        plan = self._binder.plan(shape, flavor, at)
        value_frame, key_frame = self._binder.frames(plan)
        key = plan.key_schema
        return Table(
            f"{shape.database}.{shape.table}",
            plan,
            fields_of(plan, shows_defaults=self._settings.replace_null_with_default),
            tuple(field["name"] for field in key["fields"]) if key else (),
            value_frame,
            key_frame,
            AvroSchema(plan.value_schema, plain=True),
            AvroSchema(key, plain=True) if key else None,
            {
                "version": version_of(flavor, self._settings.compat),
                "connector": flavor,
                "name": self.connector,
            },
        )


def fields_of(plan: TablePlan, *, shows_defaults: bool) -> Sequence[Field]:
    """The row's fields in order, each with its column."""
    before = next(field for field in plan.value_schema["fields"] if field["name"] == "before")
    record = next(branch for branch in before["type"] if isinstance(branch, dict))
    return tuple(
        Field(
            one["name"],
            column,
            index,
            _less_null(one["type"]),
            _default_of(one),
            shows_defaults,
        )
        for index, (one, column) in enumerate(
            zip(record["fields"], plan.shape.columns, strict=True)
        )
    )


def _default_of(field: Mapping[str, Any]) -> Any:
    """The column's default as a datum; None if it has none."""
    default, avro = field.get("default"), _less_null(field["type"])
    base = avro["type"] if isinstance(avro, dict) else avro
    return default.encode("latin-1") if base == "bytes" and default is not None else default


def _less_null(avro: Any) -> Any:
    if isinstance(avro, list):
        (avro,) = (branch for branch in avro if branch != "null")
    if isinstance(avro, str) and "." in avro:  # a record that was spelt out further up
        return {"type": "record", "name": avro.rpartition(".")[2]}
    return avro


def _refuse_other_settings(settings: ChangeEventSettings) -> None:
    defaults = ChangeEventSettings()
    for name in ChangeEventSettings.__slots__:
        if name not in SETTINGS_KNOWN and getattr(settings, name) != getattr(defaults, name):
            raise ConfigError(
                f"change_events.{name.replace('_', '.')} is not among what source.reader:"
                " reference follows",
                hint="leave it out, or leave out source.reader",
            )
