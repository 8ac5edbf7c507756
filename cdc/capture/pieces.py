"""A stream of bytes that are binlog events, cut where events end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cdc.capture.framing import whole_events_end

READ_BYTES_MAX = 16 << 20
"""Read at once: memory grows by what is there, never by what an event claims."""

Read = Callable[[int], bytes]
"""Up to so many bytes; none at the end."""


class EndsInside(Exception):
    """The stream ends before an event does."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at
        """Where the event begins, counted from the stream's begin."""


def pieces(
    read: Read, bytes_max: int, allow: Callable[[int, int], None]
) -> Iterator[tuple[int, bytes]]:
    """Whole events in bounded pieces, each with its place; a larger event is one of its own.

    `allow` gets place and size of an event that is larger than a piece and may refuse it.
    Raises EndsInside."""
    at, rest, wanted = 0, b"", bytes_max
    while data := _read_all(read, max(wanted - len(rest), 1)):
        rest += data
        end = whole_events_end(rest, wanted)
        if end > 0:
            yield at, rest[:end]
            at, rest, wanted = at + end, rest[end:], bytes_max
        elif end < 0:
            allow(at, -end)
            wanted = max(-end, bytes_max)
    if rest:
        raise EndsInside(at)


def _read_all(read: Read, size: int) -> bytes:
    parts = []
    while size > 0 and (part := read(min(size, READ_BYTES_MAX))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
