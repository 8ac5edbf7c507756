"""The live server's catalogue: one table as it is at a place of the binlog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from cdc.capture.catalogue import read_tables
from cdc.capture.connection import Session
from cdc.capture.ddl_ahead import DdlAhead, Walk, look_ahead, look_through
from cdc.capture.decisions import TableName, place_order
from cdc.capture.description import Description, parse_descriptions
from cdc.capture.facts import ServerFacts, binary_logs, read_facts
from cdc.capture.knowledge import Found, Place
from cdc.capture.lineage import POSITION_MAX
from cdc.capture.refusals import code_and_text
from cdc.capture.source_settings import ServerSettings
from cdc.errors import CdcError, SourceError, Unreachable

LOCK_SECONDS_MAX = 2
"""How long a reading may wait for a table that DDL is at work on."""
AHEAD_BYTES_MAX = 256 << 20
"""Binlog between the stream and its end that a reading is carried back over."""

logger = structlog.get_logger()

_LOCK_WAIT_TIMEOUT = 1205
_DEADLOCK = 1213


@dataclass(frozen=True, slots=True)
class _Reading:
    description: Description | None
    end: tuple[str, int]
    """File and position up to which the binlog holds all DDL that the reading shows."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stretch of binlog that is kept outside the server."""

    events: Iterator[bytes]
    begin: tuple[str, int]
    end: tuple[str, int]
    bytes: int


class KeptEvents(Protocol):
    """Binlog that is kept outside the server, which may have purged it."""

    def behind(self, server: str, file: str, pos: int) -> Kept | None:
        """What is kept from the place of that server on, or from shortly before it."""
        ...


class LiveCatalogue:
    """Implements `knowledge.Catalogue` over a session of its own."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        ahead_bytes_max: int = AHEAD_BYTES_MAX,
        kept: KeptEvents | None = None,
    ) -> None:
        self._settings, self._ahead_bytes_max = settings, ahead_bytes_max
        self._kept = kept
        self._session: Session | None = None
        self._facts: ServerFacts | None = None
        self._ahead = DdlAhead()
        self._looked_to = ("", 0)

    def find(self, table: TableName, place: Place, *, is_needed: bool = False) -> Found:
        """See `knowledge.Catalogue`. Unreachable while the server is away."""
        reading = self._read(table)
        if reading is None:
            return Found(None, False, (place.file, place.pos))
        begin = place_order(place.file, place.pos)
        if reading.description is None or not self._is_of(place):
            return Found(reading.description, False)
        if begin >= place_order(*reading.end):
            return Found(reading.description, True)
        if not is_needed and self._bytes_between(place, reading.end) > self._ahead_bytes_max:
            return Found(reading.description, False, reading.end)
        try:
            self._look_ahead(place, reading.end)
        except Unreachable:
            raise
        except CdcError as error:  # such as a file that was purged meanwhile
            logger.warning("no description can be carried back", why=error.message)
            return Found(reading.description, False)
        if not self._ahead.changes(table, begin):
            return Found(reading.description, True)
        names = (column.name for column in reading.description.columns)
        kept = frozenset(name for name in names if self._ahead.keeps_type(table, name, begin))
        return Found(reading.description, False, kept=kept)

    def _is_of(self, place: Place) -> bool:
        """Whether the server asked is the one that is followed: a proxy may give another."""
        assert self._facts is not None
        return not place.server or place.server == self._facts.identity

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _read(self, table: TableName) -> _Reading | None:
        """The table now; None while DDL holds it. A session that broke is opened anew, once."""
        if self._session is not None:
            try:
                return self._read_over(self._session, table)
            except Unreachable:
                self.close()
        self._session = Session(self._settings)
        self._session.rows(
            "preparing to read the catalogue", f"SET SESSION lock_wait_timeout = {LOCK_SECONDS_MAX}"
        )
        self._facts = read_facts(self._session)
        return self._read_over(self._session, table)

    def _read_over(self, session: Session, table: TableName) -> _Reading | None:
        """The table's lock keeps DDL out: what the catalogue shows is in the binlog already."""
        name = ".".join("`" + part.replace("`", "``") + "`" for part in table)
        session.rows("reading the catalogue", "START TRANSACTION")
        try:
            session.rows(f"looking at {name}", f"SELECT 1 FROM {name} LIMIT 0")  # noqa: S608
            end = self._end(session)
            tables = read_tables(session, (table,))
            return _Reading(parse_descriptions(tables).get(table), end)
        except SourceError as error:
            code, _ = code_and_text(error.__cause__) if error.__cause__ else (0, "")
            if code in (_LOCK_WAIT_TIMEOUT, _DEADLOCK):
                return None
            # No such table, or not ours to see.
            return _Reading(None, self._end(session))
        finally:
            session.rows("having read the catalogue", "COMMIT")

    def _end(self, session: Session) -> tuple[str, int]:
        assert self._facts is not None
        is_new = self._facts.flavor == "mysql" and self._facts.version >= (8, 2)
        statement = "SHOW BINARY LOG STATUS" if is_new else "SHOW MASTER STATUS"
        (row,) = session.rows("reading the binlog's end", statement)
        return row["File"], int(row["Position"])

    def _bytes_between(self, place: Place, end: tuple[str, int]) -> int:
        if place.file == end[0]:
            return end[1] - place.pos
        assert self._session is not None
        sizes = {log.name: log.size for log in binary_logs(self._session)}
        first, last = place_order(place.file, 0), place_order(*end)
        between = sum(
            size for name, size in sizes.items() if first <= place_order(name, 0) < (last[0], 0)
        )
        kept = self._kept_behind(place.file, place.pos)
        return between - place.pos + end[1] + (kept.bytes if kept is not None else 0)

    def _kept_behind(self, file: str, pos: int) -> Kept | None:
        if self._kept is None:
            return None
        assert self._facts is not None
        return self._kept.behind(self._facts.identity, file, pos)

    def _look_ahead(self, place: Place, end: tuple[str, int]) -> None:
        begin = place_order(place.file, place.pos)
        if self._ahead.covers(begin, place_order(*end)):
            return
        assert self._facts is not None
        begun = self._ahead.next_place(begin)
        at = (place.file, place.pos) if begun is None else self._looked_to
        if kept := self._kept_behind(*at):
            at = self._look_through(kept)
            if self._ahead.covers(begin, place_order(*end)):
                return
        if at[1] > POSITION_MAX:
            raise SourceError(
                f"the definition of a table can't be carried back to {at[0]}:{at[1]}, further than"
                " positions reach in the replication protocol",
                hint="switch GTIDs on at the server, or begin at the next file",
            )
        look_ahead(self._ahead, self._settings, self._facts, at, end)
        self._looked_to = end

    def _look_through(self, kept: Kept) -> tuple[str, int]:
        """Note all DDL of what is kept; where to go on."""
        assert self._facts is not None
        until = place_order(*kept.end)
        look_through(self._ahead, kept.events, Walk(kept.begin, self._facts.flavor), until)
        self._looked_to = kept.end
        self._ahead.looked_until(until)
        return kept.end
