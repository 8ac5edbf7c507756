"""Reads a destination independently of the connector, and decodes what it finds there."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cdc.log.embedded import EmbeddedLog
from tests.bench.verify import Change, checksum

FRAME_BYTES = 5
ANSWER_SECONDS_MAX = 10.0
MESSAGES_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it lies at the destination."""

    offset: int
    value: bytes

    @classmethod
    def of(cls, message: Message) -> Raw:
        """What a consumer got; raises the error that it may be instead."""
        error, offset, value = message.error(), message.offset(), message.value()
        if error is not None:
            raise KafkaException(error)
        assert offset is not None and value is not None
        return cls(offset, value)


class Destination(Protocol):
    """A topic of one partition, at a log."""

    def end(self) -> int:
        """The offset after the last committed record; 0 while there is no topic."""
        ...

    def holds(self, count: int) -> bool:
        """Whether at least so many records are committed."""
        ...

    def records(self) -> Iterator[Raw]:
        """All committed records, in order."""
        ...

    def close(self) -> None: ...


class KafkaTopic:
    """Read by a consumer of its own, read committed, outside any group."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._partition = TopicPartition(topic, 0)
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                # A topic that is made in a moment must be seen in a moment.
                "topic.metadata.refresh.interval.ms": 100,
                "log_level": 3,
            }
        )

    def end(self) -> int:
        try:
            _, end = self.consumer.get_watermark_offsets(self._partition, ANSWER_SECONDS_MAX)
        except KafkaException as error:
            if error.args[0].code() in NOT_THERE_YET:
                return 0
            raise
        return int(end)

    def holds(self, count: int) -> bool:
        # Markers of transactions have offsets too: only who reads knows how many records there are.
        return self.end() >= count and sum(1 for _ in self.records()) >= count

    def records(self) -> Iterator[Raw]:
        end = self.end()
        self.assign(0)
        # Behind the last record come markers: the position tells when all is read.
        while (position := self._position()) < end:
            for message in self.consumer.consume(MESSAGES_MAX, 0.2):
                yield Raw.of(message)
            assert self._position() >= position
        self.consumer.unassign()

    def assign(self, offset: int) -> None:
        """Read from this offset on, by `consumer`."""
        topic, number = self._partition.topic, self._partition.partition
        self.consumer.assign([TopicPartition(topic, number, offset)])

    def close(self) -> None:
        self.consumer.close()

    def _position(self) -> int:
        (place,) = self.consumer.position([self._partition])
        return max(0, int(place.offset))


NOT_THERE_YET = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


class EmbeddedTopic:
    """Read by a connection of its own to the embedded log's file."""

    def __init__(self, log: EmbeddedLog, topic: str) -> None:
        self._log, self._topic = log, topic

    def end(self) -> int:
        if self._topic not in self._log.topics():
            return 0
        return self._log.end_offsets(self._topic).get((self._topic, 0), 0)

    def holds(self, count: int) -> bool:
        return self.end() >= count

    def records(self) -> Iterator[Raw]:
        for message in self._log.follow(self._topic, {}, wait_seconds=0):
            assert message.partition == 0 and message.value is not None
            yield Raw(message.offset, message.value)

    def close(self) -> None:
        self._log.close()


@dataclass
class Decoder:
    """Avro values to changes; each schema is asked for once."""

    schema_of: Callable[[int], Any]
    _parsed: dict[bytes, Any] = field(default_factory=dict)

    def change(self, record: Raw) -> Change:
        """The change in an envelope, by its `after`."""
        data = record.value
        schema = self._parsed.get(data[:FRAME_BYTES]) or self._learn(data[:FRAME_BYTES])
        envelope: Any = fastavro.schemaless_reader(BytesIO(data[FRAME_BYTES:]), schema, None)
        after, source = envelope["after"], envelope["source"]
        return Change(
            record.offset,
            after["id"],
            after["version"],
            (source["file"], source["pos"], source["row"]),
            checksum(after["email"], after["note"]),
        )

    def _learn(self, frame: bytes) -> Any:
        schema = fastavro.parse_schema(self.schema_of(int.from_bytes(frame[1:], "big")))
        self._parsed[frame] = schema
        return schema


def schema_over_http(url: str) -> Callable[[int], Any]:
    """Schemas by id from a registry's own API."""

    def schema_of(schema_id: int) -> Any:
        with urllib.request.urlopen(
            f"{url}/schemas/ids/{schema_id}", timeout=ANSWER_SECONDS_MAX
        ) as answer:
            return json.loads(json.load(answer)["schema"])

    return schema_of


def schema_in_file(path: str) -> Callable[[int], Any]:
    """Schemas by id from an embedded registry's file."""

    def schema_of(schema_id: int) -> Any:
        with closing(sqlite3.connect(path)) as connection:
            query = "select schema from schemas where id = ?"
            return json.loads(connection.execute(query, (schema_id,)).fetchone()[0])

    return schema_of
