"""Follows raw binlog events: where nothing is open, and what lies before."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint, LastTransaction
from cdc.capture.cursor import Cursor
from cdc.capture.executed import Executed
from cdc.capture.gtid_event import commit_micros_of, tagged_gtid
from cdc.spool.order import Opened

_UUID_AT, _NUMBER_AT = 1, 17
"""In the body of MySQL's plain GTID event."""


class _Transaction(NamedTuple):
    opened: Opened
    kind: int
    """Of the event that opened it, and that event's body and server."""
    body: bytes
    server_id: int
    seen: LastTransaction | None


class Trail:
    """The state is that of the boundary which `boundaries` gave last."""

    def __init__(self, start: Checkpoint, description: bytes = b"") -> None:
        self._start = start
        self._cursor = Cursor()
        self._cursor.start(start.file, start.pos, 0, start.last)
        self._executed = Executed(start.flavor, start.gtid_set)
        self.file, self.pos = start.file, start.pos
        self.description = description
        """The format description event in force."""
        self.opening: Opened | None = None
        """The transaction that begins at the boundary; None: something else stands there."""
        self._last = start.last
        self._open: _Transaction | None = None
        self._closed: _Transaction | None = None
        self._source = (b"", "")

    def boundaries(self, events: bytes) -> Iterator[int]:
        """Where in `events` nothing is open: transactions begin there, or files, or the server has
        nothing more.

        DecodeError with a place for bytes that no server would write."""
        cursor, at = self._cursor, 0
        while at < len(events):
            at = cursor.come_to_boundary(events, at)
            begin, kind = cursor.body_at - binlog.HEADER_BYTES, cursor.kind
            body = events[cursor.body_at : cursor.body_end]
            if kind in binlog.OPENING:
                self._close()
                try:
                    self.opening = opened = self._opened(kind, body)
                except (struct.error, ValueError) as error:
                    raise cursor.damaged(
                        f"{binlog.name_of(kind)} can't be read: {error}"
                    ) from error
                self.file, self.pos = opened.file, opened.pos
                yield begin
                seen = cursor.last_transaction("", 0)
                self._open = _Transaction(opened, kind, body, cursor.server_id, seen)
            elif kind == binlog.ROTATE:
                self._close()
                cursor.rotate(body)
                self.file, self.pos = cursor.file, cursor.position
                yield begin
            elif kind == binlog.FORMAT_DESCRIPTION:
                self.description = events[begin:at]
            elif kind in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2):
                self._close()
                self.file, self.pos = cursor.file, cursor.position
                yield begin

    def checkpoint(self) -> Checkpoint:
        """The boundary as a checkpoint."""
        return replace(
            self._start,
            gtid_set=str(self._executed),
            file=self.file,
            pos=self.pos,
            transaction="",
            rows_done=0,
            awaited={},
            prepared={},
            last=self._named_last(),
        )

    def _opened(self, kind: int, body: bytes) -> Opened:
        place = self._cursor.file, self._cursor.event_position
        if kind == binlog.GTID:
            if body[_UUID_AT:_NUMBER_AT] != self._source[0]:
                source = body[_UUID_AT:_NUMBER_AT]
                self._source = source, str(uuid.UUID(bytes=source))
            return Opened(self._source[1], struct.unpack_from("<Q", body, _NUMBER_AT)[0], *place)
        if kind == binlog.GTID_TAGGED:
            gtid = tagged_gtid(body)
            return Opened(gtid.source, gtid.number, *place)
        if kind == binlog.MARIADB_GTID:
            number, domain = struct.unpack_from("<QI", body)
            return Opened(str(domain), number, *place)
        return Opened("", 0, *place)

    def _close(self) -> None:
        """The transaction that was open, if any, is whole."""
        self.opening = None
        if self._open is None:
            return
        opened = self._open.opened
        if self._open.kind == binlog.MARIADB_GTID:
            self._executed.advance(int(opened.source), self._open.server_id, opened.number)
        elif opened.source:
            self._executed.add(opened.source, opened.number, opened.number)
        self._closed, self._open = self._open, None

    def _named_last(self) -> LastTransaction | None:
        """The last one that is whole."""
        if self._closed is None:
            return self._last
        opened, kind, body, server_id, seen = self._closed
        if kind == binlog.MARIADB_GTID:
            return seen and replace(seen, name=f"{opened.source}-{server_id}-{opened.number}")
        name = f"{opened.source or opened.file}:{opened.number or opened.pos}"
        return seen and replace(seen, name=name, commit_micros=commit_micros_of(kind, body))
