"""Binlog files as a source of events: the same stream that a server would send of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cdc.capture import binlog
from cdc.capture.artificial import repeated, rotate
from cdc.capture.batch import EventBatch
from cdc.capture.binlog import FIRST_POS
from cdc.capture.checkpoint import Checkpoint, Flavor
from cdc.capture.pieces import EndsInside, pieces
from cdc.capture.prepared_store import PreparedStore
from cdc.capture.scan import Scan
from cdc.capture.source_settings import BATCH_BYTES_MAX, EVENT_BYTES_MAX, StartAt
from cdc.capture.unfolding import Unfolder
from cdc.errors import DecodeError, PositionLost, SourceError

ENCRYPTED_MAGIC = b"\xfdbin"
FORMAT_BYTES_MAX = 1 << 12
"""A format description is some hundred bytes."""


class FilesSource:
    """Reads binlog files in the order given; implements `ports.Source[EventBatch, Checkpoint]`."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        start: StartAt,
        stop: threading.Event,
        batch_bytes_max: int = BATCH_BYTES_MAX,
        event_bytes_max: int = EVENT_BYTES_MAX,
        store: PreparedStore | None = None,
    ) -> None:
        """`store` keeps the rows of prepared XA transactions."""
        self._store = store
        self._paths, self._start, self._stop = tuple(paths), start, stop
        self._batch_bytes_max, self._event_bytes_max = batch_bytes_max, event_bytes_max

    def read(self, after: Checkpoint | None) -> Iterator[EventBatch]:
        """Batches from just after the checkpoint, else from the start; ends with the last file."""
        unfolder = Unfolder(self._batch_bytes_max, self._event_bytes_max, self._store)
        return unfolder.unfold(self._read(after), self._stop)

    def _read(self, after: Checkpoint | None) -> Iterator[EventBatch]:
        """The events as they stand in the files."""
        start: Checkpoint | None = after or self._first_checkpoint()
        assert start is not None
        index = self._index_of(start.file)
        pos = start.pos
        is_checksummed = False
        for path in self._paths[index:]:
            with _opened(path) as file:
                description = _format_description(path, file)
                # As servers do: named first, with a checksum if the events before it had one.
                head = rotate(path.name, pos, is_checksummed)
                is_checksummed = description[-5] == 1
                if pos > FIRST_POS:
                    head += repeated(description)
                for events in self._batches(path, file, pos):
                    yield EventBatch(head + events, start)
                    start, head = None, b""
                    if self._stop.is_set():
                        return
            pos = FIRST_POS

    def close(self) -> None:
        """Files are open only while they are read."""

    def _first_checkpoint(self) -> Checkpoint:
        path, pos = self._paths[0], FIRST_POS
        if self._start.kind == "file":
            path, pos = self._paths[self._index_of(self._start.file)], self._start.position
        elif self._start.kind != "earliest":
            raise SourceError(
                f"binlog files can't be read from source.start {self._start.kind}",
                hint="allowed for files: earliest, or file:position",
            )
        with _opened(path) as file:
            description = _format_description(path, file)
            version = description[21:71].split(b"\0")[0].decode("latin-1")
            flavor: Flavor = "mariadb" if "mariadb" in version.casefold() else "mysql"
            scan = Scan(flavor == "mysql", f"the position {path}:{pos}", pos)
            for events in self._batches(path, file, FIRST_POS):
                if scan.takes(events):
                    break
                if pos == FIRST_POS:
                    break  # a file that doesn't begin with a set: nothing is known before it
            else:
                scan.finish(binlog.STOP)
        return Checkpoint(flavor, "", scan.gtid_set(), path.name, pos)

    def _index_of(self, name: str) -> int:
        names = [path.name for path in self._paths]
        if name not in names:
            raise PositionLost(
                f"the place to go on is in the binlog file {name}, which is not among"
                f" {', '.join(names)}",
                hint="add it to source.files, or begin anew under another connector name",
            )
        return names.index(name)

    def _batches(self, path: Path, file: BinaryIO, pos: int) -> Iterator[bytes]:
        """Whole events from `pos` on, in bounded pieces; one larger event is one of its own."""
        size = file.seek(0, 2)
        if pos > size:
            raise PositionLost(
                f"the place to go on is {path}:{pos}, and the file ends at {size}",
                hint="is this the whole file?",
            )
        file.seek(pos)

        def allow(at: int, event_bytes: int) -> None:
            self._check_large(path, pos + at, event_bytes)

        try:
            for _, events in pieces(file.read, self._batch_bytes_max, allow):
                yield events
        except EndsInside as error:
            raise DecodeError(
                f"the binlog {path} ends inside an event that begins at {pos + error.at}",
                hint="is it still being written, or was it copied in part? read the live server,"
                " or copy the file whole",
            ) from error

    def _check_large(self, path: Path, pos: int, size: int) -> None:
        """Refuse an event that is larger than a batch if it can't be, or mustn't."""
        if size < binlog.HEADER_BYTES:
            raise DecodeError(
                f"the binlog {path} is damaged at {pos}: an event claims {size} bytes",
                hint="compare with mysqlbinlog --verify-binlog-checksum",
            )
        if size > self._event_bytes_max:
            raise DecodeError(
                f"the binlog {path} has an event of {size} bytes at {pos}; the bound is"
                f" {self._event_bytes_max} (event_bytes_max)",
                hint="is the file damaged? else raise the bound, and the memory that goes with it",
            )


def _opened(path: Path) -> BinaryIO:
    """The file, behind its magic bytes."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(
            f"opening the binlog file {path}: {error.strerror}", hint="look at source.files"
        ) from error
    magic = file.read(len(binlog.MAGIC))
    if magic != binlog.MAGIC:
        file.close()
        if magic == ENCRYPTED_MAGIC:
            raise SourceError(
                f"the binlog file {path} is encrypted",
                hint="read it from its server, which decrypts what it sends",
            )
        raise SourceError(
            f"{path} is no binlog file: it begins with {magic!r}", hint="look at source.files"
        )
    return file


def _format_description(path: Path, file: BinaryIO) -> bytes:
    """The file's first event."""
    header = file.read(binlog.HEADER_BYTES)
    kind, size = (header[4], int.from_bytes(header[9:13], "little")) if len(header) > 12 else (0, 0)
    body = file.read(size - len(header)) if len(header) < size <= FORMAT_BYTES_MAX else b""
    event = header + body
    if kind != binlog.FORMAT_DESCRIPTION or len(event) != size or size < 80:
        raise DecodeError(
            f"the binlog {path} doesn't begin with a format description",
            hint="is it cut off, or of a server before MySQL 5.0?",
        )
    if file.read(5)[4:] == bytes([binlog.MARIADB_START_ENCRYPTION]):
        raise SourceError(
            f"the binlog file {path} is encrypted",
            hint="read it from its server, which decrypts what it sends",
        )
    return event
