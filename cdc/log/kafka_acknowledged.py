"""At least once: records, and their checkpoint when Kafka has acknowledged them."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from cdc.log.kafka_checkpoint import Checkpoints
from cdc.log.kafka_client import Servers
from cdc.log.kafka_producer import KafkaProducer
from cdc.log.kafka_topics import KafkaTopics, Owns, is_shared
from cdc.log.kafka_writer import KafkaWriter
from cdc.model import Record
from cdc.ports import LogReader


class AcknowledgedWriter:
    """An idempotent producer: each key's order stays, a crash repeats what it had not noted.

    Unlike transactions it fences nobody: that one process alone writes is the user's to keep."""

    def __init__(
        self,
        servers: Servers,
        topics: KafkaTopics,
        name: str,
        *,
        replication: int,
        owns: Owns = is_shared,
    ) -> None:
        # What a transactional writer of this name left open would hide the last checkpoint.
        KafkaWriter(servers, topics, name, replication=replication, owns=owns).close()
        self._servers = servers
        self._name = name
        self._checkpoints = Checkpoints(servers, topics, name, replication=replication)
        self._producer = KafkaProducer(servers, topics, name, {"enable.idempotence": True})
        self._refused: KafkaError | None = None

    def last_checkpoint(self) -> bytes | None:
        return self._checkpoints.last()

    def write(
        self,
        records: Sequence[Record],
        *,
        checkpoint: bytes | None = None,
        reader: LogReader | None = None,
    ) -> None:
        """Write the records; then, when all are acknowledged, the checkpoint."""
        assert reader is None, "group offsets need a transaction"
        doing = f"writing {len(records)} records as {self._name}"
        try:
            self._producer.produce(records, self._delivered)
            self._acknowledge(doing, records)
            if checkpoint is not None:
                # Invariant 1, as far as it holds here: never a checkpoint before its records.
                # Its own acknowledgement is waited for with the next records'.
                self._checkpoints.ensure()
                self._producer.produce([self._checkpoints.record(checkpoint)], self._delivered)
        except KafkaException as error:
            raise self._producer.raised(doing, error, records) from error

    def close(self) -> None:
        self._producer.client.flush(self._servers.timeout_seconds)
        self._producer.close()

    def _acknowledge(self, doing: str, records: Sequence[Record]) -> None:
        waiting = self._producer.client.flush(self._servers.timeout_seconds)
        if self._refused is not None:
            raise self._producer.failure(doing, self._refused, records)
        if waiting:
            raise self._producer.silence(waiting)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        """Called for every record, within `flush`."""
        if error is not None and self._refused is None:
            self._refused = error
