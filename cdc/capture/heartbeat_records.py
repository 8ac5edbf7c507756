"""Records of the heartbeat topic: the connector is alive, though nothing may change."""

from __future__ import annotations

from typing import Any

from cdc.capture.avro_out import Out, avro_string
from cdc.capture.block_writer import BlockWriter


class HeartbeatRecords:
    """One in every interval, in partition 0; the first an interval after the start."""

    def __init__(self, binder: Any, interval_ms: int, block: BlockWriter) -> None:
        """`interval_ms` 0: none."""
        self._binder, self._block = binder, block
        self._interval_nanos = interval_ms * 1_000_000
        self._next = 0

    def at(self, now_nanos: int) -> None:
        """Add one if it is time."""
        if not self._interval_nanos or now_nanos < self._next:
            return
        if self._next:
            self._add(now_nanos)
        self._next = now_nanos + self._interval_nanos

    def _add(self, now_nanos: int) -> None:
        key_frame, value_frame = self._binder.heartbeat_frames()
        out = Out(64)
        out.put(now_nanos // 1_000_000)
        key = key_frame + avro_string(self._binder.connector)
        self._block.add(self._binder.heartbeat_topic, 0, key, value_frame + out.value())
