"""The last committed checkpoint of a writer's own one-partition topic."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from cdc.errors import LogError, Unreachable
from cdc.log.kafka_client import Faults, Servers, reason
from cdc.log.kafka_topics import CHECKPOINT_SUFFIX, KafkaTopics
from cdc.model import Record, TopicSpec

STABLE_SECONDS = 30.0
CHECKPOINT_SEGMENT_BYTES = 16 * 1024 * 1024
STABLE_POLL_SECONDS = 0.1
FIRST_STEP_OFFSETS = 64
"""How far before the end reading begins; it doubles until a checkpoint is found."""


class Checkpoints:
    """A writer's own compacted topic of checkpoints; made when it is first needed."""

    def __init__(
        self,
        servers: Servers,
        topics: KafkaTopics,
        name: str,
        *,
        replication: int,
        stable_seconds: float = STABLE_SECONDS,
    ) -> None:
        self._servers, self._topics = servers, topics
        self._key = name.encode()
        self._spec = TopicSpec(
            name + CHECKPOINT_SUFFIX, 1, replication, retention_ms=None, compacted=True
        )
        self._stable_seconds = stable_seconds
        self._is_there = False

    def ensure(self) -> None:
        """Make the topic if it isn't there."""
        if not self._is_there:
            settings = {"segment.bytes": CHECKPOINT_SEGMENT_BYTES}
            self._topics.create([self._spec], settings)
            self._is_there = True

    def last(self) -> bytes | None:
        """The last committed one."""
        self.ensure()
        return last_checkpoint(
            self._servers, self._topics, self._spec.name, stable_seconds=self._stable_seconds
        )

    def record(self, checkpoint: bytes) -> Record:
        """The checkpoint as it is written."""
        return Record(self._spec.name, 0, self._key, checkpoint)


def last_checkpoint(
    servers: Servers, topics: KafkaTopics, topic: str, *, stable_seconds: float
) -> bytes | None:
    """The last committed checkpoint; None where there never was one.

    To be called when the writer's own last transaction is settled (`init_transactions`)."""
    first, end = _settled_range(topics, topic, stable_seconds)
    step = FIRST_STEP_OFFSETS
    while True:
        start = max(first, end - step)
        found = _last_between(servers, topic, start, end)
        if found is not None or start == first:
            return found
        step *= 2


def _settled_range(topics: KafkaTopics, topic: str, stable_seconds: float) -> tuple[int, int]:
    """First offset and high watermark, once no transaction is open below it.

    A stable offset that another's transaction holds down would show an old checkpoint."""
    place = (topic, 0)
    first = topics.offsets([place], first=True)[place]
    high = topics.offsets([place], committed_only=False)[place]
    deadline = time.monotonic() + stable_seconds
    while (stable := topics.offsets([place])[place]) < high:
        if time.monotonic() > deadline:
            raise LogError(
                f"reading the last checkpoint: a transaction hangs in topic {topic} at offset"
                f" {stable}, {high - stable} before its end, for more than {stable_seconds:g} s",
                hint="another producer writes to it, which only this connector may, or a broker"
                " that crashed lost the transaction's end: look with `kafka-transactions.sh"
                " find-hanging`, abort it in all its partitions, start again",
            )
        time.sleep(STABLE_POLL_SECONDS)
    return first, high


def _last_between(servers: Servers, topic: str, start: int, end: int) -> bytes | None:
    """The last committed value from `start` up to `end`."""
    if start >= end:
        return None
    faults = Faults()
    consumer = servers.client(
        Consumer,
        {},
        {
            "group.id": topic,  # needed to be given; without a subscription no group is joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        },
        faults,
    )
    doing = f"reading the last checkpoint from topic {topic}"
    found: bytes | None = None
    deadline = time.monotonic() + servers.timeout_seconds
    try:
        consumer.assign([TopicPartition(topic, 0, start)])
        while True:
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise Unreachable(
                    f"{doing}: no answer within {servers.timeout_seconds:g} s"
                    + (f"; last: {faults.last.str()}" if faults.last else "")
                )
            error = message.error()
            if error is None:
                found = message.value()
            elif error.code() != KafkaError._PARTITION_EOF:
                raise servers.failure(doing, error, faults)
            offset = message.offset()
            # A marker at the very end has no message: only the end of the partition tells.
            if error is not None or (offset is not None and offset + 1 >= end):
                return found
    except KafkaException as error:
        raise servers.failure(doing, reason(error), faults) from error
    finally:
        consumer.close()
