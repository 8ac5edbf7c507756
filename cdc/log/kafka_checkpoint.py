"""The last committed checkpoint of a writer's own one-partition topic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cdc.errors import LogError, Unreachable
from cdc.log.kafka_client import Faults, Servers, reason
from cdc.log.kafka_reader import END_WAIT_MS
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
    first, end = _settled_range(servers, topics, topic, stable_seconds)
    step = FIRST_STEP_OFFSETS
    while True:
        start = max(first, end - step)
        found = _last_between(servers, topic, start, end)
        if found is not None or start == first:
            return found
        step *= 2


def _settled_range(
    servers: Servers, topics: KafkaTopics, topic: str, stable_seconds: float
) -> tuple[int, int]:
    """First offset and high watermark, once no transaction is open below it.

    A stable offset that another's transaction holds down would show an old checkpoint."""
    place = (topic, 0)
    first = topics.offsets([place], first=True)[place]
    high = topics.offsets([place], committed_only=False)[place]
    deadline = time.monotonic() + stable_seconds
    while (stable := topics.offsets([place])[place]) < high:
        if time.monotonic() > deadline:
            raise _hanging(servers, topic, stable, stable_seconds)
        time.sleep(STABLE_POLL_SECONDS)
    return first, high


def _hanging(servers: Servers, topic: str, offset: int, stable_seconds: float) -> LogError:
    """The transaction that begins there, by what its first record tells."""
    tool = f"`kafka-transactions.sh --bootstrap-server {servers.bootstrap_servers}"
    partition = f"--topic {topic} --partition 0"
    name = topic.removesuffix(CHECKPOINT_SUFFIX)
    return LogError(
        f"reading the last checkpoint: a transaction hangs in topic {topic}: it begins at offset"
        f" {offset}{_first_record(servers, topic, offset)}, and didn't end within"
        f" {stable_seconds:g} s",
        hint=f"{tool} describe-producers {partition}` gives the producer whose transaction begins"
        f" there, {tool} list` its transactional id. If that is another than {name}, stop it: only"
        f" this connector may write to the topic. If it is {name}, or none, a broker that went away"
        f" lost the transaction's end: {tool} abort {partition} --start-offset {offset}`, and the"
        f" same at every other place that {tool} find-hanging --broker-id ID"
        " --max-transaction-timeout 0` lists, for each broker; then start again",
    )


def _first_record(servers: Servers, topic: str, offset: int) -> str:
    doing = f"reading what hangs in topic {topic}"
    with _records(servers, topic, offset, "read_uncommitted", doing) as records:
        for message in records:
            if message.error() is not None:
                break
            _, millis = message.timestamp()
            at = datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds")
            return f" with a record of key {message.key()!r:.100}, written at {at}"
    return ""


def _last_between(servers: Servers, topic: str, start: int, end: int) -> bytes | None:
    """The last committed value from `start` up to `end`."""
    if start >= end:
        return None
    found: bytes | None = None
    doing = f"reading the last checkpoint from topic {topic}"
    with _records(servers, topic, start, "read_committed", doing) as records:
        for message in records:
            error = message.error()
            if error is None:
                found = message.value()
            offset = message.offset()
            # A marker at the very end has no message: only the end of the partition tells.
            if error is not None or (offset is not None and offset + 1 >= end):
                break
    return found


@contextmanager
def _records(
    servers: Servers, topic: str, start: int, isolation: str, doing: str
) -> Iterator[Iterator[Message]]:
    """The topic's messages from an offset on; one with an error tells its end."""
    faults = Faults()
    consumer = servers.client(
        Consumer,
        {},
        {
            "group.id": topic,  # needed to be given; without a subscription no group is joined
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": END_WAIT_MS,
        },
        faults,
    )
    deadline = time.monotonic() + servers.timeout_seconds

    def messages() -> Iterator[Message]:
        while True:
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise Unreachable(
                    f"{doing}: no answer within {servers.timeout_seconds:g} s"
                    + (f"; last: {faults.last.str()}" if faults.last else "")
                )
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise servers.failure(doing, error, faults)
            yield message

    try:
        consumer.assign([TopicPartition(topic, 0, start)])
        yield messages()
    except KafkaException as error:
        raise servers.failure(doing, reason(error), faults) from error
    finally:
        consumer.close()
