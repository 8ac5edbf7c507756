"""Decides which events mysql-replication gets to see, and keeps what it doesn't tell of them."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.capture import binlog
from cdc.capture.checkpoint import Flavor
from cdc.capture.shapes import Shape, parse_table_map, table_of
from cdc.errors import DecodeError
from cdc.reference import weaknesses
from cdc.reference.events import Course, Event
from cdc.reference.reads import Seen

SHAPES_MAX = 10_000
"""Shapes kept by the raw bytes of their TABLE_MAP; all are forgotten when there are more."""
TABLES_MAX = 10_000
"""Table ids kept; each statement announces its tables anew."""
KEPT_MAX = 1_000
"""Events kept for the reader before it is asked to take them (invariant 7)."""
DUMMY_TABLE_ID = 0xFFFFFF

_FOR_THE_LIBRARY = frozenset(
    {binlog.ROTATE, binlog.FORMAT_DESCRIPTION, binlog.GTID, binlog.MARIADB_GTID, binlog.XID}
)
_KEPT_ONLY = frozenset({binlog.QUERY, binlog.ANONYMOUS_GTID, binlog.HEARTBEAT, binlog.HEARTBEAT_V2})
_STEPPED_OVER = binlog.WITHOUT_ROW_CHANGES | {binlog.ROWS_QUERY, binlog.MARIADB_ANNOTATE_ROWS}


@dataclass(frozen=True, slots=True)
class _Table:
    shape: Shape
    weakness: str


class Gate:
    """Between connection and library."""

    def __init__(self, flavor: Flavor, file: str, position: int) -> None:
        self.flavor = flavor
        self.course = Course(file, position)
        self._by_body: dict[bytes, _Table] = {}
        self._tables: dict[int, _Table] = {}
        self._kept: list[Seen] = []
        self.has_begun_batch = False
        """Something was taken that goes on when nothing more is there at once."""

    @property
    def is_waited_for(self) -> bool:
        """Whether what was read shall go on before a wait for more."""
        return self.has_begun_batch or bool(self._kept)

    @property
    def is_full(self) -> bool:
        """Whether it must be taken before more is read."""
        return len(self._kept) >= KEPT_MAX

    @property
    def last(self) -> Seen | None:
        """The event read last, if nobody has taken it."""
        return self._kept[-1] if self._kept else None

    def take(self) -> list[Seen]:
        """What was read since the last call, in order."""
        kept, self._kept = self._kept, []
        return kept

    def refuse_table(self, event: Event, reason: str) -> None:
        """The library failed on a TABLE_MAP: its rows don't reach it either."""
        table_id = int.from_bytes(event.body[:6], "little")
        self._tables[table_id] = _Table(self._tables[table_id].shape, reason)

    def admits(self, data: bytes) -> bool:
        """Whether the library gets to see the event. Raises DecodeError for damaged ones."""
        event = self.course.event(data)
        kind = event.kind
        if event.is_rows:
            return self._admits_rows(event)
        if kind == binlog.TABLE_MAP:
            return self._admits_table(event)
        if kind in weaknesses.EVENTS:
            self._kept.append(Seen(event, weakness=weaknesses.EVENTS[kind]))
            return False
        if kind in (binlog.ROTATE, binlog.FORMAT_DESCRIPTION):
            self._tables = {}
        if kind in _FOR_THE_LIBRARY or kind in _KEPT_ONLY:
            self._kept.append(Seen(event))
            return kind in _FOR_THE_LIBRARY
        if kind == binlog.INCIDENT:
            raise DecodeError(
                f"the source reports an INCIDENT at {event.place}: it lost changes itself",
                hint="compare the tables with their source of truth, then begin after this place",
            )
        if kind not in _STEPPED_OVER and not event.flags & binlog.IGNORABLE_FLAG:
            raise DecodeError(
                f"{binlog.name_of(kind)} at {event.place} is not known",
                hint="the server is newer than this version of cdc knows",
            )
        return False

    def _admits_table(self, event: Event) -> bool:
        body = event.body[8:]
        table = self._by_body.get(body)
        if table is None:
            if len(self._by_body) >= SHAPES_MAX:
                self._by_body.clear()
            table = self._by_body[body] = self._table(body)
        if len(self._tables) >= TABLES_MAX:
            self._tables.clear()
        self._tables[int.from_bytes(event.body[:6], "little")] = table
        if not table.weakness:
            self._kept.append(Seen(event, table.shape))
        return not table.weakness

    def _table(self, body: bytes) -> _Table:
        try:
            shape = parse_table_map(body, self.flavor)
        except DecodeError as error:
            return _Table(Shape(*table_of(body), ()), error.message)
        return _Table(shape, weaknesses.of_table(shape))

    def _admits_rows(self, event: Event) -> bool:
        table_id = int.from_bytes(event.body[:6], "little")
        table = self._tables.get(table_id)
        if table is None:
            if table_id == DUMMY_TABLE_ID:
                return False
            raise DecodeError(
                f"rows of table id {table_id} at {event.place}, which no TABLE_MAP announced",
                hint="compare with mysqlbinlog --verify-binlog-checksum",
            )
        self._kept.append(Seen(event, table.shape, table.weakness))
        return not table.weakness
