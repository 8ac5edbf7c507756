"""A member of a Kafka consumer group, and reading outside any group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from cdc.errors import CdcError, LogError, Unreachable
from cdc.log.kafka_client import Faults, Options, Servers, reason
from cdc.log.kafka_topics import KafkaTopics
from cdc.model import Message, Offsets

# A reader's memory is what it has fetched, several times over (decompressed, as messages, as
# Python's objects): these keep it near 100 MB at full speed; the client's own take 250 MB.
FETCHED_KBYTES_MAX = 8 * 1024
FETCHED_RECORDS_WANTED = 20_000
PARTITION_FETCH_BYTES_MAX = 256 * 1024
FOLLOW_RECORDS_MAX = 2_000
FOLLOW_POLL_SECONDS = 0.1
END_WAIT_MS = 10
"""How long the broker may hold an answer back from who reads up to an end: what lies there is often
a transaction's marker, and only an answer without records says that nothing follows it."""

_DEFAULTS: Options = {
    "queued.max.messages.kbytes": FETCHED_KBYTES_MAX,
    "queued.min.messages": FETCHED_RECORDS_WANTED,
    "fetch.message.max.bytes": PARTITION_FETCH_BYTES_MAX,
    "fetch.queue.backoff.ms": 20,  # the client's 1000 stalls a reader whose queue was full
    "fetch.wait.max.ms": 100,
    "session.timeout.ms": 10_000,  # a killed member's partitions move on after this
    "topic.metadata.refresh.interval.ms": 5_000,  # how soon a topic that comes later is seen
}
_FIXED: Options = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    # A gap by retention is an error to be told, never a jump (invariant 2).
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
}
_NOT_YET = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}


