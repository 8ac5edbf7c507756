"""The live server as mysql-replication reads it: a source of decoded rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import GtidEvent, MariadbGtidEvent, XidEvent
from pymysqlreplication.gtid import GtidSet
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session, connect_options
from cdc.capture.opening import Opening, opening
from cdc.capture.source_settings import Coordinates, ServerSettings
from cdc.errors import CdcError, SourceError
from cdc.reference.events import Event
from cdc.reference.gate import Gate
from cdc.reference.link import Link, Quiet
from cdc.reference.reads import Gtid, Image, Read, ReferenceBatch, Seen
from cdc.reference.values import Absent, NoDate

BATCH_ROWS_MAX = 2_000
"""Rows, and events, after which a batch ends; one event's rows stay together."""
PATIENCE_SECONDS = 600
"""`net_write_timeout` of its session: how long the server waits while we don't read."""


class ReferenceSource:
    """Follows a server's binlog; implements `ports.Source[ReferenceBatch, Checkpoint]`."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        stop: threading.Event,
        idle: threading.Event | None = None,
        on_seen: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`on_seen` gets the server's time of each batch's last event; now if it has no newer.
        `idle` is not looked at: this reader is never ahead of its sink."""
        self._settings, self._stop, self._on_seen = settings, stop, on_seen
        self._stream: BinLogStreamReader | None = None

    def read(self, after: Checkpoint | None) -> Iterator[ReferenceBatch]:
        """Batches from just after the checkpoint, else from `settings.start`, until `stop`.

        Raises Unreachable when the link is lost: read again from the last committed checkpoint.
        Raises SourceError and PositionLost for what only people can mend."""
        self.close()
        with Session(self._settings) as session:
            begun = opening(session, after, self._stop)
        if begun is None:
            return
        start = begun.start
        gate = Gate(start.flavor, start.file, start.pos)
        stream = self._stream = _stream(self._settings, begun, gate, self._stop)
        first: Checkpoint | None = start
        try:
            while not self._stop.is_set():
                batch = self._batch(stream, gate, first)
                if batch.reads:
                    self._on_seen(_seconds_of(batch.reads[-1].seen.event))
                    yield batch
                    first = None
        finally:
            self.close()

    def close(self) -> None:
        """Give the connections back; a reading that is under way ends."""
        if self._stream is not None:
            for name in ("_stream_connection", "_ctl_connection"):
                connection = getattr(self._stream, name, None)
                if connection is not None:
                    connection._force_close()
            self._stream = None

    def _batch(
        self, stream: BinLogStreamReader, gate: Gate, start: Checkpoint | None
    ) -> ReferenceBatch:
        """Ends where it is full, or where nothing more is there to be read at once."""
        reads: list[Read] = []
        count = size = 0
        while max(count, len(reads)) < BATCH_ROWS_MAX:
            gate.has_begun_batch = bool(reads)
            event, is_quiet = _next(stream, gate)
            seen = gate.take()
            for one in seen[:-1] if event is not None else seen:
                reads.append(_unread(one))
            if event is not None:
                reads.append(_read(seen[-1], event))
                count += len(reads[-1].rows)
            size += sum(len(one.event.body) for one in seen)
            if is_quiet:
                break
        return ReferenceBatch(reads, size, start)


def _stream(
    settings: ServerSettings, begun: Opening, gate: Gate, stop: threading.Event
) -> BinLogStreamReader:
    """The library's reader, begun at the place; it connects at the first event."""
    options = connect_options(settings)
    checksum = "@master_binlog_checksum = @@GLOBAL.binlog_checksum"
    if gate.flavor == "mysql":
        checksum += ", @source_binlog_checksum = @@GLOBAL.binlog_checksum"
    options["init_command"] = (
        f"SET time_zone = '+00:00', SESSION net_write_timeout = {PATIENCE_SECONDS}, {checksum}"
    )
    return BinLogStreamReader(
        options,
        settings.server_id,
        pymysql_wrapper=partial(Link, settings, gate, stop),
        report_slave=settings.name,
        slave_heartbeat=settings.heartbeat_seconds,
        blocking=True,
        only_events=[
            WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, GtidEvent, MariadbGtidEvent, XidEvent,
        ],
        enable_logging=False,
        **_place_of(begun, settings.coordinates),
    )  # fmt: skip


