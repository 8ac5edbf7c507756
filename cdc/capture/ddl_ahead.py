"""Which tables DDL changes further on in the binlog, between the stream and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from cdc.capture import binlog
from cdc.capture.checkpoint import Flavor
from cdc.capture.compressed_events import plain_query
from cdc.capture.connection import Session
from cdc.capture.cursor import Cursor
from cdc.capture.ddl import Statement, folded, read_statement
from cdc.capture.decisions import TableName, place_order
from cdc.capture.dialect import dialect_of, version_of
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import ServerFacts
from cdc.capture.query_event import Query, query_of
from cdc.capture.source_settings import ServerSettings
from cdc.errors import DecodeError, SourceError

Order = tuple[int, int]
"""File's number and position."""

NAMES_MAX = 100_000
"""Tables that DDL ahead is remembered of; beyond it every table counts as changed."""

END_SECONDS = 10.0
"""How long an end that the server named may take to come."""
END_LOOK_SECONDS = 0.05

_ANY = ("", "")
_STATEMENTS = (binlog.QUERY, binlog.MARIADB_QUERY_COMPRESSED)
_NOT_DDL = (b"BEGIN", b"COMMIT", b"ROLLBACK", b"SAVEPOINT")


class DdlAhead:
    """A look at the QUERY events that the stream has still to reach; each is looked at once."""

    def __init__(self) -> None:
        self._from: Order = (0, 0)
        self._until: Order = (0, 0)
        self._last: dict[tuple[str, str], Order] = {}
        """Folded table, or database with an empty table, or table with an empty database → where
        the last DDL on it ends. Enough to know whether there is any: the stream only advances."""
        self._last_of_column: dict[tuple[str, str, str], Order] = {}
        """The same by names that may be columns'; empty: all columns."""

    def covers(self, begin: Order, end: Order) -> bool:
        """Whether all between the two places was looked at."""
        return self._from <= begin and self._until >= end

    def next_place(self, begin: Order) -> Order | None:
        """Where to go on looking; None: at `begin`, nothing of use is known."""
        if self._from <= begin <= self._until:
            return self._until
        self._from = self._until = begin
        self._last, self._last_of_column = {}, {}
        return None

    def changes(self, table: TableName, begin: Order) -> bool:
        """Whether DDL behind `begin` may change the table."""
        return any(self._last.get(one, (0, 0)) > begin for one in _names_for(table))

    def keeps_type(self, table: TableName, column: str, begin: Order) -> bool:
        """Whether the column's type is at the table's last DDL what it was at `begin`."""
        return not any(
            self._last_of_column.get((*one, name), (0, 0)) > begin
            for one in _names_for(table)
            for name in ("", column.casefold())
        )

    def looked_until(self, end: Order) -> None:
        self._until = max(self._until, end)

    def note(self, statement: Statement, end: Order) -> None:
        """DDL that ends there."""
        for name in _names_of(statement):
            columns = ("",) if statement.altering is None else statement.altering
            if max(len(self._last), len(self._last_of_column)) >= NAMES_MAX:
                name, columns = _ANY, ("",)
            self._last[name] = end
            self._last_of_column.update(((*name, column), end) for column in columns)


def _names_for(table: TableName) -> Iterator[tuple[str, str]]:
    """The names under which DDL on the table may be noted."""
    database, name = folded(table)
    yield from ((database, name), (database, ""), ("", name), _ANY)


def _names_of(statement: Statement) -> Iterator[tuple[str, str]]:
    if statement.dropped_database is not None:
        yield statement.dropped_database.casefold(), ""
    if statement.unknown_names is not None:
        yield from (("", name) for name in statement.unknown_names or ("",))
    for effect in statement.effects:
        yield folded(effect.table)
        if effect.moved_from is not None:
            yield folded(effect.moved_from)


def look_ahead(
    ahead: DdlAhead,
    settings: ServerSettings,
    facts: ServerFacts,
    begin: tuple[str, int],
    end: tuple[str, int],
    *,
    wait_seconds: float = END_SECONDS,
) -> None:
    """Read the binlog from `begin` to `end` over a session of its own, noting its DDL.

    MySQL names an end that it has written and may not have synced yet: what a dump doesn't give
    by now is waited for. A CdcError names the place where that failed."""
    until = place_order(*end)
    deadline = time.monotonic() + wait_seconds
    at = _looked_from(begin, ahead, settings, facts, until)
    while place_order(*at) < until:
        if time.monotonic() > deadline:
            raise SourceError(
                f"the binlog of {settings.origin} ended at {at[0]}:{at[1]}, before"
                f" {end[0]}:{end[1]}, which the server had named as its end",
                hint="is something between that changes the stream (a proxy)?",
            )
        time.sleep(END_LOOK_SECONDS)
        at = _looked_from(at, ahead, settings, facts, until)
    ahead.looked_until(until)


def _looked_from(
    begin: tuple[str, int],
    ahead: DdlAhead,
    settings: ServerSettings,
    facts: ServerFacts,
    until: Order,
) -> tuple[str, int]:
    """Note what a dump from there to its present end gives; where that is."""
    walk = Walk(begin, facts.flavor)
    with Session(settings) as session:
        dump = Dump(session, facts, Place(file=begin[0], pos=begin[1]), ends=True)
        look_through(ahead, dump.batches(threading.Event()), walk, until)
    return walk.place


def look_through(ahead: DdlAhead, batches: Iterable[bytes], walk: Walk, until: Order) -> None:
    """Note what the events give, up to a place."""
    for events in batches:
        for here, statement in walk.statements(events, until):
            ahead.note(statement, here)
        if walk.here >= until:
            return


class Walk:
    """Goes over the events of a dump as the decoder does: sizes, places and checksums."""

    def __init__(self, begin: tuple[str, int], flavor: Flavor) -> None:
        self._cursor, self._flavor = Cursor(), flavor
        self._version = 0
        self._cursor.start(*begin, 0)

    @property
    def here(self) -> Order:
        """The end of the last event."""
        return place_order(self._cursor.file, self._cursor.position)

    @property
    def place(self) -> tuple[str, int]:
        """The same as file and position."""
        return self._cursor.file, self._cursor.position

    def statements(self, events: bytes, until: Order) -> Iterator[tuple[Order, Statement]]:
        """What may be DDL and doesn't end behind `until`, and where it ends.

        DecodeError with a place for bytes that no server would write."""
        cursor, at = self._cursor, 0
        while at < len(events):
            at = cursor.come_to_statement(events, at)
            here = self.here
            if here > until:
                return
            if cursor.kind == binlog.ROTATE:
                cursor.rotate(events[cursor.body_at : cursor.body_end])
            elif cursor.kind in _STATEMENTS:
                query = self._query(events[cursor.body_at : cursor.body_end])
                if not query.text.startswith(_NOT_DDL):
                    yield here, self._statement(query)
            elif cursor.kind == binlog.FORMAT_DESCRIPTION:
                self._version = version_of(events[cursor.body_at : cursor.body_end])

    def _query(self, body: bytes) -> Query:
        if self._cursor.kind == binlog.MARIADB_QUERY_COMPRESSED:
            try:
                body = plain_query(body)
            except DecodeError as error:
                raise self._cursor.damaged(error.message) from error
        try:
            return query_of(body)
        except ValueError as error:
            raise self._cursor.damaged(f"a QUERY event can't be read: {error}") from error

    def _statement(self, query: Query) -> Statement:
        return read_statement(
            query.text.decode("utf-8", "replace"),
            query.database.decode("utf-8", "replace"),
            dialect_of(self._flavor, self._version, query.variables),
            lambda _: "",
        )
