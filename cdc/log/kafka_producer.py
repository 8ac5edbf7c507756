"""A producer of the client library: hands records over, waits where its queue is full."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from cdc.errors import CdcError, LogError, Unreachable
from cdc.log.kafka_client import Faults, Options, Servers, reason
from cdc.log.kafka_topics import KafkaTopics
from cdc.model import Record
from cdc.records import Joined, RecordBlock

try:
    from cdc.log import handover
except ImportError:  # the plain form
    handover = None  # type: ignore[assignment]

QUEUE_RECORDS_MAX = 100_000
QUEUE_KBYTES_MAX = 32 * 1024
ROOM_POLL_SECONDS = 0.02
TOPIC_LOST = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}

_DEFAULTS: Options = {
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
    "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
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

    def changes(self) -> list[str]:
        """What of the topics isn't as it was, in words; nothing where the broker doesn't say."""
        try:
            there = self._topics.all()
        except CdcError:
            return []
        found = {name: len(there[name].partitions) if name in there else 0 for name in self}
        return [
            f"topic {name} had {count} partitions and has {found[name] or 'none'}"
            for name, count in self.items()
            if found[name] != count
        ]


class KafkaProducer:
    """What writers of Kafka have in common."""

    def __init__(self, servers: Servers, topics: KafkaTopics, name: str, fixed: Options) -> None:
        self.servers = servers
        self.name = name
        self.faults = Faults()
        client = servers.bare_client(Producer, _DEFAULTS, fixed, self.faults)
        self.client: Any = servers.seam(client)
        self._partitions = _Partitions(topics)
        # Without reports only: the fast lane asks for none.
        is_fast = (
            bool(fixed.get("transactional.id")) and handover is not None and handover.is_possible()
        )
        self._handover: Any = servers.seam(handover.Handover(client)) if is_fast else None

    @property
    def is_fast(self) -> bool:
        """True where blocks of records are handed over without an object per record."""
        return self._handover is not None

    def produce(self, records: Sequence[Record], on_delivery: Any = None) -> None:
        """Hand every record to the client; the hot path."""
        if isinstance(records, Joined):
            for part in records.parts:
                self.produce(part, on_delivery)
            return None
        if self._handover is not None and isinstance(records, RecordBlock):
            return self._produce_block(records)
        produce = self.client.produce
        partitions = self._partitions
        for topic, place, key, value, headers in records:
            partition = place % partitions[topic]
            names: Any = list(headers) if headers else None
            try:
                # topic, value, key, partition, callback, on_delivery, timestamp, headers;
                # given by name they would cost a third more
                produce(topic, value, key, partition, on_delivery, None, 0, names)
            except BufferError:
                self._wait_for_room()
                produce(topic, value, key, partition, on_delivery, None, 0, names)
        return None

    def _produce_block(self, block: RecordBlock) -> None:
        """The same for a block, without a Python object per record."""
        assert self._handover is not None
        done = 0
        while done < len(block):
            done, code = self._handover.produce(block, self._partitions, done)
            if code == handover.QUEUE_FULL:
                self._wait_for_room()
            elif code:
                raise KafkaException(KafkaError(code))

    def _wait_for_room(self) -> None:
        """Wait until half of the client's queue is sent, so that waiting stays rare."""
        deadline = time.monotonic() + self.servers.timeout_seconds
        waiting = len(self.client)
        while len(self.client) > waiting // 2:
            self.client.poll(ROOM_POLL_SECONDS)
            if time.monotonic() > deadline:
                raise self.silence(waiting)

    def silence(self, waiting: int) -> Unreachable:
        """The error for records that the broker doesn't take."""
        last = self.faults.last
        return Unreachable(
            f"writing as {self.name}: the broker took nothing for"
            f" {self.servers.timeout_seconds:g} s, {waiting} records wait"
            + (f"; last: {last.str()}" if last else ""),
            hint=f"is Kafka at {self.servers.bootstrap_servers} up and reachable?",
        )

    def failure(self, doing: str, error: KafkaError, records: Sequence[Record]) -> CdcError:
        """The error for what Kafka answered, with the largest record where size is the matter."""
        if error.code() in TOPIC_LOST and (changes := self._partitions.changes()):
            doing = f"{doing}: {', '.join(changes)}"
        failure = self.servers.failure(doing, error, self.faults)
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
            largest = max(records, key=lambda record: len(record.value or b""))
            size = len(largest.value or b"") + len(largest.key or b"")
            return LogError(
                f"{failure.message}; the largest record is of {size} bytes, for {largest.topic}",
                hint=failure.hint,
            )
        return failure

    def raised(self, doing: str, error: KafkaException, records: Sequence[Record]) -> CdcError:
        """`failure`, after hearing what the client's threads have to say."""
        self.faults.hear(self.client)
        return self.failure(doing, reason(error), records)

    def close(self) -> None:
        """Drop what was not sent."""
        if self._handover is not None:
            self._handover.close()
        self.client.purge()
        # A fatal error is said again by whatever is called last; who met it first has told it.
        with suppress(KafkaException):
            self.client.close()
