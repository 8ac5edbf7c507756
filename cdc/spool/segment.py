"""A segment of the spool: one file of checksummed frames.

Behind the magic bytes stand frames: kind (1 byte), size of the content (4, little-endian), CRC32 of
both and the content (4), content. A *mark* is JSON: a place between two transactions, as a
checkpoint, and the format description in force there. *Events* are whole binlog events as the
server sent them. A segment begins with a mark and counts up to its last one: what stands behind is
a transaction in part, or what a crash left. Nothing stands behind it where another segment follows.
"""

from __future__ import annotations

import base64
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from cdc.capture.checkpoint import Checkpoint
from cdc.errors import SourceError
from cdc.spool.disk import Disk

MAGIC = b"cdcspool1\n"
MARK, EVENTS = b"M"[0], b"E"[0]
_HEAD = struct.Struct("<BI")
_FRAME = struct.Struct("<BII")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two transactions; all before it is in the spool, or was before it began."""

    checkpoint: Checkpoint
    """Server, GTID set, file and position; epoch and sequence mean nothing here."""
    description: bytes
    """The format description event in force."""

    def to_bytes(self) -> bytes:
        return orjson.dumps(
            {
                "checkpoint": orjson.Fragment(self.checkpoint.to_bytes()),
                "description": base64.b64encode(self.description).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Mark:
        """ValueError if it is none."""
        try:
            fields = orjson.loads(data)
            checkpoint = Checkpoint.from_bytes(orjson.dumps(fields["checkpoint"]))
            return cls(checkpoint, base64.b64decode(fields["description"], validate=True))
        except (KeyError, TypeError, SourceError) as error:
            raise ValueError(f"no mark: {error}") from error


class SegmentDamaged(Exception):
    """A frame that is not what was written."""

    def __init__(self, path: Path, at: int, why: str) -> None:
        super().__init__(f"the spool's file {path} is damaged at byte {at}: {why}")
        self.at = at


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the spool, up to its last mark."""

    path: Path
    number: int
    start: Mark
    end: Mark
    end_at: int
    """Where the last mark's frame ends in the file."""
    damage: str = ""
    """Why what stands further on can't be read; empty where nothing does."""

    @property
    def is_empty(self) -> bool:
        """Whether no transaction is in it."""
        return self.start == self.end


@dataclass(frozen=True, slots=True)
class _Frame:
    kind: int
    at: int
    size: int
    """Of the content."""

    @property
    def end(self) -> int:
        return self.at + _FRAME.size + self.size


def load_segment(path: Path, number: int, *, is_last: bool = True) -> Segment:
    """The segment in the file; SegmentDamaged if it has not even a first mark.

    Marks are verified, events only when they are read (`events_of`)."""
    with path.open("rb") as file:
        start: Mark | None = None
        end, end_at, damage = start, 0, ""
        size = file.seek(0, 2)
        try:
            for frame in _frames(file, path, size):
                if frame.kind == MARK:
                    end, end_at = _mark(file, path, frame), frame.end
                    start = start or end
            if not is_last and end_at != size:
                raise SegmentDamaged(path, end_at, "it goes on with no place to go on from")
        except SegmentDamaged as error:
            damage = str(error)
        if start is None or end is None:
            raise SegmentDamaged(path, 0, "it has no beginning")
    return Segment(path, number, start, end, end_at, damage)


def marks_of(segment: Segment) -> Iterator[tuple[int, Mark]]:
    """Its marks in order, each with where its frame ends."""
    with segment.path.open("rb") as file:
        for frame in _frames(file, segment.path, segment.end_at):
            if frame.kind == MARK:
                yield frame.end, _mark(file, segment.path, frame)


def events_of(segment: Segment, begin: int) -> Iterator[tuple[int, bytes]]:
    """Its events from a mark's end on, each with where its frame begins.

    Raises SegmentDamaged at a frame whose checksum is wrong."""
    with segment.path.open("rb") as file:
        for frame in _frames(file, segment.path, segment.end_at, begin):
            if frame.kind == EVENTS:
                yield frame.at, _content(file, segment.path, frame)


def _frames(file: IO[bytes], path: Path, end: int, at: int = 0) -> Iterator[_Frame]:
    """All up to `end`; SegmentDamaged where none can begin, or it goes beyond."""
    if at == 0:
        at = len(MAGIC)
        if _read(file, path, 0, at) != MAGIC:
            raise SegmentDamaged(path, 0, "it does not begin as a spool file")
    while at < end:
        head = _read(file, path, at, _FRAME.size)
        kind, size = _HEAD.unpack_from(head.ljust(_HEAD.size, b"\0"))
        if kind not in (MARK, EVENTS):
            raise SegmentDamaged(path, at, "no frame begins there")
        frame = _Frame(kind, at, size)
        if frame.end > end:
            raise SegmentDamaged(path, at, "it ends inside a frame")
        yield frame
        at = frame.end


def _read(file: IO[bytes], path: Path, at: int, size: int) -> bytes:
    try:
        file.seek(at)
        return file.read(size)
    except OSError as error:
        raise SegmentDamaged(path, at, f"reading it failed: {error.strerror}") from error


def _content(file: IO[bytes], path: Path, frame: _Frame) -> bytes:
    head = _read(file, path, frame.at, _FRAME.size)
    content = _read(file, path, frame.at + _FRAME.size, frame.size)
    expected = int.from_bytes(head[_HEAD.size :], "little")
    if zlib.crc32(content, zlib.crc32(head[: _HEAD.size])) != expected:
        raise SegmentDamaged(path, frame.at, "the checksum is wrong")
    return content


def _mark(file: IO[bytes], path: Path, frame: _Frame) -> Mark:
    try:
        return Mark.from_bytes(_content(file, path, frame))
    except ValueError as error:
        raise SegmentDamaged(path, frame.at, str(error)) from error


class SegmentWriter:
    """Appends to a new segment. After an OSError nothing more may be appended."""

    def __init__(self, disk: Disk, path: Path, number: int, start: Mark) -> None:
        self.path, self.number = path, number
        self._disk, self._start, self._end = disk, start, start
        self._file = disk.create(path)
        self.size = self._synced_size = 0
        try:
            self._write(MAGIC)
            self.mark(start)
        except BaseException:
            self.close()
            raise

    def events(self, events: bytes) -> None:
        self._frame(EVENTS, events)

    def mark(self, mark: Mark) -> None:
        self._frame(MARK, mark.to_bytes())
        self._end, self._end_at = mark, self.size

    def sync(self) -> None:
        """All that was appended is on disk."""
        if self._synced_size < self.size:
            self._disk.sync(self._file)
            self._synced_size = self.size

    def segment(self) -> Segment:
        """What was appended, up to the last mark."""
        return Segment(self.path, self.number, self._start, self._end, self._end_at)

    def close(self) -> None:
        os.close(self._file)

    def _frame(self, kind: int, content: bytes) -> None:
        head = _HEAD.pack(kind, len(content))
        digest = zlib.crc32(content, zlib.crc32(head))
        self._write(b"".join((_FRAME.pack(kind, len(content), digest), content)))

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = self._disk.write(self._file, left, self.size)
            left, self.size = left[written:], self.size + written


def frame_bytes(content: bytes | int) -> int:
    """What a content, or one of so many bytes, takes in a segment."""
    return _FRAME.size + (content if isinstance(content, int) else len(content))
