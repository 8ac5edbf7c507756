"""The transactional producer: records, checkpoint and group offsets in one Kafka transaction."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from threading import Thread

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from cdc.errors import CdcError, Unreachable
from cdc.log.kafka_checkpoint import STABLE_SECONDS, Checkpoints
from cdc.log.kafka_client import Servers, reason
from cdc.log.kafka_producer import ROOM_POLL_SECONDS, KafkaProducer
from cdc.log.kafka_reader import KafkaReader
from cdc.log.kafka_topics import KafkaTopics, Owns, is_shared
from cdc.model import Record
from cdc.ports import LogReader

ABORT_SECONDS = 5.0
MARKERS_SECONDS = 0.0015
"""How long Kafka mostly takes to write a transaction's markers after it has answered the commit. A
next transaction that comes sooner is put off, and librdkafka asks again only after 20 ms."""
FORGOTTEN_SECONDS = 1.0
"""After so long the end of our own last transaction doesn't come any more."""
FORGOTTEN_POLL_SECONDS = 0.1
OFFSETS_SECONDS_MAX = 10.0
"""How long Kafka may take to note a group's offsets in a transaction."""

# Closing after a commit whose outcome isn't known; the error of that commit says it already.
warnings.filterwarnings("ignore", "Producer abort_transaction failed", RuntimeWarning)

logger = structlog.get_logger()

_LOST_PARTITIONS = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,
}


class KafkaWriter:
    """The one writer of its name; `transactional.id` is the name."""

    def __init__(
        self,
        servers: Servers,
        topics: KafkaTopics,
        name: str,
        *,
        replication: int,
        owns: Owns = is_shared,
        stable_seconds: float = STABLE_SECONDS,
    ) -> None:
        """`owns` tells into which topics nobody else writes."""
        self._servers, self._topics = servers, topics
        self._name = name
        self._checkpoints = Checkpoints(
            servers, topics, name, replication=replication, stable_seconds=stable_seconds
        )
        self._is_usable = True
        self._is_hanging = False
        self._committed_at = 0.0
        self._producer = KafkaProducer(
            servers,
            topics,
            name,
            {
                "transactional.id": name,
                "enable.idempotence": True,
                # The transaction tells what became of its records; none reports on its own.
                "delivery.report.only.error": True,
            },
        )
        self._client = self._producer.client
        try:
            # Not connected yet, the client looks for its coordinator again after half a second.
            self._client.list_topics(timeout=servers.timeout_seconds)
            # Fences the earlier writer of this name and settles what it left open.
            self._client.init_transactions(servers.timeout_seconds)
        except KafkaException as error:
            raise self._producer.raised(f"opening writer {name}", error, ()) from error
        self._end_forgotten(partial(owns, name))

    @property
    def is_fast(self) -> bool:
        """True where blocks of records are handed over without an object per record."""
        return self._producer.is_fast

    def last_checkpoint(self) -> bytes | None:
        return self._checkpoints.last()

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
            self._checkpoints.ensure()
        time.sleep(max(0.0, self._committed_at + MARKERS_SECONDS - time.monotonic()))
        try:
            # Invariant 1: records, checkpoint and the group's offsets in one transaction.
            self._client.begin_transaction()
            self._producer.produce(records)
            if checkpoint is not None:
                self._producer.produce([self._checkpoints.record(checkpoint)])
            if reader is not None:
                self._send_offsets(reader)
            self._commit()
        except KafkaException as error:
            self._abort()
            raise self._failure(doing, error, records) from error
        except BaseException:
            if self._is_hanging:
                self._is_usable = False
                raise
            # An abort that overtakes the client's own requests leaves it unusable (librdkafka
            # 2.16: EndTxn while AddPartitionsToTxn waits to be sent again).
            try:
                self._client.flush(ABORT_SECONDS)
            except KafkaException as error:  # fenced meanwhile: that says more
                self._is_usable = False
                raise self._failure(doing, error, records) from error
            self._abort()
            raise

    def close(self) -> None:
        self._is_usable = False
        if self._is_hanging:
            return  # closing would hang as well; the next writer of this name fences it
        self._producer.close()

    def _end_forgotten(self, owns: Callable[[str], bool]) -> None:
        """End what Kafka forgot to end of this name's last transaction (decision 0018).

        A marker ends all that its producer has open in a partition, whichever transaction it is of:
        one that is aborted, with a record in each partition that hangs, takes the rest with it."""
        begun, hanging = time.monotonic(), self._topics.hanging(owns)
        while hanging and time.monotonic() < begun + FORGOTTEN_SECONDS:
            time.sleep(FORGOTTEN_POLL_SECONDS)
            hanging = dict(hanging.items() & self._topics.hanging(owns).items())
        if not hanging:
            return
        doing = f"ending what Kafka left open of {self._name}'s last transaction"
        logger.warning("ending a transaction whose end Kafka forgot", partitions=len(hanging))
        try:
            self._client.begin_transaction()
            for topic, partition in sorted(hanging):
                self._client.produce(topic, None, self._name.encode(), partition)
            waiting = self._client.flush(self._servers.timeout_seconds)
            self._client.abort_transaction(ABORT_SECONDS)
        except KafkaException as error:
            raise self._producer.raised(doing, error, ()) from error
        if waiting:
            raise self._producer.silence(waiting)

    def _send_offsets(self, reader: LogReader) -> None:
        assert isinstance(reader, KafkaReader)
        offsets = [TopicPartition(t, p, offset) for (t, p), offset in reader.offsets().items()]
        if not offsets:
            return
        group, seconds = reader.group_metadata(), OFFSETS_SECONDS_MAX

        def send() -> None:
            self._client.send_offsets_to_transaction(offsets, group, seconds)

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
                self._client.commit_transaction(max(0.1, deadline - time.monotonic()))
                self._committed_at = time.monotonic()
                return
            except KafkaException as error:
                if not reason(error).retriable() or time.monotonic() > deadline:
                    raise
                self._client.poll(ROOM_POLL_SECONDS)

    def _abort(self) -> None:
        """Abort if Kafka lets us; else only a new writer can settle the transaction."""
        try:
            self._client.abort_transaction(ABORT_SECONDS)
        except KafkaException:
            self._is_usable = False

    def _failure(self, doing: str, error: KafkaException, records: Sequence[Record]) -> CdcError:
        if reason(error).code() in _LOST_PARTITIONS:
            return Unreachable(
                f"{doing}: the reader's partitions went to another member of its group;"
                f" nothing was written ({reason(error).name()})",
                hint="open a new reader; if it comes often, write smaller batches",
            )
        return self._producer.raised(doing, error, records)


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
