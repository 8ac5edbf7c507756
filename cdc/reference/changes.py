"""Decoded rows to changes: transactions, order, ids, resumption; the reference's own state machine.

A function of the checkpoint it began at and the events since, as capture's is, written apart from
it."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cdc.capture import binlog, statements
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.dialect import dialect_of
from cdc.capture.executed import Executed
from cdc.capture.knowledge import Place
from cdc.capture.lineage import POSITION_MAX
from cdc.capture.schema_changes import Said
from cdc.errors import DecodeError, SourceError
from cdc.reference import weaknesses
from cdc.reference.events import Event, Statement, commit_micros_in, statement_in
from cdc.reference.reads import Gtid, Image, Read, ReferenceBatch
from cdc.reference.tables import Table, Tables
from cdc.reference.told import Beside, Boundary, Change, Gap, Row, Told
from cdc.reference.values import Untold, datum

_OPERATIONS = {0: "c", 1: "u", 2: "d"}


class Changes:
    """Follows one reading; gives changes, boundaries and, if they are wanted, gaps."""

    def __init__(self, tables: Tables, *, with_gaps: bool = False) -> None:
        """Without gaps, what the library can't tell is an error."""
        self.tables, self._with_gaps = tables, with_gaps
        self.dropped = Counter[tuple[str, str]]()
        self._start: Checkpoint | None = None
        self.now_millis = 0
        """The clock, for records of schema changes."""

    def of(self, batch: ReferenceBatch) -> Iterator[Told]:
        """What the batch's events say, in order."""
        if batch.start is not None:
            self._begin(batch.start)
        assert self._start is not None, "the first batch says where it starts"
        for read in batch.reads:
            event = read.seen.event
            self._file, self._position = event.file, event.end
            if not event.is_artificial and event.kind not in _TIMELESS:
                self._seconds = event.seconds
            yield from self._read(read)

    def checkpoint(self, sequence: int) -> Checkpoint:
        """The place after the last event, with the records numbered so far."""
        assert self._start is not None
        return replace(
            self._start,
            gtid_set=str(self._executed),
            file=self._file,
            pos=self._begun_at if self._is_open else self._position,
            transaction=self._transaction if self._has_begun else "",
            rows_done=max(self._ordinal, self._done) if self._has_begun else 0,
            awaited={
                name: rows
                for name, rows in self._resume.items()
                if not (self._has_begun and name == self._transaction)
            },
            sequence=sequence,
            time_seconds=self._seconds,
        )

    def _begin(self, start: Checkpoint) -> None:
        self._start, self._flavor = start, start.flavor
        self.tables.start(start)
        self._executed = Executed(start.flavor, start.gtid_set)
        self._file, self._position, self._seconds = start.file, start.pos, start.time_seconds
        self._resume = start.begun()
        self._is_open = self._has_begun = self._is_resumed = False
        self._begun_at, self._transaction = start.pos, ""
        self._gtid: str | None = None
        self._number: tuple[Any, ...] | None = None
        self._micros = self._thread = self._ordinal = self._done = 0
        self._is_uncounted = False
        self._is_hidden = False

    def _read(self, read: Read) -> Iterator[Told]:
        event, kind = read.seen.event, read.seen.event.kind
        if event.is_rows:
            yield from self._rows(read)
        elif read.weakness:
            yield from self._hide(event, read.weakness)
        elif kind == binlog.XID:
            yield from self._commit()
        elif kind == binlog.TABLE_MAP:
            yield from self._announced(read)
        elif kind == binlog.QUERY:
            yield from self._statement(event, statement_in(event.body))
        elif read.gtid is not None:
            yield from self._opened_by(event, read.gtid)
        elif kind == binlog.ANONYMOUS_GTID:
            self._open(event, event.place, None)
            self._micros = commit_micros_in(event.body)

    def _opened_by(self, event: Event, gtid: Gtid) -> Iterator[Boundary | Gap]:
        if gtid.source:
            source = str(uuid.UUID(bytes=gtid.source))
            self._open(event, f"{source}:{gtid.number}", (source, gtid.number, gtid.number))
            self._micros = commit_micros_in(event.body)
            return
        number = (gtid.domain, event.server_id, gtid.number)
        self._open(event, "-".join(map(str, number)), number)
        if gtid.flags & (binlog.MARIADB_GTID_PREPARED_XA | binlog.MARIADB_GTID_COMPLETED_XA):
            yield from self._hide(event, weaknesses.XA)
        if not gtid.flags & binlog.MARIADB_GTID_STANDALONE:
            yield from self._enter()

    def _open(self, event: Event, name: str, number: tuple[Any, ...] | None) -> None:
        self._is_open = True
        self._begun_at, self._transaction = event.begin, name
        self._gtid, self._number = name if number else None, number
        self._micros = self._thread = self._ordinal = 0
        self._is_resumed = name in self._resume
        self._done = self._resume.get(name, 0)
        self._is_uncounted = self._is_hidden = False
        self.tables.opened(self._where())

    def _enter(self) -> Iterator[Boundary]:
        if not self._has_begun:
            self._has_begun = True
            yield Boundary("BEGIN", self._transaction, self._time_micros(), self._is_resumed)

    def _commit(self) -> Iterator[Boundary]:
        if self._has_begun:
            yield Boundary("END", self._transaction, self._time_micros(), False)
        if self._number is not None:
            add = self._executed.add if isinstance(self._number[0], str) else self._executed.advance
            add(*self._number)
        if self._is_resumed:
            del self._resume[self._transaction]
        self._is_open = self._has_begun = self._is_resumed = False
        self._number = None

    def _statement(self, event: Event, statement: Statement) -> Iterator[Told]:
        if not self._is_open:
            self._open(event, event.place, None)
        kind = statements.kind_of(statement.text, self._flavor)
        if statement.text == "BEGIN":
            yield from self._enter()
            self._thread = statement.thread if self._flavor == "mysql" else 0
        elif kind in (statements.COMMIT, statements.ROLLBACK):
            yield from self._commit()
        elif kind == statements.XA:
            yield from self._hide(event, weaknesses.XA)
            if _XA_END.match(statement.text):
                yield from self._commit()
        elif kind == statements.ROWS:
            yield from self._rows_as_text(event, statement)
        elif kind != statements.SAVEPOINT:
            if kind == statements.TRUNCATE:
                yield from self._truncate(event, statement)
            else:
                yield from self._definition(event, statement)
            if not self._has_begun:
                yield from self._commit()

    def _rows_as_text(self, event: Event, statement: Statement) -> Iterator[Boundary]:
        named = {statement.database, *statements.databases_in(statement.text, self._flavor)}
        if any(statements.LOST in name or self.tables.captures_database(name) for name in named):
            raise DecodeError(
                f"a session wrote a statement, not rows, at {event.place} in database"
                f" {statement.database}",
                hint="SET PERSIST binlog_format=ROW and forbid sessions to change it",
            )
        self.dropped[statement.database, "statement outside the captured databases"] += 1
        if not self._has_begun:
            yield from self._commit()

    def _where(self) -> Place:
        is_reachable = self._position <= POSITION_MAX
        return Place(
            self._transaction, self._file, self._position if is_reachable else self._begun_at
        )

    def _announced(self, read: Read) -> Iterator[Beside]:
        """A TABLE_MAP: here a table is what it is for the rows that follow."""
        shape = read.seen.shape
        if shape is not None and not self.tables.drop_reason(shape, self._flavor):
            self.tables.of(shape, self._flavor, self._where())
            yield from map(Beside, self.tables.records())

    def _definition(self, event: Event, statement: Statement) -> Iterator[Beside]:
        """DDL: what tables are from here on."""
        said = Said(
            ddl=statement.text,
            database=statement.database,
            micros=self._time_micros(),
            now_millis=self.now_millis,
            server_id=event.server_id,
            gtid=self._gtid,
            file=event.file,
            position=event.begin,
            is_published=self._is_resumed,
            dialect=dialect_of(self._flavor, 0, statement.variables),
        )
        self.tables.defined(said, self._flavor, self._where())
        yield from map(Beside, self.tables.records())

    def _truncate(self, event: Event, statement: Statement) -> Iterator[Change]:
        names = statements.truncated_table(statement.text, statement.database, self._flavor)
        if names is None or statements.LOST in ".".join(names):
            raise DecodeError(
                f"which table a TRUNCATE empties can't be told at {event.place}",
                hint="leave out source.reader",
            )
        if not self.tables.captures(*names):
            return
        table = self.tables.last_of(*names)
        if table is None:
            self.dropped[".".join(names), "truncate of a table of unknown shape"] += 1
            return
        self._ordinal += 1
        micros = self._time_micros() // 1000 * 1000  # Debezium's has milliseconds here
        yield self._change(event, table, "t", None, None, 0, micros)

    def _rows(self, read: Read) -> Iterator[Change | Gap]:
        event, shape = read.seen.event, read.seen.shape
        assert shape is not None
        name = f"{shape.database}.{shape.table}"
        reason = self.tables.drop_reason(shape, self._flavor)
        is_captured = not reason
        if self._is_hidden:
            if is_captured:
                yield self._gap(event, name, "its transaction is not read")
            return
        if not self._has_begun:
            raise DecodeError(
                f"rows stand outside a transaction at {event.place}",
                hint="compare with mysqlbinlog --verify-binlog-checksum",
            )
        if read.weakness:
            self._is_uncounted = True
            if is_captured:
                yield self._gap(event, name, read.weakness)
            return
        if not is_captured:
            self._ordinal += len(read.rows)
            self.dropped[name, reason] += len(read.rows)
            return
        if self._is_uncounted and not self._with_gaps:
            raise SourceError(
                f"rows of a table that mysql-replication can't read stand before those of {name}"
                f" in the transaction at {event.place}: their number, and so ids, can't be told",
                hint="leave out source.reader",
            )
        table = self.tables.of(shape, self._flavor, self._where())
        operation = _OPERATIONS[(event.kind - binlog.WRITE_ROWS_V1) % 7]
        for number, (before, after) in enumerate(read.rows):
            self._ordinal += 1
            yield from self._row(event, table, operation, number, before, after)

    def _row(
        self,
        event: Event,
        table: Table,
        operation: str,
        number: int,
        before: Image | None,
        after: Image | None,
    ) -> Iterator[Change | Gap]:
        old, new, micros = None, None, self._time_micros()
        untold: dict[str, str] = {}
        if operation != "c":
            old = self._told(event, table, before, untold)
        if operation != "d":
            new = self._told(event, table, after, untold)
        if operation == "u" and untold.keys() & set(table.key_names):
            name = next(name for name in table.key_names if name in untold)
            yield self._gap(event, table.name, f"its key is not sure: {untold[name]}")
            return
        one = self._change(event, table, operation, old, new, number, micros, untold)
        if operation != "u" or _key(table, old) == _key(table, new):
            yield one
            return
        old_key, new_key = _key(table, old), _key(table, new)
        yield replace(one, operation="d", after=None, key=old_key, other_key=new_key)
        yield replace(one, operation="c", before=None, key=new_key, other_key=old_key)

    def _told(self, event: Event, table: Table, image: Image | None, untold: dict[str, str]) -> Row:
        """A row's values by field; those that can't be trusted are an error, or left out."""
        assert image is not None
        row = {}
        for one in table.fields:
            try:
                row[one.name] = datum(
                    one.column,
                    one.avro,
                    image[one.index],
                    default=one.default,
                    shows_default=one.shows_default,
                )
            except Untold as reason:
                if not self._with_gaps:
                    raise _refusal(f"column {one.column.name} of {table.name}", event,
                                   str(reason)) from None  # fmt: skip
                untold[one.name] = str(reason)
        return row

    def _change(
        self,
        event: Event,
        table: Table,
        operation: str,
        before: Row | None,
        after: Row | None,
        row: int,
        micros: int,
        untold: Mapping[str, str] | None = None,
    ) -> Change:
        source = {
            **table.source,
            "ts_ms": micros // 1000,
            "snapshot": "false",
            "db": table.plan.shape.database,
            "sequence": None,
            "ts_us": micros,
            "ts_ns": micros * 1000,
            "table": table.plan.shape.table,
            "server_id": event.server_id,
            "gtid": self._gtid,
            "file": event.file,
            "pos": event.begin,
            "row": row,
            "thread": self._thread or None,
            "query": None,
        }
        is_published = self._ordinal <= self._done
        key = _key(table, after if after is not None else before)
        return Change(
            table, operation, before, after, key, source, self._transaction, self._ordinal,
            untold=untold or {}, is_published=is_published,
        )  # fmt: skip

    def _time_micros(self) -> int:
        return self._micros or self._seconds * 1_000_000

    def _hide(self, event: Event, reason: str) -> Iterator[Boundary | Gap]:
        """The event, or the rest of its transaction, holds changes of whatever tables."""
        yield self._gap(event, "", reason)
        self._is_uncounted = True
        if event.kind in (binlog.TRANSACTION_PAYLOAD, binlog.XA_PREPARE):
            yield from self._commit()
        elif event.kind == binlog.GTID_TAGGED:
            self._open(event, event.place, None)
            self._is_hidden = True
        elif event.kind in (binlog.QUERY, binlog.MARIADB_GTID):
            self._is_hidden = True
        elif event.kind == binlog.MARIADB_QUERY_COMPRESSED and not self._has_begun:
            yield from self._commit()

    def _gap(self, event: Event, table: str, reason: str) -> Gap:
        if not self._with_gaps:
            raise _refusal(table or binlog.name_of(event.kind), event, reason)
        return Gap(event.file, event.begin, event.end, table, reason)


def _refusal(what: str, event: Event, reason: str) -> SourceError:
    return SourceError(
        f"{what} at {event.place} can't be followed by mysql-replication: {reason}",
        hint="leave out source.reader: cdc's own reader follows it",
    )


def _key(table: Table, row: Row | None) -> Row | None:
    if row is None or not table.key_names:
        return None
    return {name: row.get(name) for name in table.key_names}


_XA_END = re.compile(r"\s*XA\s+(COMMIT|ROLLBACK)\b", re.IGNORECASE)
_TIMELESS = frozenset({binlog.FORMAT_DESCRIPTION, binlog.HEARTBEAT, binlog.HEARTBEAT_V2})
