"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import psutil
from confluent_kafka import libversion

from cdc.capture import is_compiled
from cdc.embedded_file import EmbeddedFile
from cdc.services import KafkaServer
from cdc.services.kafka import VERSION as CONNECT_VERSION
from tests.bench import debezium
from tests.bench.debezium_jars import CONVERTER_VERSION
from tests.bench.servers import Servers

GIB = 2**30
CPU_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def surroundings(servers: Servers, scratch: Path, *, with_peers: bool = False) -> dict[str, str]:
    """Machine, versions and durability, each as text."""
    settings = ", ".join(f"{name}={value}" for name, value in servers.mysql_settings.items())
    memory_gib = psutil.virtual_memory().total / GIB
    around = {
        "machine": (
            f"{os.cpu_count()} cores{_cpu_name()}, {memory_gib:.0f} GiB, {platform.system()},"
            " all processes on it"
        ),
        "cdc": (
            f"Python {platform.python_version()}, hot path"
            f" {'compiled' if is_compiled() else 'in plain Python'}, exactly once,"
            f" confluent-kafka {version('confluent-kafka')} (librdkafka {libversion()[0]}),"
            " limits and options as they are by default (lz4)"
        ),
        "MySQL": f"{servers.mysql.version}, {settings}",
        "Kafka": (
            f"{KafkaServer.label.split()[-1]}, one broker, one partition, replication 1, no fsync"
            " before it acknowledges (its default), transactions on"
        ),
        "embedded log": f"SQLite, {_sqlite_settings(scratch)}",
    }
    if with_peers:
        options = ", ".join(f"{name}={value}" for name, value in debezium.TUNED.items())
        around[debezium.LABEL] = (
            f"Kafka Connect {CONNECT_VERSION} standalone, Avro by Apicurio's converter"
            f" {CONVERTER_VERSION}, heap {debezium.HEAP}, at least once, acks=all, {options}"
        )
    return around


def _cpu_name() -> str:
    file = Path("/proc/cpuinfo")
    found = CPU_NAME.search(file.read_text()) if file.exists() else None
    return f" ({found[1].strip()})" if found else ""


def _sqlite_settings(scratch: Path) -> str:
    file = EmbeddedFile(scratch / "asked.db", wait_seconds=1.0)
    try:
        execute = file.connection.execute
        return ", ".join(
            f"{name}={execute(f'pragma {name}').fetchone()[0]}"
            for name in ("journal_mode", "synchronous")
        )
    finally:
        file.close()
