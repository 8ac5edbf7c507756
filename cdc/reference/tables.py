"""Captured tables as the reference reader needs them: schemas, fields, ids; once per shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.capture.checkpoint import Flavor
from cdc.capture.description import Description
from cdc.capture.envelope import TRANSACTION_KEY_SCHEMA, TRANSACTION_VALUE_SCHEMA, version_of
from cdc.capture.plan import TablePlan, plan_table
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Column, Shape
from cdc.codec.avro import AvroSchema
from cdc.codec.wire import frame
from cdc.errors import ConfigError
from cdc.patterns import TablePatterns

SYSTEM_DATABASES = frozenset({"mysql", "sys", "information_schema", "performance_schema"})
SETTINGS_KNOWN = frozenset(
    {
        "tombstones_on_delete", "skipped_operations", "provide_transaction_metadata", "compat",
        "decimal_handling_mode", "bigint_unsigned_handling_mode", "time_precision_mode",
        "topic_delimiter", "topic_transaction", "unavailable_value_placeholder",
        "heartbeat_interval_ms",
    }
)  # fmt: skip
"""Settings of change events that it follows; others must have their defaults."""

Announce = Callable[[str, dict[str, Any] | None, dict[str, Any]], tuple[int, int]]
Describe = Callable[[Shape], Description | None]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the row's record and the column that it holds."""

    name: str
    column: Column
    index: int
    """Of the column in the shape."""
    avro: Any
    """The field's type, less null."""


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
    """The tables that the configuration names, by shape."""

    def __init__(
        self,
        connector: str,
        patterns: TablePatterns,
        settings: ChangeEventSettings,
        announce: Announce,
        describe: Describe,
    ) -> None:
        _refuse_other_settings(settings)
        self.connector = connector
        self.transaction_topic = f"{connector}.transaction"
        self._patterns, self._settings = patterns, settings
        self._announce, self._describe = announce, describe
        self._by_shape: dict[int, tuple[Shape, Table]] = {}
        self._last_by_name: dict[tuple[str, str], Table] = {}
        self._transactions: tuple[bytes, bytes, AvroSchema, AvroSchema] | None = None

    def captures(self, database: str, table: str) -> bool:
        """True if the configuration names the table."""
        return database not in SYSTEM_DATABASES and self._patterns.matches(database, table)

    def captures_database(self, database: str) -> bool:
        """True if the configuration may name a table of the database."""
        return database not in SYSTEM_DATABASES and self._patterns.may_match_database(database)

    def of(self, shape: Shape, flavor: Flavor) -> Table:
        """The table of a shape; the same object for the same shape."""
        known = self._by_shape.get(id(shape))
        if known is None:
            known = self._by_shape[id(shape)] = (shape, self._bind(shape, flavor))
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

    def transactions(self) -> tuple[bytes, bytes, AvroSchema, AvroSchema]:
        """Frames and schemas of the transaction topic's keys and values."""
        if self._transactions is None:
            key_id, value_id = self._announce(
                self.transaction_topic, TRANSACTION_KEY_SCHEMA, TRANSACTION_VALUE_SCHEMA
            )
            self._transactions = (
                frame(key_id),
                frame(value_id),
                AvroSchema(TRANSACTION_KEY_SCHEMA, plain=True),
                AvroSchema(TRANSACTION_VALUE_SCHEMA, plain=True),
            )
        return self._transactions

    def _bind(self, shape: Shape, flavor: Flavor) -> Table:
        plan = plan_table(
            shape, self._describe(shape), self._settings, connector=self.connector, flavor=flavor
        )
        key_id, value_id = self._announce(plan.topic, plan.key_schema, plan.value_schema)
        key = plan.key_schema
        return Table(
            f"{shape.database}.{shape.table}",
            plan,
            fields_of(plan),
            tuple(field["name"] for field in key["fields"]) if key else (),
            frame(value_id),
            frame(key_id),
            AvroSchema(plan.value_schema, plain=True),
            AvroSchema(key, plain=True) if key else None,
            {
                "version": version_of(flavor, self._settings.compat),
                "connector": flavor,
                "name": self.connector,
            },
        )


def fields_of(plan: TablePlan) -> Sequence[Field]:
    """The row's fields in order, each with its column."""
    before = next(field for field in plan.value_schema["fields"] if field["name"] == "before")
    record = next(branch for branch in before["type"] if isinstance(branch, dict))
    return tuple(
        Field(one["name"], column, index, _less_null(one["type"]))
        for index, (one, column) in enumerate(
            zip(record["fields"], plan.shape.columns, strict=True)
        )
    )


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
