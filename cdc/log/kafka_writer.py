"""The transactional producer: records, checkpoint and group offsets in one Kafka transaction."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from cdc.errors import CdcError, LogError, Unreachable
from cdc.log.kafka_checkpoint import last_checkpoint
from cdc.log.kafka_client import Faults, Options, Servers, reason
from cdc.log.kafka_reader import KafkaReader
from cdc.log.kafka_topics import CHECKPOINT_SUFFIX, KafkaTopics
from cdc.model import Record, TopicSpec
from cdc.ports import LogReader

QUEUE_RECORDS_MAX = 100_000
QUEUE_KBYTES_MAX = 32 * 1024
ROOM_POLL_SECONDS = 0.02
ABORT_SECONDS = 5.0
OFFSETS_SECONDS_MAX = 10.0
"""How long Kafka may take to note a group's offsets in a transaction."""
STABLE_SECONDS = 30.0
CHECKPOINT_SEGMENT_BYTES = 16 * 1024 * 1024

_DEFAULTS: Options = {
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
    "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
}
# Closing after a commit whose outcome isn't known; the error of that commit says it already.
warnings.filterwarnings("ignore", "Producer abort_transaction failed", RuntimeWarning)

_LOST_PARTITIONS = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,
}


class _Partitions(dict[str, int]):
    """Topic → number of partitions when the topic was first written to.

    It stays: another count in mid-stream would break the order of keys (invariant 3)."""

    def __init__(self, topics: KafkaTopics) -> None:
        super().__init__()
        self._topics = topics

    def __missing__(self, topic: str) -> int:
        count = self[topic] = self._topics.partitions(topic)
        return count


