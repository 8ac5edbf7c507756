"""The spool's folder: its segments, and where it begins."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from cdc.capture.checkpoint import Checkpoint
from cdc.errors import SourceError, Unreachable
from cdc.ports import Seam, untouched
from cdc.spool.disk import FILE_MODE, Disk
from cdc.spool.order import Order
from cdc.spool.segment import (
    Mark,
    Segment,
    SegmentDamaged,
    SegmentWriter,
    load_segment,
    marks_of,
)

FOLDER_MODE = 0o700
SUFFIX = ".spool"
BEGIN_FILE = "begin.json"
LOCK_FILE = "lock"


class SpoolFull(Exception):
    """No more may be written; the text says why."""


class Spool:
    """Whoever opened it has it alone, among all processes of the machine."""

    def __init__(
        self,
        folder: Path,
        connector: str,
        bytes_max: int,
        order: Order,
        seam: Seam = untouched,
    ) -> None:
        self.folder, self.order = folder, order
        self._disk: Disk = seam(Disk())
        self._connector, self._bytes_max = connector, bytes_max
        self._lock: int | None = None
        self._segments: list[Segment] = []
        self._beyond: list[Path] = []
        """Files behind a damaged place: of no use, kept until the server sends what is there."""
        self._cuts: dict[Path, tuple[int, str]] = {}
        """File → where reading it failed in the life of this process, and why."""
        self.damage = ""
        """Why the spool ends before what was written to it."""
        self.bytes = 0
        """On disk."""
        self._bytes_before = 0
        """Of all segments but the one that is being written."""
        self._changing = threading.Lock()
        """Committed checkpoints come from another thread than the reading."""

    def open(self) -> None:
        """Take the folder and read what is in it; Unreachable while another process has it."""
        if self._lock is not None:
            return
        with self._errors("opening"):
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            lock = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise Unreachable(
                f"another process has the spool {self.folder}",
                hint="two connectors can't share one: give each its own spool.path",
            ) from error
        self._lock = lock
        try:
            with self._errors("reading"):
                self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder; what is in it stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # What is in it

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(self._segments)

    @property
    def end(self) -> Mark | None:
        """Up to where it goes; None if it is empty."""
        return self._segments[-1].end if self._segments else None

    def begin(self) -> Checkpoint | None:
        """What was noted last as committed; None if nothing ever was."""
        try:
            fields = orjson.loads((self.folder / BEGIN_FILE).read_bytes())
            owner = fields["connector"]
            checkpoint = Checkpoint.from_bytes(orjson.dumps(fields["checkpoint"]))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, SourceError) as error:
            raise SourceError(
                f"{self.folder / BEGIN_FILE} can't be read: {error}",
                hint="remove it; it is written anew once the log is there",
            ) from error
        if owner != self._connector:
            raise SourceError(
                f"the spool {self.folder} is of connector {owner}, not of {self._connector}",
                hint="give each connector its own spool.path",
            )
        return checkpoint

    def holds_from(self, after: Checkpoint) -> bool:
        """Whether nothing is missing between the checkpoint and the spool's begin."""
        return bool(self._segments) and self.order.is_behind(
            after, self._segments[0].start.checkpoint
        )

    def is_passed(self, after: Checkpoint) -> bool:
        """Whether all that it holds is processed at the checkpoint."""
        end = self.end
        return end is None or self.order.is_behind(after, end.checkpoint)

    def read_from(self, after: Checkpoint) -> Iterator[tuple[Segment, int, Mark]]:
        """The segments that hold what isn't processed at the checkpoint, each with the mark from
        which on it does, and where that mark ends in the file."""
        for segment in self.segments:
            if self.order.is_behind(after, segment.end.checkpoint):
                continue
            found: tuple[int, Mark] | None = None
            for end, mark in marks_of(segment):
                if found is not None and not self.order.is_behind(after, mark.checkpoint):
                    break
                found = end, mark
            assert found is not None, "a segment begins with a mark"
            yield segment, *found

    # Changing it

    def note(self, checkpoint: Checkpoint) -> None:
        """Keep a committed checkpoint, from which following may begin when the log is away."""
        data = orjson.dumps(
            {
                "connector": self._connector,
                "checkpoint": orjson.Fragment(checkpoint.to_bytes()),
            }
        )
        new = self.folder / f"{BEGIN_FILE}.new"
        self._disk.remove(new)
        file = self._disk.create(new)
        try:
            at = 0
            while at < len(data):
                at += self._disk.write(file, data[at:], at)
            self._disk.sync(file)
        finally:
            os.close(file)
        self._disk.rename(new, self.folder / BEGIN_FILE)

    def has_passed(self, after: Checkpoint) -> bool:
        """Whether `passed` would remove anything."""
        # One that is damaged stays until the server has shown that it has what stood there.
        if not self._segments or (self.damage and len(self._segments) == 1):
            return False
        start, end = self._segments[0].start.checkpoint, self._segments[0].end.checkpoint
        return self.order.is_behind(after, end) and not self.order.is_needed(after, start, end)

    def passed(self, after: Checkpoint) -> None:
        """Remove what is processed at a committed checkpoint."""
        with self._changing, self._errors("removing what is drained from"):
            while self.has_passed(after):
                self._remove(self._segments.pop(0).path)
                # In this order: a file that is missing between two others would be damage.
                self._sync_folder()

    def mended(self) -> None:
        """The server sends what stands behind the spool's end: whatever is damaged isn't needed."""
        with self._changing, self._errors("removing what is damaged from"):
            self._remove_beyond()

    def cut(self, segment: Segment, at: int, why: str) -> None:
        """Events at `at` in a segment are damaged: end at the last mark before them."""
        with self._changing:
            index = self._segments.index(segment)
            self._beyond += [one.path for one in self._segments[index + 1 :]]
            self._cuts[segment.path] = at, why
            self._segments[index:] = [self._cut_off(segment)]
            self.damage = why

    def _cut_off(self, segment: Segment) -> Segment:
        if segment.path not in self._cuts:
            return segment
        at, why = self._cuts[segment.path]
        marks = list(marks_of(replace(segment, end_at=min(at, segment.end_at))))
        end_at, end = marks[-1]
        return replace(segment, end=end, end_at=end_at, damage=why)

    def append(self, mark: Mark) -> SegmentWriter:
        """A new segment, which begins at the mark, behind all others, which are on disk then.

        Raises OSError."""
        with self._changing:
            self._remove_beyond()
            while self._segments and self._segments[-1].is_empty:
                self._remove(self._segments.pop().path)
            number = 1
            if self._segments:
                last = self._segments[-1]
                number = last.number + 1
                self._end(last)
            self._count()
            self._bytes_before = self.bytes
            writer = SegmentWriter(self._disk, self._path(number), number, mark)
            try:
                self._sync_folder()
            except OSError:
                writer.close()
                raise
            self._segments.append(writer.segment())
        self.grown(writer)
        return writer

    def _end(self, segment: Segment) -> None:
        """Its last mark is its end, and on disk before anything stands behind it."""
        file = os.open(segment.path, os.O_WRONLY)
        try:
            self._disk.truncate(file, segment.end_at)
            self._disk.sync(file)
        finally:
            os.close(file)
        self._cuts.pop(segment.path, None)

    def grown(self, writer: SegmentWriter) -> None:
        """The segment that is being written has more."""
        with self._changing:
            self._segments[-1] = writer.segment()
            self.bytes = self._bytes_before + writer.size

    def check_room(self, size: int) -> None:
        """SpoolFull unless so many more bytes are allowed."""
        if self.bytes + size > self._bytes_max:
            raise SpoolFull(f"spool.bytes_max: {self._bytes_max} is reached")

    def _load(self) -> None:
        self.begin()  # whose it is
        self._segments, self._beyond, self.damage = [], [], ""
        paths = sorted(self.folder.glob(f"*{SUFFIX}"))
        for path in paths:
            number = int(path.stem) if path.stem.isdecimal() else 0
            if self.damage:
                self._beyond.append(path)
                continue
            try:
                if self._segments and number != self._segments[-1].number + 1:
                    raise SegmentDamaged(path, 0, "the file before it is missing")
                segment = load_segment(path, number, is_last=path == paths[-1])
                self._segments.append(self._cut_off(segment))
            except SegmentDamaged as error:
                self._beyond.append(path)
                self.damage = str(error)
            else:
                self.damage = self._segments[-1].damage
        self._count()

    def _count(self) -> None:
        self.bytes = sum(path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{SUFFIX}"

    def _remove(self, path: Path) -> None:
        self._disk.remove(path)
        self._cuts.pop(path, None)
        self._count()

    def _remove_beyond(self) -> None:
        while self._beyond:
            self._remove(self._beyond.pop())
        self.damage = ""

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            self._disk.sync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"{doing} the spool {self.folder}: {error.strerror}",
                hint="look at spool.path and its disk",
            ) from error
