"""What Kafka takes of large values from its client alone: no database, nothing decoded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Producer

from cdc.log.kafka_producer import QUEUE_KBYTES_MAX
from cdc.overlap import WAITING_BYTES_MAX
from tests.bench.figures import Figure, repeated
from tests.bench.lab import Lab
from tests.bench.payloads import LARGE_BYTES
from tests.bench.tables import Rows

VALUES = 500
"""Made before it begins, sent in turn."""
ROWS_PER_TRANSACTION = WAITING_BYTES_MAX // LARGE_BYTES
POLL_SECONDS = 0.01


def bare(lab: Lab, name: str, rows: Rows, count: int) -> Iterator[Figure]:
    """The same payloads with the same settings, from memory: a bound for every connector."""
    values = [_payload(rows, number) for number in range(1, VALUES + 1)]
    rates = [
        count / _send(lab.kafka.bootstrap_servers, values, count) for _ in range(lab.sizes.repeats)
    ]
    setup = (
        f"librdkafka alone, {count:,} values from memory, lz4, transactions of"
        f" {ROWS_PER_TRANSACTION} values"
    )
    yield from repeated(f"{name}, a bare producer into Kafka", rates, "rows/s", setup)


def _payload(rows: Rows, number: int) -> bytes:
    payload = rows.row(number)[-1]
    return payload if isinstance(payload, bytes) else str(payload).encode()


def _send(servers: str, values: Sequence[bytes], count: int) -> float:
    """Seconds until the last of them is committed."""
    topic = f"bench-{secrets.token_hex(4)}"
    options: dict[str, str | int | float | bool] = {
        "bootstrap.servers": servers,
        "transactional.id": topic,
        "compression.type": "lz4",
        "linger.ms": 5,
        "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
    }
    producer = Producer(options)
    producer.init_transactions()
    begun = time.monotonic()
    for first in range(0, count, ROWS_PER_TRANSACTION):
        producer.begin_transaction()
        for number in range(first, min(first + ROWS_PER_TRANSACTION, count)):
            _produce(producer, topic, values[number % len(values)])
        producer.commit_transaction()
    return time.monotonic() - begun


def _produce(producer: Producer, topic: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value)
        except BufferError:
            producer.poll(POLL_SECONDS)
        else:
            return
