"""Gives the decoder, for each shape it meets, topic, schema ids and names: once per shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from cdc.capture import rows, schema_changes
from cdc.capture.addresses import is_ambiguous
from cdc.capture.avro_out import avro_string
from cdc.capture.bound_table import BoundTable
from cdc.capture.checkpoint import Checkpoint, Flavor
from cdc.capture.columns import ColumnPlan
from cdc.capture.ddl import Statement
from cdc.capture.decisions import Decision, TableName
from cdc.capture.description import Description
from cdc.capture.envelope import (
    HEARTBEAT_KEY_SCHEMA,
    HEARTBEAT_VALUE_SCHEMA,
    TRANSACTION_KEY_SCHEMA,
    TRANSACTION_VALUE_SCHEMA,
    version_of,
)
from cdc.capture.knowledge import Catalogue, Change, Knowledge, Place
from cdc.capture.names import topic_name
from cdc.capture.online_change import helped_table
from cdc.capture.plan import TablePlan, plan_table
from cdc.capture.schema_changes import Said
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.shapes import Shape
from cdc.capture.types import form_of
from cdc.codec.partition import place
from cdc.codec.wire import frame
from cdc.model import Record
from cdc.patterns import TablePatterns

SYSTEM_DATABASES = frozenset({"mysql", "sys", "information_schema", "performance_schema"})
SEQUENCE_COLUMNS = (
    "next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment",
    "cache_size", "cycle_option", "cycle_count",
)  # fmt: skip
"""Of MariaDB's sequences, whose state comes as rows of a table."""

Announce = Callable[[str, dict[str, Any] | None, dict[str, Any]], tuple[int, int]]
"""(topic, key schema, value schema) → their ids; the topic is there afterwards."""
LastSchema = Callable[[str], int | None]
"""Topic → id of the schema that its values had last; None: it never had any."""


