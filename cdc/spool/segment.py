"""A segment of the spool: one file of checksummed frames.

Behind the magic bytes stand frames: kind (1 byte), size of the content (4, little-endian), CRC32 of
both and the content (4), content. A *mark* is JSON: a place between two transactions, as a
checkpoint, and the format description in force there. *Events* are whole binlog events as the
server sent them. A segment begins with a mark and counts up to its last one: what stands behind is
a transaction in part, or what a crash left.
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

MAGIC = b"cdcspool1\n"
MARK, EVENTS = b"M"[0], b"E"[0]
_HEAD = struct.Struct("<BI")
_FRAME = struct.Struct("<BII")
FILE_MODE = 0o600


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
    """Why what stands further on can't be read; empty where only a transaction is cut off."""

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


def load_segment(path: Path, number: int) -> Segment:
    """The segment in the file; SegmentDamaged if it has not even a first mark.

    Marks are verified, events only when they are read (`events_of`)."""
    with path.open("rb") as file:
        start: Mark | None = None
        end, end_at, damage = start, 0, ""
        try:
            for frame in _frames(file, path, file.seek(0, 2)):
                if frame.kind == MARK:
                    end, end_at = _mark(file, path, frame), frame.end
                    start = start or end
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
    """All that lie before `end` whole; SegmentDamaged where none can begin."""
    if at == 0:
        file.seek(0)
        at = len(MAGIC)
        if file.read(at) != MAGIC:
            raise SegmentDamaged(path, 0, "it does not begin as a spool file")
    while at + _FRAME.size <= end:
        file.seek(at)
        kind, size, _ = _FRAME.unpack(file.read(_FRAME.size))
        if kind not in (MARK, EVENTS):
            raise SegmentDamaged(path, at, "no frame begins there")
        frame = _Frame(kind, at, size)
        if frame.end > end:
            return
        yield frame
        at = frame.end


def _content(file: IO[bytes], path: Path, frame: _Frame) -> bytes:
    try:
        file.seek(frame.at)
        head = file.read(_FRAME.size)
        content = file.read(frame.size)
    except OSError as error:
        raise SegmentDamaged(path, frame.at, f"reading it failed: {error.strerror}") from error
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
    """Appends to a new segment."""

    def __init__(self, path: Path, number: int, start: Mark) -> None:
        self.path, self.number = path, number
        self._start = self._end = start
        self._file = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb", buffering=0
        )
        self.size = 0
        self._write(MAGIC)
        self.mark(start)

    def events(self, events: bytes) -> None:
        self._frame(EVENTS, events)

    def mark(self, mark: Mark) -> None:
        self._frame(MARK, mark.to_bytes())
        self._end, self._end_at = mark, self.size

    def sync(self) -> None:
        """All that was appended is on disk."""
        os.fsync(self._file.fileno())

    def segment(self) -> Segment:
        """What was appended, up to the last mark."""
        return Segment(self.path, self.number, self._start, self._end, self._end_at)

    def close(self) -> None:
        self._file.close()

    def _frame(self, kind: int, content: bytes) -> None:
        head = _HEAD.pack(kind, len(content))
        digest = zlib.crc32(content, zlib.crc32(head))
        self._write(b"".join((_FRAME.pack(kind, len(content), digest), content)))

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.size += len(data)


def frame_bytes(content: bytes | int) -> int:
    """What a content, or one of so many bytes, takes in a segment."""
    return _FRAME.size + (content if isinstance(content, int) else len(content))
