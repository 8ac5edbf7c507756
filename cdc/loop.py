"""The only loop: read after the last checkpoint, map, write result and checkpoint together."""

from __future__ import annotations

from cdc.ports import B, C, R, Sink, Source, Step


def run(source: Source[B, C], step: Step[B, R, C], sink: Sink[R, C]) -> None:
    """Move everything from source to sink until the source ends.

    Invariant 1: the sink writes results and checkpoint together, or not at all. A failure of
    any part leaves through here, and the next call goes on after the last checkpoint."""
    for batch in source.read(sink.last_checkpoint()):
        sink.write(step(batch))
