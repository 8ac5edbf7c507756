"""Kafka as the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cdc.log.kafka_acknowledged import AcknowledgedWriter
from cdc.log.kafka_client import Options, Servers
from cdc.log.kafka_reader import KafkaReader, follow
from cdc.log.kafka_topics import KafkaTopics, Owns, is_internal, is_shared
from cdc.log.kafka_writer import KafkaWriter
from cdc.model import Message, Offsets, TopicDifference, TopicSpec
from cdc.ports import Seam, untouched

BROKERS_DEFAULT = -1
"""Replication of the checkpoint topics where none is given: the broker's own default."""
MESSAGE_BYTES_DEFAULT = 1_000_000
"""librdkafka's own bound of a record."""


class KafkaLog:
    """Topics on a Kafka cluster; `options` are librdkafka's, passed to every client."""

    def __init__(
        self,
        bootstrap_servers: str,
        options: Options | None = None,
        *,
        replication: int = BROKERS_DEFAULT,
        timeout_seconds: float = 30.0,
        owns: Owns = is_shared,
        seam: Seam = untouched,
    ) -> None:
        """`owns` tells into which topics nobody else writes, by the writer's name."""
        self._servers = Servers(bootstrap_servers, dict(options or {}), timeout_seconds, seam)
        self._topics = KafkaTopics(self._servers)
        self._replication, self._owns = replication, owns

    def create_topics(self, specs: Sequence[TopicSpec]) -> Sequence[TopicDifference]:
        return self._topics.create(specs)

    def topics(self) -> Mapping[str, int]:
        return {
            name: len(topic.partitions)
            for name, topic in sorted(self._topics.all().items())
            if not is_internal(name)
        }

    def end_offsets(self, topic: str) -> Offsets:
        """Kafka counts the markers of transactions too, so it may be past the last record."""
        return self._topics.settled_ends(topic)

    def record_bytes_max(self, topic: str) -> int:
        """By the topic's own setting and the client's; a broker takes more where it compresses."""
        own = int(self._servers.options.get("message.max.bytes", MESSAGE_BYTES_DEFAULT))
        return min(own, self._topics.record_bytes_max(topic))

    def writer(self, name: str) -> KafkaWriter:
        return KafkaWriter(
            self._servers, self._topics, name, replication=self._replication, owns=self._owns
        )

    def acknowledged_writer(self, name: str) -> AcknowledgedWriter:
        return AcknowledgedWriter(
            self._servers, self._topics, name, replication=self._replication, owns=self._owns
        )

    def reader(self, topics: Sequence[str], group: str, *, is_sole: bool = False) -> KafkaReader:
        return KafkaReader(self._servers, self._topics, topics, group, is_sole=is_sole)

    def follow(
        self, topic: str, start: Offsets, *, wait_seconds: float, is_whole: bool = False
    ) -> Iterator[Message]:
        servers, topics = self._servers, self._topics
        return follow(servers, topics, topic, start, wait_seconds=wait_seconds, is_whole=is_whole)

    def close(self) -> None:
        """Writers and readers are closed on their own."""
        self._topics.close()
