"""Which tables DDL changes further on in the binlog, between the stream and its end."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator

from cdc.capture import binlog
from cdc.capture.connection import Session
from cdc.capture.ddl import Statement, folded, read_statement
from cdc.capture.decisions import TableName, place_order
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import ServerFacts
from cdc.capture.source_settings import ServerSettings

Order = tuple[int, int]
"""File's number and position."""

NAMES_MAX = 100_000
"""Tables that DDL ahead is remembered of; beyond it every table counts as changed."""

_ANY = ("", "")
_QUERY_HEAD = struct.Struct("<IIBHH")
_NOT_DDL = (b"BEGIN", b"COMMIT", b"ROLLBACK", b"SAVEPOINT")


class DdlAhead:
    """A look at the QUERY events that the stream has still to reach; each is looked at once."""

    def __init__(self) -> None:
        self._from: Order = (0, 0)
        self._until: Order = (0, 0)
        self._last: dict[tuple[str, str], Order] = {}
        """Folded table, or database with an empty table, or table with an empty database → where
        the last DDL on it ends. Enough to know whether there is any: the stream only advances."""

    def covers(self, begin: Order, end: Order) -> bool:
        """Whether all between the two places was looked at."""
        return self._from <= begin and self._until >= end

    def next_place(self, begin: Order) -> Order | None:
        """Where to go on looking; None: at `begin`, nothing of use is known."""
        if self._from <= begin <= self._until:
            return self._until
        self._from = self._until = begin
        self._last = {}
        return None

    def changes(self, table: TableName, begin: Order) -> bool:
        """Whether DDL behind `begin` may change the table."""
        database, name = folded(table)
        names = ((database, name), (database, ""), ("", name), _ANY)
        return any(self._last.get(one, (0, 0)) > begin for one in names)

    def looked_until(self, end: Order) -> None:
        self._until = max(self._until, end)

    def note(self, statement: Statement, end: Order) -> None:
        """DDL that ends there."""
        for name in _names_of(statement):
            if len(self._last) >= NAMES_MAX:
                name = _ANY
            self._last[name] = end


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
) -> None:
    """Read the binlog from `begin` to `end` over a session of its own, noting its DDL."""
    until = place_order(*end)
    with Session(settings) as session:
        dump = Dump(session, facts, Place(file=begin[0], pos=begin[1]), ends=True)
        walk = _Walk(begin)
        for events in dump.batches(threading.Event()):
            for kind, body in walk.events(events):
                here = place_order(walk.file, walk.pos)
                if here > until:
                    ahead.looked_until(until)
                    return
                if kind in (binlog.QUERY, binlog.MARIADB_QUERY_COMPRESSED):
                    text, database = _text(body, kind == binlog.MARIADB_QUERY_COMPRESSED)
                    if not text.startswith(_NOT_DDL):
                        statement = _statement(text, database, facts)
                        ahead.note(statement, here)
    ahead.looked_until(until)


def _statement(text: bytes, database: bytes, facts: ServerFacts) -> Statement:
    return read_statement(
        text.decode("utf-8", "replace"),
        database.decode("utf-8", "replace"),
        facts.flavor,
        lambda _: "",
    )


def _text(body: bytes, is_compressed: bool) -> tuple[bytes, bytes]:
    """Statement and session's database of a QUERY event."""
    _, _, database_size, _, status_size = _QUERY_HEAD.unpack_from(body)
    database_at = _QUERY_HEAD.size + status_size
    text_at = database_at + database_size + 1
    text = body[text_at:]
    if is_compressed and text:
        # One byte with algorithm and size of the length, the length, zlib.
        text = zlib.decompress(text[1 + (text[0] & 7) :])
    return text, body[database_at : text_at - 1]


class _Walk:
    """Follows positions through a dump."""

    def __init__(self, begin: tuple[str, int]) -> None:
        self.file, self.pos = begin
        self._is_checksummed: bool | None = None

    def events(self, events: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and body of each event that is in the file; `pos` is its end."""
        at = 0
        while at < len(events):
            kind, size, log_pos, flags = struct.unpack_from("<B4xIIH", events, at + 4)
            if kind == binlog.FORMAT_DESCRIPTION:
                self._is_checksummed = events[at + size - 5] == 1
            elif self._is_checksummed is None:
                # A dump's first event comes before the word on checksums; it may have one.
                sum_at = at + size - binlog.CHECKSUM_BYTES
                (found,) = struct.unpack_from("<I", events, sum_at)
                self._is_checksummed = zlib.crc32(events[at:sum_at]) == found
            body_end = at + size - binlog.CHECKSUM_BYTES * bool(self._is_checksummed)
            is_in_file = not flags & binlog.ARTIFICIAL_FLAG and not (
                log_pos == 0 and kind in (binlog.FORMAT_DESCRIPTION, binlog.HEARTBEAT)
            )
            if is_in_file and kind not in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2):
                self._advance(size, log_pos)
                yield kind, events[at + binlog.HEADER_BYTES : body_end]
            if kind == binlog.ROTATE:
                body = events[at + binlog.HEADER_BYTES : body_end]
                self.pos = int.from_bytes(body[:8], "little")
                self.file = body[8:].decode("utf-8", "replace")
            at += size

    def _advance(self, size: int, log_pos: int) -> None:
        if not log_pos:  # MariaDB from 11.4 leaves it out inside transactions
            self.pos += size
            return
        log_pos += self.pos >> 32 << 32
        self.pos = log_pos if log_pos >= self.pos else log_pos + (1 << 32)
