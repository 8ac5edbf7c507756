"""Debezium beside us: a connector in a Kafka Connect worker, tuned, over the same binlog."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cdc.services import DatabaseAddress
from cdc.services.registry import CONFLUENT_PATH
from tests.bench.connect import Worker
from tests.bench.debezium_jars import VERSION
from tests.bench.place import Place
from tests.bench.reading import Decoder, KafkaTopic, in_header, schema_of_apicurio
from tests.bench.running import Taken, taken
from tests.bench.targets import KafkaTarget

LABEL = f"Debezium {VERSION}"
HEAP = "512m"
"""More costs it memory and saves it nothing (2g was tried)."""
HEAP_MIN = "256m"
"""The smallest power of two that holds through all measures."""
SERVER_IDS = range(4_100_001_000, 4_100_900_000)
CONVERTER = "io.apicurio.registry.utils.converter.AvroConverter"
IS_STREAMING = "Keepalive thread is running"

TUNED = {
    "poll.interval.ms": "10",
    "max.batch.size": "16384",
    "max.queue.size": "65536",
    "producer.override.compression.type": "lz4",
    "producer.override.batch.size": "524288",
    "producer.override.linger.ms": "5",
    "producer.override.buffer.memory": "67108864",
}
"""Beyond its defaults: what makes it fast, and the compression that ours has."""
FOR_LARGE_ROWS = {
    "max.queue.size.in.bytes": "67108864",
    "producer.override.max.request.size": "4194304",
}
"""A queue that counts rows alone would hold more than the heap."""


@dataclass(frozen=True)
class Debezium:
    """Starts connectors, one at a time, in a worker that goes on, so that its code stays warm."""

    worker: Worker
    target: KafkaTarget
    address: DatabaseAddress
    options: Mapping[str, str] = field(default_factory=dict)
    label: str = LABEL

    def start(self, place: Place) -> DebeziumRun:
        name = f"dbz-{secrets.token_hex(4)}"
        self.worker.thaw()
        file, position = place.start.split(":")
        at = {"file": file, "pos": int(position), "gtids": place.gtids}
        self.worker.create(name, self._settings(name, place), {"server": name}, at)
        topic = KafkaTopic(self.target.bootstrap_servers, f"{name}.{place.full_name}", in_header)
        decoder = Decoder(schema_of_apicurio(self._apicurio), place.checked)
        before = taken(self.worker.process.pid).cpu_seconds
        begun = time.monotonic()
        self.worker.resume(name)
        return DebeziumRun(begun, topic, decoder, self.worker, name, before)

    @property
    def _apicurio(self) -> str:
        return self.target.registry_url.removesuffix(CONFLUENT_PATH) + "/apis/registry/v2"

    def _settings(self, name: str, place: Place) -> dict[str, str]:
        converter = {
            "": CONVERTER,
            ".apicurio.registry.url": self._apicurio,
            ".apicurio.registry.auto-register": "true",
            ".apicurio.registry.find-latest": "true",
        }
        parts = ("key.converter", "value.converter")
        return {
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "tasks.max": "1",
            "topic.prefix": name,
            "database.hostname": self.address.host,
            "database.port": str(self.address.port),
            "database.user": self.address.user,
            "database.password": self.address.password,
            "database.server.id": str(secrets.choice(SERVER_IDS)),
            "table.include.list": place.full_name,
            # The place is given; only the table's description is still to be read.
            "snapshot.mode": "recovery",
            "snapshot.locking.mode": "none",
            "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
            "include.schema.changes": "false",
            "schema.name.adjustment.mode": "avro",
            **{f"{part}{option}": text for part in parts for option, text in converter.items()},
            **TUNED,
            **self.options,
        }


@dataclass(slots=True)
class DebeziumRun:
    """A running connector; CPU time is counted from its start, memory from the worker's."""

    begun: float
    topic: KafkaTopic
    decoder: Decoder
    _worker: Worker
    _name: str
    _cpu_seconds_before: float

    @property
    def said(self) -> str:
        return f"{self._worker.failure(self._name) or ''}{self._worker.said}"

    def wait_streaming(self) -> None:
        self._worker.wait_said(IS_STREAMING)

    def is_alive(self) -> bool:
        return self._worker.process.poll() is None

    def taken(self) -> Taken:
        used = taken(self._worker.process.pid)
        return Taken(used.peak_rss_bytes, used.cpu_seconds - self._cpu_seconds_before)

    def stop(self) -> None:
        self._worker.delete(self._name)
        self._worker.freeze()

    def close(self) -> None:
        self.topic.close()
