"""Views in an SQLite file.

Values are kept so that an SQL query over the source gives the same text: a decimal as text with
all digits of its scale (`12.50`; `CAST(total AS REAL)` to compute with it), a moment as
`2024-12-31 23:59:59.000000` in UTC, a date as `2024-12-31`, a UUID as text in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, Inexact, localcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator, TypeEngine

from cdc.codec.types import ValueType
from cdc.errors import Fenced, Unreachable, ViewError
from cdc.model import Offsets
from cdc.views.projection import RowChange, RowWrite, ViewTable, merge

BUSY_SECONDS_MAX = 30
"""How long to wait for another writer of the same file."""

DECIMAL_DIGITS_MAX = 1_000


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal as text with all digits of its scale; SQLite's own numbers are inexact."""

    impl = sql.Text
    cache_ok = True

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        if value is None:
            return None
        with localcontext(prec=DECIMAL_DIGITS_MAX) as context:
            context.traps[Inexact] = True
            return f"{value.quantize(Decimal(1).scaleb(-self.scale)):f}"

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """A moment as text in UTC."""

    impl = sql.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class UuidText(TypeDecorator[str]):
    """A UUID as text with hyphens."""

    impl = sql.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else str(value)


_TYPES: dict[str, TypeEngine[Any]] = {
    "boolean": sql.Boolean(),
    "int": sql.Integer(),
    "long": sql.BigInteger(),
    "float": sql.Double(),
    "double": sql.Double(),
    "bytes": sql.LargeBinary(),
    "fixed": sql.LargeBinary(),
    "date": sql.Date(),
    "time-millis": sql.Time(),
    "time-micros": sql.Time(),
    "timestamp-millis": Moment(),
    "timestamp-micros": Moment(),
    "timestamp-nanos": sql.BigInteger(),
    "local-timestamp-millis": sql.DateTime(),
    "local-timestamp-micros": sql.DateTime(),
    "local-timestamp-nanos": sql.BigInteger(),
    "uuid": UuidText(),
}


def column_type(type_: ValueType) -> TypeEngine[Any]:
    """How SQLite keeps values of this type; whatever has no form of its own is text."""
    if type_.kind == "decimal":
        return ExactDecimal(type_.scale)
    return _TYPES.get(type_.kind, sql.Text())


