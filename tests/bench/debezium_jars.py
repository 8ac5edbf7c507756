"""Debezium's connector, Kafka Connect and an Avro converter, as jars in the cache of services."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from cdc.services import maven
from cdc.services.cache import kept
from cdc.services.kafka import VERSION as KAFKA_VERSION
from cdc.services.progress import tell

VERSION = "3.6.1"
CONVERTER_VERSION = "2.6.13"
PLUGIN = f"io.debezium:debezium-connector-mysql:{VERSION}.Final:tar.gz:plugin"
CONVERTER = f"io.apicurio:apicurio-registry-utils-converter:{CONVERTER_VERSION}.Final"
CONNECT = (
    f"org.apache.kafka:connect-runtime:{KAFKA_VERSION}",
    f"org.apache.kafka:connect-json:{KAFKA_VERSION}",
    "org.slf4j:slf4j-reload4j:1.7.36",
    "ch.qos.reload4j:reload4j:1.2.25",
)
OF_OLD_KAFKA = ("connect-api-*", "connect-json-*", "kafka-clients-*")
"""What the converter brings of an older Kafka than the worker's."""


@dataclass(frozen=True, slots=True)
class Jars:
    """Two folders, as a Connect worker wants them."""

    worker: Path
    plugins: Path


def jars() -> Jars:
    """Fetched the first time; WayClosed if that can't be."""
    folder = kept(f"debezium-{VERSION}-connect-{KAFKA_VERSION}", _fetch)
    return Jars(folder / "worker", folder / "plugins")


def _fetch(folder: Path) -> None:
    maven.need_mvn()
    tell(f"getting Debezium {VERSION} and Kafka Connect {KAFKA_VERSION} (150 MB) …")
    worker, plugins = folder / "worker", folder / "plugins"
    maven.jars(CONNECT, worker)
    packed = maven.archive(PLUGIN, folder / "packed")
    with tarfile.open(packed) as archive:
        archive.extractall(plugins, filter="data")
    packed.unlink()
    (plugin,) = plugins.iterdir()
    converter = folder / "converter"
    maven.jars([CONVERTER], converter)
    for pattern in OF_OLD_KAFKA:
        for old in converter.glob(pattern):
            old.unlink()
    for jar in converter.glob("*.jar"):
        jar.rename(plugin / jar.name)
    for jar in worker.glob("connect-json-*"):
        (plugin / jar.name).write_bytes(jar.read_bytes())