class KafkaReader:
    """Reads topics as a member of a group; cooperative, so others keep what they have."""

    def __init__(
        self,
        servers: Servers,
        topics: KafkaTopics,
        names: Sequence[str],
        group: str,
        *,
        is_sole: bool = False,
    ) -> None:
        self._servers = servers
        self._topics = topics
        self._names = list(names)
        self._group = group
        self._faults = Faults()
        self._after: Offsets = {}
        self._held: dict[tuple[str, int], int] = {}
        """Partition → the next offset, OFFSET_BEGINNING while it isn't known."""
        self._had: set[tuple[str, int]] = set()
        self._polled: dict[tuple[str, int], int] = {}
        self._has_moved = False
        self._member = ""
        self._is_closing = False
        self._consumer = servers.client(
            Consumer,
            _DEFAULTS,
            {
                **_FIXED,
                "group.id": group,
                "partition.assignment.strategy": "cooperative-sticky",
                # Who comes back by the same name has its partitions again at once; else they
                # are kept for a killed member until its session ends.
                **({"group.instance.id": group} if is_sole else {}),
            },
            self._faults,
        )

    def start(self, after: Offsets | None) -> None:
        self._after = dict(after or {})
        self._topics.all()  # a broker that isn't there is told now, not by silence
        self._consumer.subscribe(
            self._names,
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def poll(self, records_max: int, wait_seconds: float) -> Sequence[Message]:
        deadline = time.monotonic() + wait_seconds
        while True:
            self._has_moved = False
            try:
                first = self._consumer.poll(max(0.0, deadline - time.monotonic()))
                batch = [first] if first is not None else []
                if first is not None and records_max > 1:
                    batch += self._consumer.consume(records_max - 1, 0)
            except KafkaException as error:
                raise self._servers.failure(
                    f"reading as {self._group}", reason(error), self._faults
                ) from error
            messages = self._messages(batch)
            if messages or time.monotonic() >= deadline:
                self._member = self._consumer.memberid() or ""
                return messages

    def offsets(self) -> Offsets:
        return dict(self._polled)

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Transaction markers count while a partition isn't read to its end."""
        held = dict(self._held)
        unknown = [place for place, offset in held.items() if offset < 0]
        held.update(self._topics.offsets(unknown, first=True))
        ends = self._topics.offsets(held)
        return {place: max(0, ends[place] - offset) for place, offset in held.items()}

    def group_metadata(self) -> Any:
        """Who this member is to its group, for the transaction that commits its offsets."""
        # The client joins anew by itself when it was away for too long; what it polled before
        # belongs to the member that it was then.
        if (self._consumer.memberid() or "") != self._member:
            raise Unreachable(
                f"committing the offsets of group {self._group}: this member was put out of"
                " the group, its partitions went to another; nothing was written",
                hint="open a new reader; if it comes often, write smaller batches",
            )
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        self._is_closing = True
        self._consumer.close()

    def _messages(self, batch: Sequence[Any]) -> list[Message]:
        messages: list[Message] = []
        ends = []
        for message in batch:
            error = message.error()
            if error is None:
                messages.append(message_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ends.append(((message.topic(), message.partition()), message.offset()))
            elif error.code() not in _NOT_YET:
                raise self._read_failure(message, error)
        held = self._held
        if self._has_moved:
            messages = [message for message in messages if message[:2] in held]
        for message in messages:
            held[message[:2]] = self._polled[message[:2]] = message[2] + 1
        for place, offset in ends:
            # Past the markers at the end; the next record can't come before.
            if place in held:
                held[place] = max(held[place], offset)
        return messages

    def _read_failure(self, message: Any, error: KafkaError) -> CdcError:
        return read_failure(self._servers, f"reading as {self._group}", message, error)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Raises errors of our own alone: one of the client's would leave it as no exception at all
        (confluent-kafka 2.16 raises the bare KafkaError)."""
        if self._is_closing:
            return  # the client takes them by itself, and gives them back
        try:
            self._take(consumer, partitions)
        except KafkaException as error:
            raise self._servers.failure(
                f"taking partitions as {self._group}", reason(error), self._faults
            ) from error

    def _take(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._has_moved = True
        places = [(p.topic, p.partition) for p in partitions]
        again = sorted(place for place in places if place in self._after and place in self._had)
        if again:
            raise Unreachable(
                f"reading as {self._group}: {again} came back from another member, where to go"
                " on is no longer known",
                hint="read the offsets again and open a new reader",
            )
        asked = [p for p in partitions if (p.topic, p.partition) not in self._after]
        committed = {
            (p.topic, p.partition): p.offset
            for p in (
                consumer.committed(asked, timeout=self._servers.timeout_seconds) if asked else []
            )
            if p.offset >= 0
        }
        for place in places:
            offset = self._after.get(place, committed.get(place, OFFSET_BEGINNING))
            self._held[place] = offset
        self._had.update(places)
        consumer.incremental_assign(
            [TopicPartition(topic, part, self._held[topic, part]) for topic, part in places]
        )

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._has_moved = True
        for place in partitions:
            self._held.pop((place.topic, place.partition), None)
            self._polled.pop((place.topic, place.partition), None)


def message_of(message: Any) -> Message:
    """Our message of the client's."""
    return Message(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.headers() or (),
        message.timestamp()[1],
    )


def read_failure(servers: Servers, doing: str, message: Any, error: KafkaError) -> CdcError:
    """The error for what came instead of a message."""
    where = f"{message.topic()} [{message.partition()}]"
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return LogError(
            f"{doing}: the next offset of {where} is not there: {error.str()}",
            hint="retention deleted what wasn't read yet, or the topic was made anew;"
            " raise its retention, then set the group's offsets to where to go on",
        )
    if error.code() == KafkaError._FATAL:  # a consumer's only fatal one, in other words
        error = KafkaError(KafkaError.FENCED_INSTANCE_ID)
    return servers.failure(f"{doing} {where}", error)


def follow(
    servers: Servers,
    topics: KafkaTopics,
    topic: str,
    start: Offsets,
    *,
    wait_seconds: float,
    is_whole: bool,
) -> Iterator[Message]:
    """Messages of all partitions from `start`, to their ends and `wait_seconds` beyond."""
    faults = Faults()
    doing = f"following topic {topic}"
    ends = topics.settled_ends(topic, is_whole=is_whole)
    if not wait_seconds and not any(ends.values()):
        return
    # By number: the client looks for a beginning only half a second after it was asked.
    missing = [at for at in ends if at not in start]
    start = {**start, **(topics.offsets(missing, first=True) if missing else {})}
    defaults = _DEFAULTS if wait_seconds else {**_DEFAULTS, "fetch.wait.max.ms": END_WAIT_MS}
    # The group must be given a name; without a subscription none is joined.
    consumer = servers.client(
        Consumer, defaults, {**_FIXED, "group.id": f"cdc.follow.{topic}"}, faults
    )
    unread = {at for at, end in ends.items() if end > 0}
    try:
        consumer.assign([TopicPartition(*at, start[at]) for at in ends])
        news = time.monotonic()
        while True:
            batch = consumer.consume(FOLLOW_RECORDS_MAX, 0) or consumer.consume(
                1, FOLLOW_POLL_SECONDS
            )
            for message in cast(Sequence[Any], batch):
                error = message.error()
                if error is None:
                    yield message_of(message)
                    news = time.monotonic()  # what the caller does with it isn't waiting
                elif error.code() == KafkaError._PARTITION_EOF:
                    at = (topic, message.partition())
                    if message.offset() >= ends[at]:
                        unread.discard(at)
                else:
                    raise read_failure(servers, doing, message, error)
            idle_seconds = time.monotonic() - news
            if not unread and (not wait_seconds or (not batch and idle_seconds >= wait_seconds)):
                return
            if unread and idle_seconds > servers.timeout_seconds:
                raise Unreachable(
                    f"{doing}: no answer within {servers.timeout_seconds:g} s"
                    + (f"; last: {faults.last.str()}" if faults.last else "")
                )
    except KafkaException as error:
        raise servers.failure(doing, reason(error), faults) from error
    finally:
        consumer.close()
