"""What a binlog source yields."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from cdc.capture.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Whole binlog events back to back, each as in a binlog file: header, body, checksum."""

    events: bytes
    start: Checkpoint | None = None
    """Set on the first batch of a reading: where the events begin."""
    outer: bytes = b""
    """Header of the event that these ones come out of: all of them stand at its place. Empty for
    events as they were read."""
    is_sealed: bool = False
    """Of events that waited: whether they have checksums."""
    prepares: str = ""
    """Name of the XA transaction whose events these are, and whose XA PREPARE comes next: to be
    kept, not published."""
    is_kept: bool = False
    """With `outer`: these are no events but `prepared_rows`."""


def with_rests(batches: Iterator[EventBatch], decoder: Any) -> Generator[EventBatch]:
    """The batches, each followed by what the decoder has left of it."""
    for batch in batches:
        yield batch
        while decoder.rest is not None:
            yield decoder.rest