class KafkaWriter:
    """The one writer of its name; `transactional.id` is the name."""

    def __init__(
        self,
        servers: Servers,
        topics: KafkaTopics,
        name: str,
        *,
        replication: int,
        stable_seconds: float = STABLE_SECONDS,
    ) -> None:
        self._servers = servers
        self._topics = topics
        self._name = name
        self._stable_seconds = stable_seconds
        self._checkpoints = TopicSpec(
            name + CHECKPOINT_SUFFIX, 1, replication, retention_ms=None, compacted=True
        )
        self._has_checkpoints = False
        self._key = name.encode()
        self._partitions = _Partitions(topics)
        self._is_usable = True
        self._is_hanging = False
        self._faults = Faults()
        self._producer = servers.client(
            Producer,
            _DEFAULTS,
            {
                "transactional.id": name,
                "enable.idempotence": True,
                # The transaction tells what became of its records; none reports on its own.
                "delivery.report.only.error": True,
            },
            self._faults,
        )
        try:
            # Fences the earlier writer of this name and settles what it left open.
            self._producer.init_transactions(servers.timeout_seconds)
        except KafkaException as error:
            self._faults.hear(self._producer)
            raise servers.failure(f"opening writer {name}", reason(error), self._faults) from error

    def last_checkpoint(self) -> bytes | None:
        self._ensure_checkpoints()
        return last_checkpoint(
            self._servers,
            self._topics,
            self._checkpoints.name,
            stable_seconds=self._stable_seconds,
        )

    def write(
        self,
        records: Sequence[Record],
        *,
        checkpoint: bytes | None = None,
        reader: LogReader | None = None,
    ) -> None:
        doing = f"writing {len(records)} records as {self._name}"
        if not self._is_usable:
            raise Unreachable(
                f"{doing}: an earlier write failed and its outcome isn't known",
                hint="open a new writer of this name; it settles the old transaction",
            )
        if checkpoint is not None:
            self._ensure_checkpoints()
        try:
            # Invariant 1: records, checkpoint and the group's offsets in one transaction.
            self._producer.begin_transaction()
            self._produce(records)
            if checkpoint is not None:
                self._produce([Record(self._checkpoints.name, 0, self._key, checkpoint)])
            if reader is not None:
                self._send_offsets(reader)
            self._commit()
        except KafkaException as error:
            self._abort()
            self._faults.hear(self._producer)
            raise self._failure(doing, reason(error), records) from error
        except BaseException:
            if self._is_hanging:
                self._is_usable = False
                raise
            # An abort that overtakes the client's own requests leaves it unusable (librdkafka
            # 2.16: EndTxn while AddPartitionsToTxn waits to be sent again).
            self._producer.flush(ABORT_SECONDS)
            self._abort()
            raise

    def close(self) -> None:
        self._is_usable = False
        if self._is_hanging:
            return  # closing would hang as well; the next writer of this name fences it
        self._producer.purge()
        self._producer.close()

    def _ensure_checkpoints(self) -> None:
        if not self._has_checkpoints:
            settings = {"segment.bytes": CHECKPOINT_SEGMENT_BYTES}
            self._topics.create([self._checkpoints], settings)
            self._has_checkpoints = True

    def _produce(self, records: Sequence[Record]) -> None:
        """Hand every record to the client; the hot path."""
        produce = self._producer.produce
        partitions = self._partitions
        for topic, place, key, value, headers in records:
            partition = place % partitions[topic]
            names: Any = list(headers) if headers else None
            try:
                # topic, value, key, partition, callback, on_delivery, timestamp, headers;
                # given by name they would cost a third more
                produce(topic, value, key, partition, None, None, 0, names)
            except BufferError:
                self._wait_for_room()
                produce(topic, value, key, partition, None, None, 0, names)

    def _wait_for_room(self) -> None:
        """Wait until half of the client's queue is sent, so that waiting stays rare."""
        deadline = time.monotonic() + self._servers.timeout_seconds
        waiting = len(self._producer)
        while len(self._producer) > waiting // 2:
            self._producer.poll(ROOM_POLL_SECONDS)
            if time.monotonic() > deadline:
                last = self._faults.last
                raise Unreachable(
                    f"writing as {self._name}: the broker took nothing for"
                    f" {self._servers.timeout_seconds:g} s, {waiting} records wait"
                    + (f"; last: {last.str()}" if last else ""),
                    hint=f"is Kafka at {self._servers.bootstrap_servers} up and reachable?",
                )

    def _send_offsets(self, reader: LogReader) -> None:
        assert isinstance(reader, KafkaReader)
        offsets = [TopicPartition(t, p, offset) for (t, p), offset in reader.offsets().items()]
        if not offsets:
            return
        group, seconds = reader.group_metadata(), OFFSETS_SECONDS_MAX

        def send() -> None:
            self._producer.send_offsets_to_transaction(offsets, group, seconds)

        # librdkafka (issues 5456, 5511) may wait for ever here when the group's coordinator went
        # away and came back, whatever its timeout says.
        if not _ends_within(seconds + ABORT_SECONDS, send):
            self._is_hanging = True
            raise Unreachable(
                f"writing as {self._name}: the group's offsets were not taken within"
                f" {seconds + ABORT_SECONDS:g} s; nothing was written",
                hint="open a new writer of this name; it settles the old transaction",
            )

    def _commit(self) -> None:
        deadline = time.monotonic() + self._servers.timeout_seconds
        while True:
            try:
                return self._producer.commit_transaction(max(0.1, deadline - time.monotonic()))
            except KafkaException as error:
                if not reason(error).retriable() or time.monotonic() > deadline:
                    raise
                self._producer.poll(ROOM_POLL_SECONDS)

    def _abort(self) -> None:
        """Abort if Kafka lets us; else only a new writer can settle the transaction."""
        try:
            self._producer.abort_transaction(ABORT_SECONDS)
        except KafkaException:
            self._is_usable = False

    def _failure(self, doing: str, error: KafkaError, records: Sequence[Record]) -> CdcError:
        if error.code() in _LOST_PARTITIONS:
            return Unreachable(
                f"{doing}: the reader's partitions went to another member of its group;"
                f" nothing was written ({error.name()})",
                hint="open a new reader; if it comes often, write smaller batches",
            )
        failure = self._servers.failure(doing, error, self._faults)
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
            largest = max(records, key=lambda record: len(record.value or b""))
            size = len(largest.value or b"") + len(largest.key or b"")
            return LogError(
                f"{failure.message}; the largest record is of {size} bytes, for {largest.topic}",
                hint=failure.hint,
            )
        return failure


def _ends_within(seconds: float, call: Callable[[], None]) -> bool:
    """Whether the call ended in time; raises what it raised. It is left alone if it didn't."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as failure:  # noqa: BLE001  # raised again by who waits
            failures.append(failure)

    thread = Thread(target=run, name="offsets", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return False
    if failures:
        raise failures[0]
    return True
