"""A log as the sink of a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from cdc.model import Offsets, Output, Record
from cdc.ports import LogReader, LogWriter

C = TypeVar("C")


class TopicSink:
    """Records from log to log: the reader's group offsets are the checkpoint."""

    def __init__(self, writer: LogWriter, reader: LogReader | None = None) -> None:
        self._writer = writer
        self._reader = reader

    def last_checkpoint(self) -> Offsets | None:
        return None  # the reader begins at its group's committed offsets by itself

    def write(self, output: Output[Record, Offsets]) -> None:
        # Invariant 1: the offsets go into the records' transaction, also when there are none.
        self._writer.write(output.records, reader=self._reader)

    def close(self) -> None:
        self._writer.close()


class CheckpointSink(Generic[C]):
    """Records and a checkpoint of the source, written as bytes."""

    def __init__(
        self, writer: LogWriter, encode: Callable[[C], bytes], decode: Callable[[bytes], C]
    ) -> None:
        self._writer = writer
        self._encode = encode
        self._decode = decode

    def last_checkpoint(self) -> C | None:
        found = self._writer.last_checkpoint()
        return None if found is None else self._decode(found)

    def write(self, output: Output[Record, C]) -> None:
        # Invariant 1
        self._writer.write(output.records, checkpoint=self._encode(output.checkpoint))

    def close(self) -> None:
        self._writer.close()