class Binder:
    """The decoder's view of configuration, registry and catalogue."""

    def __init__(
        self,
        connector: str,
        tables: TablePatterns,
        settings: ChangeEventSettings,
        announce: Announce,
        *,
        catalogue: Catalogue | None = None,
        stored: Iterable[Decision] = (),
        given: Mapping[TableName, Description] | None = None,
        topic: str | None = None,
        is_plain: bool = False,
        last_schema: LastSchema = lambda topic: None,
        record_bytes_max: Callable[[str], int] = lambda topic: 0,
    ) -> None:
        """`catalogue`, `stored`, `given`, `topic`: see `Knowledge`. With `is_plain` schemas hold
        nothing but what TABLE_MAP tells. `record_bytes_max` of a topic; 0: that isn't looked at."""
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
        self._exact = frozenset(tables.exact())
        self._settings = settings
        self._announce = announce
        self._knowledge = Knowledge(
            topic,
            self.captures,
            self._tracks,
            catalogue=catalogue,
            stored=stored,
            given=given,
            veil=self._veil,
        )
        self._is_plain = is_plain
        self._last_schema, self._record_bytes_max = last_schema, record_bytes_max
        self._schema_changes: list[Record] = []
        self._flavor: Flavor = "mysql"
        self._frames: dict[str, tuple[bytes, bytes]] = {}

    def start(self, checkpoint: Checkpoint) -> None:
        """A reading begins."""
        self._knowledge.start(checkpoint)
        self._schema_changes = []

    def captures(self, database: str, table: str) -> bool:
        """True if the configuration names the table, or a pattern does and it is no helper."""
        return self._matches(database, table) and not self._is_helper(database, table)

    def _matches(self, database: str, table: str) -> bool:
        return database not in SYSTEM_DATABASES and self._tables.matches(database, table)

    def _is_helper(self, database: str, table: str) -> bool:
        return helped_table(table) is not None and (database, table) not in self._exact

    def _tracks(self, database: str, table: str) -> bool:
        """Helpers of captured tables are known too: one will be swapped in."""
        return self._matches(database, table) or (
            (helped := helped_table(table)) is not None and self._matches(database, helped)
        )

    def _veil(self, table: TableName, description: Description) -> Description:
        """The description without defaults, comments and labels of hidden columns."""
        rules = self._settings.columns
        columns = []
        for column in description.columns:
            name = ".".join((*table, column.name))
            if not rules.is_included(name) or rules.mask_of(name) is not None:
                kind = (
                    column.data_type if column.data_type in ("enum", "set") else column.column_type
                )
                column = replace(column, default=None, comment="", column_type=kind)
            columns.append(column)
        return replace(description, columns=tuple(columns))

    def captures_database(self, database: str) -> bool:
        """True if the configuration may name a table of the database."""
        return database not in SYSTEM_DATABASES and self._tables.may_match_database(database)

    def bind(self, shape: Shape, flavor: Flavor, at: Place) -> BoundTable:
        """What the decoder needs of a table; of one that isn't captured only its rows' size."""
        name = f"{shape.database}.{shape.table}"
        reason = self.drop_reason(shape, flavor)
        if reason:
            return BoundTable(name, _skipping_plan(shape, self._settings), drop_reason=reason)
        return self._bound(name, self.plan(shape, flavor, at), flavor)

    def plan(self, shape: Shape, flavor: Flavor, at: Place) -> TablePlan:
        """The plan of a captured table, by what is known of it at the place."""
        self._flavor = flavor
        description = None if self._is_plain else self._knowledge.at(shape, at)
        if flavor == "mariadb" and description is None:
            shape = self._with_logical_types(shape)
        plan = plan_table(
            shape, description, self._settings, connector=self.connector, flavor=flavor
        )
        name = f"{shape.database}.{shape.table}"
        (self.undescribed.discard if plan.is_described else self.undescribed.add)(name)
        return plan

    def known_of(self, shape: Shape, flavor: Flavor) -> tuple[Shape, Description | None]:
        """What `plan` goes by where the stream is, so that it can be kept."""
        table = (shape.database, shape.table)
        description = None if self._is_plain else self._knowledge.known(table)
        if flavor == "mariadb" and description is None:
            shape = self._with_logical_types(shape)
        return shape, description

    def frames(self, plan: TablePlan) -> tuple[bytes, bytes]:
        """Frames of the values and keys of a table's records; its topic is there afterwards."""
        key_id, value_id = self._announce(plan.topic, plan.key_schema, plan.value_schema)
        return frame(value_id), frame(key_id)

    def _with_logical_types(self, shape: Shape) -> Shape:
        types = self._knowledge.logical_types((shape.database, shape.table))
        columns = tuple(
            replace(column, logical=types[column.name])
            if column.name in types and is_ambiguous(column)
            else column
            for column in shape.columns
        )
        return replace(shape, columns=columns)

    def drop_reason(self, shape: Shape, flavor: Flavor) -> str:
        """Why the rows of a table are not published; empty: they are."""
        table = (shape.database, shape.table)
        if not self._matches(*table):
            return "table is not in source.tables"
        if self._is_helper(*table):
            return "helper table of an online schema change; captured if source.tables names it"
        if flavor == "mariadb" and tuple(one.name for one in shape.columns) == SEQUENCE_COLUMNS:
            return "a sequence's state, which is no table's rows"
        return ""

    def _bound(self, name: str, plan: TablePlan, flavor: Flavor) -> BoundTable:
        return BoundTable(
            name,
            plan.rows,
            plan.topic,
            self.frames(plan),
            self._static_source(flavor),
            (avro_string(plan.shape.database), avro_string(plan.shape.table)),
            record_bytes_max=self._record_bytes_max(plan.topic),
        )

    def _static_source(self, flavor: Flavor) -> bytes:
        origin = (version_of(flavor, self._settings.compat), flavor, self.connector)
        return b"".join(map(avro_string, origin))

    def bind_unseen(self, database: str, table: str, flavor: Flavor) -> BoundTable | None:
        """A table without its shape: enough for events that hold no row, by its last schema.

        None if nothing was ever published of it."""
        topic = topic_name(
            self.connector, database, table, delimiter=self._settings.topic_delimiter
        )
        value_id = self._last_schema(topic)
        if value_id is None:
            return None
        names = avro_string(database), avro_string(table)
        return self.bind_rowless(f"{database}.{table}", topic, names, flavor, frame(value_id))

    def bind_rowless(
        self,
        name: str,
        topic: str,
        names: tuple[bytes, bytes],
        flavor: Flavor,
        value_frame: bytes = b"",
    ) -> BoundTable:
        """A table of which no row has to be decoded; `names` of database and table as Avro."""
        plan = rows.RowPlan(name, [])
        return BoundTable(name, plan, topic, (value_frame, b""), self._static_source(flavor), names)

    @property
    def is_waiting(self) -> bool:
        """Whether `opened` has to be called at each transaction."""
        return self._knowledge.is_waiting

    def waits_until(self, file: str) -> int:
        """The position in this file from which on `opened` has to be called."""
        return self._knowledge.waits_until(file)

    def opened(self, at: Place) -> list[str]:
        """A transaction begins: the tables to be bound anew in it, as `database.table`."""
        return [".".join(table) for table in self._knowledge.opened(at)]

    def statement(self, said: Said, flavor: Flavor, at: Place) -> list[str]:
        """DDL, perhaps: the tables to be bound anew after it, as `database.table`."""
        if self._is_plain:
            return []
        statement, changes = self._knowledge.statement(said.ddl, said.database, at, said.dialect)
        if self._settings.include_schema_changes and not said.is_published:
            self._publish(said, flavor, statement, changes)
        return [".".join(change.table) for change in changes]

    def _publish(
        self, said: Said, flavor: Flavor, statement: Statement, changes: list[Change]
    ) -> None:
        """The schema change record of a statement, if it is about what is captured."""
        from cdc.codec.avro import AvroSchema  # takes memory that most connectors don't need

        captured = [one for one in changes if one.kind != "MOVE" and self.captures(*one.table)]
        database = captured[0].table[0] if captured else statement.database
        if database is None or not (captured or self.captures_database(database)):
            return
        key_schema, value_schema = (
            schema_changes.key_schema(flavor),
            schema_changes.value_schema(flavor),
        )
        value = schema_changes.value_of(
            said,
            database,
            [] if statement.database is not None else captured,
            origin=(version_of(flavor, self._settings.compat), flavor, self.connector),
            with_comments=self._settings.include_schema_comments,
        )
        key_id, value_id = self._announce(self.connector, key_schema, value_schema)
        key = AvroSchema(key_schema, plain=True).encode({"databaseName": database})
        body = AvroSchema(value_schema, plain=True).encode(value)
        # All on one partition, as Debezium has it: DDL is in order across databases.
        record = Record(self.connector, 0, frame(key_id) + key, frame(value_id) + body)
        self._schema_changes.append(record)

    def take_changed(self) -> bool:
        """Whether the last `bind` found another description than the table had before."""
        has_changed, self._knowledge.has_changed = self._knowledge.has_changed, False
        return has_changed

    def records(self) -> list[Record]:
        """What is to be written beside the change events."""
        schema_changes, self._schema_changes = self._schema_changes, []
        return [*self._knowledge.records(), *schema_changes]

    def transaction_frames(self) -> tuple[bytes, bytes]:
        """Frames of key and value of the transaction topic's records."""
        return self._frames_of(
            self.transaction_topic, TRANSACTION_KEY_SCHEMA, TRANSACTION_VALUE_SCHEMA
        )

    def heartbeat_frames(self) -> tuple[bytes, bytes]:
        """Frames of key and value of heartbeat records."""
        return self._frames_of(self.heartbeat_topic, HEARTBEAT_KEY_SCHEMA, HEARTBEAT_VALUE_SCHEMA)

    def _frames_of(self, topic: str, key_schema: Any, value_schema: Any) -> tuple[bytes, bytes]:
        found = self._frames.get(topic)
        if found is None:
            key_id, value_id = self._announce(topic, key_schema, value_schema)
            found = self._frames[topic] = frame(key_id), frame(value_id)
        return found

    def place(self, key_body: bytes) -> int:
        return place(key_body)


def _skipping_plan(shape: Shape, settings: ChangeEventSettings) -> rows.RowPlan:
    """A plan that only knows how long the values are."""
    name = f"{shape.database}.{shape.table}"
    columns = [
        ColumnPlan(name, column.name, form_of(column, None, settings)) for column in shape.columns
    ]
    return rows.RowPlan(name, columns)


def descriptions_topic(connector: str) -> str:
    """The internal topic that descriptions are kept in."""
    return f"{connector}.descriptions"
