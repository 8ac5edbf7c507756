"""What flows between the stages: records to be written, messages that were read, offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Headers = Sequence[tuple[str, bytes]]
"""Names and values in order; a name may come twice."""

Offsets = Mapping[tuple[str, int], int]
"""(topic, partition) → the next offset to read."""

REVISION_HEADER = "cdc_revision"
"""8 bytes, big-endian: 7 bits of epoch, 48 of sequence, 8 of output ordinal (`Revision`)."""

ID_HEADER = "cdc_id"
"""ASCII: connector/transaction/row ordinal; the change's place in the source."""


class Record(NamedTuple):
    """One record to be written to the log."""

    topic: str
    place: int
    """Non-negative hash of the key's bare Avro body; the log writes to `place % partitions`."""
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    headers: Headers = ()


class Message(NamedTuple):
    """One record as it was read from the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Output(Generic[R, C]):
    """What a step makes of a batch: results and the checkpoint that stands after them."""

    records: Sequence[R]
    checkpoint: C
    batches: int = 1
    """How many were put together."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is to be created; an existing one that differs is reported, not changed."""

    name: str
    partitions: int = 1
    replication: int = 1
    retention_ms: int | None = None
    """None: the broker's default; -1: for ever."""
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """An existing topic's setting that isn't what the configuration asks for."""

    topic: str
    setting: str
    wanted: str
    found: str


EPOCH_BITS, SEQUENCE_BITS, ORDINAL_BITS = 7, 48, 8


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """Strictly increasing number of a connector's changes; comparable as tuple and as bytes."""

    epoch: int
    sequence: int
    ordinal: int = 0

    def to_bytes(self) -> bytes:
        """8 bytes, big-endian; equal order as numbers."""
        number = (self.epoch << SEQUENCE_BITS | self.sequence) << ORDINAL_BITS | self.ordinal
        return number.to_bytes(8, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Revision:
        number = int.from_bytes(data, "big")
        ordinal = number & (1 << ORDINAL_BITS) - 1
        sequence = number >> ORDINAL_BITS & (1 << SEQUENCE_BITS) - 1
        return cls(number >> ORDINAL_BITS + SEQUENCE_BITS, sequence, ordinal)