class SqliteViewStore:
    """One view in one SQLite file; several views and readers may share the file."""

    def __init__(self, view: ViewTable, path: Path) -> None:
        self._view = view
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.engine = _engine(path)
        metadata = sql.MetaData()
        self.table = _view_table(view, metadata)
        self._offsets = _offsets_table(metadata)
        self._views = _views_table(metadata)
        with self._transaction("open") as connection:
            metadata.create_all(connection)
            self._check_definition(connection)
        self._expected: dict[tuple[str, int], int] = {}
        self._has_written = False
        """Since it read where the view stands."""
        self.last_offsets()

    def last_offsets(self) -> Offsets:
        with self._transaction("read the offsets of") as connection:
            self._expected = self._stored(connection)
        self._has_written = False
        return dict(self._expected)

    def apply(self, changes: Sequence[RowChange], offsets: Offsets) -> None:
        with self._transaction("write") as connection:  # Invariant 1: rows and offsets together.
            stored = self._stored(connection)
            self._refuse_other_builder(stored, offsets)
            fresh = [
                change
                for change in changes
                if change.offset >= stored.get((change.topic, change.partition), 0)
            ]
            self._write_rows(connection, merge(fresh))
            moved = {
                partition: offset
                for partition, offset in offsets.items()
                if offset > stored.get(partition, -1)  # Invariant 5: forward only.
            }
            self._write_offsets(connection, moved)
        self._expected.update(moved)
        self._has_written = True

    def close(self) -> None:
        self.engine.dispose()

    def _stored(self, connection: sql.Connection) -> dict[tuple[str, int], int]:
        table = self._offsets
        query = sql.select(table.c.topic, table.c.partition, table.c.next_offset)
        rows = connection.execute(query.where(table.c.view == self._view.name))
        return {(topic, partition): offset for topic, partition, offset in rows}

    def _refuse_other_builder(self, stored: dict[tuple[str, int], int], offsets: Offsets) -> None:
        for topic, partition in offsets:
            expected = self._expected.get((topic, partition))
            found = stored.get((topic, partition))
            if found != expected:
                # Who has just come goes on behind what an earlier builder still wrote.
                raise (Fenced if self._has_written else Unreachable)(
                    f"another builder writes view {self._view.name} in {self._path}: it stands at"
                    f" {_offset_text(found)} of {topic}[{partition}], not at"
                    f" {_offset_text(expected)}",
                    hint="if it comes again and again, stop one of them; the other goes on from the"
                    " store",
                )

    def _write_rows(self, connection: sql.Connection, writes: Sequence[RowWrite]) -> None:
        keys = self._view.key
        gone = [
            {f"key_{name}": part for name, part in zip(keys, write.key, strict=True)}
            for write in writes
            if write.is_reset
        ]
        if gone:
            matches = [self.table.c[name] == sql.bindparam(f"key_{name}") for name in keys]
            connection.execute(sql.delete(self.table).where(*matches), gone)
        by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for write in writes:
            if write.values is not None:
                values = {**write.values, **dict(zip(keys, write.key, strict=True))}
                columns = tuple(name for name in self._view.columns if name in values)
                by_columns.setdefault(columns, []).append(values)
        for columns, rows in by_columns.items():
            connection.execute(self._upsert(columns), rows)

    def _upsert(self, columns: Sequence[str]) -> Any:
        statement = insert(self.table)
        others = {name: statement.excluded[name] for name in columns if name not in self._view.key}
        if not others:
            return statement.on_conflict_do_nothing(index_elements=list(self._view.key))
        return statement.on_conflict_do_update(index_elements=list(self._view.key), set_=others)

    def _write_offsets(self, connection: sql.Connection, offsets: Offsets) -> None:
        rows = [
            {"view": self._view.name, "topic": topic, "partition": partition, "next_offset": offset}
            for (topic, partition), offset in offsets.items()
        ]
        if rows:
            statement = insert(self._offsets)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["view", "topic", "partition"],
                    set_={"next_offset": statement.excluded.next_offset},
                ),
                rows,
            )

    def _check_definition(self, connection: sql.Connection) -> None:
        """A table that another declaration built isn't what this one would build."""
        table, name = self._views, self._view.name
        known = connection.scalar(sql.select(table.c.definition).where(table.c.view == name))
        if known is None:
            row = {"view": name, "definition": self._view.definition}
            connection.execute(sql.insert(table), row)
        elif known != self._view.definition:
            raise ViewError(
                f"view {name} in {self._path} was built by another declaration than this one",
                hint="give the view a new name; or, to build it anew, drop its table and its rows"
                " in cdc_views and cdc_offsets",
            )

    @contextmanager
    def _transaction(self, act: str) -> Iterator[sql.Connection]:
        """One transaction; a failure of the store says what was done on which view."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as fault:
            text = f"can't {act} view {self._view.name} in {self._path}: {fault.orig}"
            if "locked" in str(fault.orig) or "busy" in str(fault.orig):
                raise Unreachable(
                    text, hint=f"another process held the file for {BUSY_SECONDS_MAX} s"
                ) from fault
            raise ViewError(text, hint="are the file and its folder writable?") from fault
        except SQLAlchemyError as fault:
            cause = getattr(fault, "orig", None) or type(fault).__name__
            raise ViewError(
                f"can't {act} view {self._view.name} in {self._path}: {cause}"
            ) from fault


def _offset_text(offset: int | None) -> str:
    return "no offset" if offset is None else f"offset {offset}"


def _engine(path: Path) -> sql.Engine:
    # Invariant 9: a statement's parameters are a row's values; they don't belong in an error.
    engine = sql.create_engine(
        f"sqlite:///{path}", hide_parameters=True, connect_args={"timeout": BUSY_SECONDS_MAX}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: sql.Connection) -> None:
        # The lock is taken before the offsets are read, so that no other writer can come between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _view_table(view: ViewTable, metadata: sql.MetaData) -> sql.Table:
    columns: list[sql.Column[Any]] = [
        sql.Column(
            name,
            column_type(type_),
            primary_key=name in view.key,
            autoincrement=False,
            nullable=name not in view.key,
        )
        for name, type_ in view.columns.items()
    ]
    return sql.Table(view.name, metadata, *columns, sqlite_with_rowid=False)


def _offsets_table(metadata: sql.MetaData) -> sql.Table:
    return sql.Table(
        "cdc_offsets",
        metadata,
        sql.Column("view", sql.Text, primary_key=True),
        sql.Column("topic", sql.Text, primary_key=True),
        sql.Column("partition", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("next_offset", sql.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _views_table(metadata: sql.MetaData) -> sql.Table:
    return sql.Table(
        "cdc_views",
        metadata,
        sql.Column("view", sql.Text, primary_key=True),
        sql.Column("definition", sql.Text, nullable=False),
    )
