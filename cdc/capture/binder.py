"""Gives the decoder, for each shape it meets, topic, schema ids and names: once per shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdc.capture import rows
from cdc.capture.avro_out import avro_string
from cdc.capture.bound_table import BoundTable
from cdc.capture.checkpoint import Flavor
from cdc.capture.columns import ColumnPlan
from cdc.capture.description import Description
from cdc.capture.envelope import (
    HEARTBEAT_KEY_SCHEMA,
    HEARTBEAT_VALUE_SCHEMA,
    TRANSACTION_KEY_SCHEMA,
    TRANSACTION_VALUE_SCHEMA,
    version_of,
)
from cdc.capture.names import topic_name
from cdc.capture.plan import TablePlan, plan_table
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Shape
from cdc.capture.types import form_of
from cdc.codec.partition import place
from cdc.codec.wire import frame
from cdc.patterns import TablePatterns

SYSTEM_DATABASES = frozenset({"mysql", "sys", "information_schema", "performance_schema"})

Announce = Callable[[str, dict[str, Any] | None, dict[str, Any]], tuple[int, int]]
"""(topic, key schema, value schema) → their ids; the topic is there afterwards."""
Describe = Callable[[Shape], Description | None]
"""What the catalogue knew of a table when rows of this shape were written; None: nothing."""


class Binder:
    """The decoder's view of configuration, registry and catalogue."""

    def __init__(
        self,
        connector: str,
        tables: TablePatterns,
        settings: ChangeEventSettings,
        announce: Announce,
        describe: Describe,
    ) -> None:
        self.connector = connector
        delimiter = settings.topic_delimiter
        self.transaction_topic = topic_name(
            connector, settings.topic_transaction, delimiter=delimiter
        )
        self.heartbeat_topic = settings.topic_heartbeat_name or topic_name(
            settings.topic_heartbeat_prefix, connector, delimiter=delimiter
        )
        self.undescribed: set[str] = set()
        """Captured tables whose schemas are plain, since nothing was known of them."""
        self._tables = tables
        self._settings = settings
        self._announce = announce
        self._describe = describe
        self._flavor: Flavor = "mysql"
        self._file = ("", b"")
        self._transaction_frames: tuple[bytes, bytes] | None = None
        self._heartbeat_frames: tuple[bytes, bytes] | None = None

    def captures(self, database: str, table: str) -> bool:
        """True if the configuration names the table."""
        return database not in SYSTEM_DATABASES and self._tables.matches(database, table)

    def captures_database(self, database: str) -> bool:
        """True if the configuration may name a table of the database."""
        return database not in SYSTEM_DATABASES and self._tables.may_match_database(database)

    def bind(self, shape: Shape, flavor: Flavor) -> BoundTable:
        """What the decoder needs of a table; of one that isn't captured only its rows' size."""
        self._flavor = flavor
        name = f"{shape.database}.{shape.table}"
        if not self.captures(shape.database, shape.table):
            return BoundTable(name, _skipping_plan(shape, self._settings))
        description = self._describe(shape)
        plan = plan_table(
            shape, description, self._settings, connector=self.connector, flavor=flavor
        )
        (self.undescribed.discard if plan.is_described else self.undescribed.add)(name)
        return self._bound(name, plan, flavor)

    def _bound(self, name: str, plan: TablePlan, flavor: Flavor) -> BoundTable:
        key_id, value_id = self._announce(plan.topic, plan.key_schema, plan.value_schema)
        source = b"".join(
            map(avro_string, (version_of(flavor, self._settings.compat), flavor, self.connector))
        )
        return BoundTable(
            name,
            plan.rows,
            plan.topic,
            (frame(value_id), frame(key_id)),
            source,
            (avro_string(plan.shape.database), avro_string(plan.shape.table)),
        )

    def avro_file(self, file: str) -> bytes:
        """The binlog file's name as an Avro string."""
        if self._file[0] != file:
            self._file = (file, avro_string(file))
        return self._file[1]

    def transaction_frames(self) -> tuple[bytes, bytes]:
        """Frames of key and value of the transaction topic's records."""
        if self._transaction_frames is None:
            key_id, value_id = self._announce(
                self.transaction_topic, TRANSACTION_KEY_SCHEMA, TRANSACTION_VALUE_SCHEMA
            )
            self._transaction_frames = (frame(key_id), frame(value_id))
        return self._transaction_frames

    def heartbeat_frames(self) -> tuple[bytes, bytes]:
        """Frames of key and value of heartbeat records."""
        if self._heartbeat_frames is None:
            key_id, value_id = self._announce(
                self.heartbeat_topic, HEARTBEAT_KEY_SCHEMA, HEARTBEAT_VALUE_SCHEMA
            )
            self._heartbeat_frames = (frame(key_id), frame(value_id))
        return self._heartbeat_frames

    def place(self, key_body: bytes) -> int:
        return place(key_body)


def _skipping_plan(shape: Shape, settings: ChangeEventSettings) -> rows.RowPlan:
    """A plan that only knows how long the values are."""
    name = f"{shape.database}.{shape.table}"
    columns = [
        ColumnPlan(name, column.name, form_of(column, None, settings)) for column in shape.columns
    ]
    return rows.RowPlan(name, columns)
