"""The seams: what a source, a sink, a log, a registry and a view store promise.

Each port has at least two implementations and one contract test suite in `tests/contract`.
Every call that waits is bounded by the adapter's own named limits, and raises
`errors.Unreachable` when trying again later may help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from cdc.model import Message, Offsets, Output, Record, TopicDifference, TopicSpec

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
R = TypeVar("R")

Seam = Callable[[Any], Any]
"""What every connection to the outside (server, broker, registry, file) passes through when it is
made: itself, but for tests that count its calls, or crash at one (`cdc.testing.Crash`)."""


def untouched(connection: Any) -> Any:
    """The seam of every run but such tests."""
    return connection


class Source(Protocol[B_co, C_contra]):
    """Batches in order, from a checkpoint on."""

    def read(self, after: C_contra | None) -> Iterator[B_co]:
        """Yield batches from just after `after`; return when told to stop or at the end."""
        ...

    def close(self) -> None: ...


class Step(Protocol[B_contra, R, C]):
    """Maps a batch to results; state, if any, is a function of the batches seen."""

    def __call__(self, batch: B_contra) -> Output[R, C]: ...


class Sink(Protocol[R, C]):
    """Keeps results and checkpoint together."""

    def last_checkpoint(self) -> C | None:
        """The last committed checkpoint; None at a first start."""
        ...

    def write(self, output: Output[R, C]) -> None:
        """Write results and checkpoint, both or neither (invariant 1)."""
        ...

    def close(self) -> None: ...


class LogReader(Protocol):
    """A member of a consumer group; sees committed records only."""

    def start(self, after: Offsets | None) -> None:
        """Begin reading: at `after` where it names a partition, else at the group's committed
        offsets, else at the earliest record."""
        ...

    def poll(self, records_max: int, wait_seconds: float) -> Sequence[Message]:
        """Up to `records_max` messages, in order per partition; empty after `wait_seconds`.

        Returns as soon as there is at least one. Partitions come and go only inside this call."""
        ...

    def offsets(self) -> Offsets:
        """The next offset of every partition that the last polls returned messages of."""
        ...

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Committed records that are still to be read, by partition held."""
        ...

    def close(self) -> None: ...


class LogWriter(Protocol):
    """The one writer of its name: a newer one of the same name fences it."""

    def last_checkpoint(self) -> bytes | None:
        """The last committed checkpoint of this name."""
        ...

    def write(
        self,
        records: Sequence[Record],
        *,
        checkpoint: bytes | None = None,
        reader: LogReader | None = None,
    ) -> None:
        """Write records, the checkpoint and the reader's group offsets in one transaction.

        Raises `errors.Fenced` when a newer writer of this name exists, `errors.Unreachable`
        when nothing was written and trying again from the last checkpoint may help."""
        ...

    def close(self) -> None: ...


class Log(Protocol):
    """Topics with partitions; Kafka or embedded."""

    def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[TopicDifference]:
        """Create what is missing; report existing topics that differ from their spec."""
        ...

    def topics(self) -> Mapping[str, int]:
        """Name → number of partitions, internal topics left out."""
        ...

    def end_offsets(self, topic: str) -> Offsets:
        """The offset after the last committed record of each partition."""
        ...

    def record_bytes_max(self, topic: str) -> int:
        """What a record of this topic may have at most, before compression; 0: no bound."""
        ...

    def writer(self, name: str) -> LogWriter:
        """A transactional writer; opening it fences the earlier one of that name."""
        ...

    def acknowledged_writer(self, name: str) -> LogWriter:
        """A writer of records and checkpoint, no group offsets; it may do without a transaction:
        a crash then repeats what was written since the last checkpoint."""
        ...

    def reader(self, topics: Sequence[str], group: str, *, is_sole: bool = False) -> LogReader:
        """A reader in a consumer group.

        One that is the group's sole member takes the place of its predecessor at once, where the
        log would wait to see whether that one is dead; if it lives, it is fenced."""
        ...

    def follow(
        self, topic: str, start: Offsets, *, wait_seconds: float, is_whole: bool = False
    ) -> Iterator[Message]:
        """Committed messages of all partitions from `start` (else earliest), outside any group.

        Ends when nothing new came for `wait_seconds`. `is_whole`: raises `errors.Unreachable` where
        an open transaction hides what may have been committed behind its begin."""
        ...

    def close(self) -> None: ...


class Registry(Protocol):
    """Schemas by id and subject; Confluent's HTTP API or embedded."""

    def register(self, subject: str, schema: Mapping[str, Any] | Sequence[Any] | str) -> int:
        """The id of the schema (a JSON value) under this subject; registers it if new.

        The same schema gets the same id."""
        ...

    def schema(self, schema_id: int) -> Any:
        """The JSON value of the schema with this id; `errors.RegistryError` if unknown."""
        ...

    def subjects(self) -> Sequence[str]: ...

    def versions(self, subject: str) -> Sequence[int]:
        """Schema ids registered under the subject, oldest first; empty if unknown."""
        ...

    def close(self) -> None: ...