def _place_of(begun: Opening, coordinates: Coordinates) -> dict[str, Any]:
    """Where to begin, in the library's terms."""
    place, start = begun.place, begun.start
    # Its way by file is MySQL's command, which MariaDB knows as well.
    by_file = {"log_file": start.file, "log_pos": start.pos, "resume_stream": True}
    if place.gtid_set is None:
        return by_file
    if start.flavor == "mariadb":
        return {"is_mariadb": True, "auto_position": place.gtid_set}
    if place.gtid_set and not _has_tags(place.gtid_set):
        return {"auto_position": place.gtid_set}
    if start.file and coordinates == "auto":  # it is the same server: a checkpoint names it
        return by_file
    raise SourceError(
        "mysql-replication can't begin at a GTID set that is empty or has tags",
        hint="begin at file:position with source.coordinates: file, or leave out source.reader",
    )


def _has_tags(gtid_set: str) -> bool:
    try:
        GtidSet(gtid_set)
    except ValueError:
        return True
    return False


def _next(stream: BinLogStreamReader, gate: Gate) -> tuple[Any, bool]:
    """The library's next event, if it gives one, and whether there is nothing more at once."""
    try:
        return stream.fetchone(), False
    except Quiet:
        return None, True
    except CdcError:
        raise
    except Exception as error:  # whatever the library fails with
        failed = gate.last
        if failed is None or failed.event.kind != binlog.TABLE_MAP:
            place = failed.event.place if failed else "the begin"
            raise SourceError(
                f"mysql-replication failed at {place}: {type(error).__name__}",
                hint="leave out source.reader",
            ) from error
        gate.refuse_table(failed.event, f"mysql-replication fails on it: {type(error).__name__}")
        return None, False


def _unread(seen: Seen) -> Read:
    """An event that the library didn't get, or gave no word of."""
    if seen.weakness or not seen.event.is_rows:
        return Read(seen, weakness=seen.weakness)
    return Read(seen, weakness="mysql-replication dropped these rows")


def _read(seen: Seen, event: Any) -> Read:
    if isinstance(event, GtidEvent):
        return Read(seen, gtid=Gtid(event.sid, event.gno))
    if isinstance(event, MariadbGtidEvent):
        return Read(seen, gtid=Gtid(b"", event.gtid_seq_no, event.domain_id, event.flags))
    if isinstance(event, XidEvent):
        return Read(seen)
    assert seen.shape is not None
    names = [column.name for column in seen.shape.columns]
    known = [(column.name, column.unsigned) for column in event.columns]
    if known != [(column.name, column.unsigned) for column in seen.shape.columns]:
        return Read(seen, weakness="mysql-replication sees other columns than TABLE_MAP has")
    try:
        return Read(seen, rows=[_images(names, row) for row in event.rows])
    except Exception as error:  # noqa: BLE001  # whatever the library fails with
        # The error's own text may hold values (invariant 9).
        return Read(seen, weakness=f"mysql-replication fails on a row: {type(error).__name__}")


def _images(names: Sequence[str], row: dict[str, Any]) -> tuple[Image | None, Image | None]:
    if "values" in row:  # of an insert or a delete; which, the event's type says
        image = _image(names, row["values"], row["none_sources"])
        return image, image
    return (
        _image(names, row["before_values"], row["before_none_sources"]),
        _image(names, row["after_values"], row["after_none_sources"]),
    )


def _image(names: Sequence[str], values: dict[str, Any], none_sources: dict[str, str]) -> Image:
    return tuple(
        _why_none(none_sources.get(name, "null")) if values[name] is None else values[name]
        for name in names
    )


def _why_none(source: str) -> Any:
    """What the library's None stands for."""
    if source.startswith("out of"):
        return NoDate
    if source == "empty set":
        return frozenset[str]()
    return Absent if source == "cols bitmap" else None


def _seconds_of(event: Event) -> float:
    is_idle = event.kind in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2)
    return time.time() if is_idle else event.seconds
