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
from zlib import crc32

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cdc.log.embedded import EmbeddedLog
from tests.bench.place import Checked
from tests.bench.verify import Change

FRAME_BYTES = 5
SCHEMA_HEADER = "apicurio.value.globalId"
ANSWER_SECONDS_MAX = 60.0
MESSAGES_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it lies at the destination."""

    offset: int
    schema_id: int
    body: bytes
    """Avro without a frame."""

    @classmethod
    def framed(cls, offset: int, value: bytes) -> Raw:
        """Of a value in Confluent's frame."""
        return cls(offset, int.from_bytes(value[1:FRAME_BYTES]), value[FRAME_BYTES:])


def in_frame(message: Message) -> Raw:
    """What a consumer got, the schema's id in Confluent's frame."""
    return Raw.framed(*_got(message))


def in_header(message: Message) -> Raw:
    """What a consumer got, the schema's id in the header that Apicurio's converter writes."""
    offset, value = _got(message)
    headers = dict(message.headers() or ())
    schema_id = headers[SCHEMA_HEADER]
    assert isinstance(schema_id, bytes)
    return Raw(offset, int.from_bytes(schema_id), value)


def _got(message: Message) -> tuple[int, bytes]:
    error, offset, value = message.error(), message.offset(), message.value()
    if error is not None:
        raise KafkaException(error)
    assert offset is not None and value is not None
    return offset, value


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

    def __init__(
        self, bootstrap_servers: str, topic: str, raw: Callable[[Message], Raw] = in_frame
    ) -> None:
        self.raw = raw
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
                yield self.raw(message)
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
            yield Raw.framed(message.offset, message.value)

    def close(self) -> None:
        self._log.close()


@dataclass
class Decoder:
    """Avro values to changes; each schema is asked for once."""

    schema_of: Callable[[int], Any]
    checked: Checked
    _parsed: dict[int, Any] = field(default_factory=dict)

    def change(self, record: Raw) -> Change:
        """The change in an envelope, by its `after`."""
        schema = self._parsed.get(record.schema_id) or self._learn(record.schema_id)
        envelope: Any = fastavro.schemaless_reader(BytesIO(record.body), schema, None)
        before, after, source = envelope["before"], envelope["after"], envelope["source"]
        return Change(
            record.offset,
            after["id"],
            after["version"],
            (source["file"], source["pos"], source["row"]),
            crc32(self.checked(after)),
            before["version"] if before else 0,
        )

    def _learn(self, schema_id: int) -> Any:
        schema = fastavro.parse_schema(self.schema_of(schema_id))
        self._parsed[schema_id] = schema
        return schema


def schema_over_http(url: str) -> Callable[[int], Any]:
    """Schemas by id from a registry, over Confluent's API."""
    return lambda schema_id: json.loads(_json(f"{url}/schemas/ids/{schema_id}")["schema"])


def schema_of_apicurio(url: str) -> Callable[[int], Any]:
    """Schemas by global id from a registry, over Apicurio's own API."""
    return lambda schema_id: _json(f"{url}/ids/globalIds/{schema_id}")


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as answer:
        return json.load(answer)


def schema_in_file(path: str) -> Callable[[int], Any]:
    """Schemas by id from an embedded registry's file."""

    def schema_of(schema_id: int) -> Any:
        with closing(sqlite3.connect(path)) as connection:
            query = "select schema from schemas where id = ?"
            return json.loads(connection.execute(query, (schema_id,)).fetchone()[0])

    return schema_of
