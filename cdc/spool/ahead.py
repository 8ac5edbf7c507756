"""The spool for who looks ahead in the binlog: what the server may have purged."""

from __future__ import annotations

from collections.abc import Iterator

from cdc.capture.artificial import is_checksummed, repeated, rotate
from cdc.capture.decisions import place_order
from cdc.capture.live_catalogue import Kept
from cdc.errors import SourceError
from cdc.spool.segment import Mark, Segment, SegmentDamaged, events_of, marks_of
from cdc.spool.store import Spool


class SpoolAhead:
    """Implements `live_catalogue.KeptEvents`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def behind(self, server: str, file: str, pos: int) -> Kept | None:
        """What the spool holds from the place of that server on; None if it isn't in it."""
        begin = place_order(file, pos)
        segments = [one for one in self._spool.segments if one.start.checkpoint.server == server]
        segments = [one for one in segments if _order(one.end) > begin]
        if not segments or _order(segments[0].start) > begin:
            return None
        at, mark = _last_mark(segments[0], begin)
        end = segments[-1].end.checkpoint
        size = sum(one.end_at for one in segments) - at
        place = mark.checkpoint.file, mark.checkpoint.pos
        return Kept(_events(segments, at, mark), place, (end.file, end.pos), size)


def _order(mark: Mark) -> tuple[int, int]:
    return place_order(mark.checkpoint.file, mark.checkpoint.pos)


def _last_mark(segment: Segment, begin: tuple[int, int]) -> tuple[int, Mark]:
    """The last mark that isn't behind the place, and where it ends in the file."""
    found: tuple[int, Mark] | None = None
    for at, mark in marks_of(segment):
        if found is not None and _order(mark) > begin:
            break
        found = at, mark
    assert found is not None, "a segment begins with a mark"
    return found


def _events(segments: list[Segment], at: int, mark: Mark) -> Iterator[bytes]:
    is_sealed = False
    for segment in segments:
        if segment is not segments[0]:
            at, mark = next(marks_of(segment))
        place = mark.checkpoint
        yield rotate(place.file, place.pos, is_sealed) + repeated(mark.description)
        try:
            for _, events in events_of(segment, at):
                yield events
        except SegmentDamaged as error:
            raise SourceError(f"looking ahead: {error}") from error
        is_sealed = is_checksummed(segment.end.description)
