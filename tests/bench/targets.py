"""Where a connector delivers to: the sections of its file, and how the outcome is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cdc.log.embedded import EmbeddedLog
from tests.bench.place import Checked
from tests.bench.reading import (
    Decoder,
    Destination,
    EmbeddedTopic,
    KafkaTopic,
    schema_in_file,
    schema_over_http,
)


class Target(Protocol):
    """A log and a registry."""

    @property
    def label(self) -> str: ...

    def sections(self, folder: Path) -> Mapping[str, Any]:
        """`log:` and `registry:` of a connector file whose data go below the folder."""
        ...

    def topic(self, folder: Path, name: str) -> Destination: ...

    def decoder(self, folder: Path, checked: Checked) -> Decoder: ...


@dataclass(frozen=True, slots=True)
class KafkaTarget:
    """Kafka, and a registry with Confluent's API."""

    bootstrap_servers: str
    registry_url: str
    label: str = "Kafka"

    def sections(self, folder: Path) -> Mapping[str, Any]:
        return {
            "log": {"kind": "kafka", "bootstrap_servers": self.bootstrap_servers},
            "registry": {"url": self.registry_url},
        }

    def topic(self, folder: Path, name: str) -> KafkaTopic:
        return KafkaTopic(self.bootstrap_servers, name)

    def decoder(self, folder: Path, checked: Checked) -> Decoder:
        return Decoder(schema_over_http(self.registry_url), checked)


@dataclass(frozen=True, slots=True)
class EmbeddedTarget:
    """One SQLite file for both."""

    label: str = "the embedded log"

    def sections(self, folder: Path) -> Mapping[str, Any]:
        return {
            "log": {"kind": "embedded", "path": str(_file(folder))},
            "registry": {"kind": "embedded"},
        }

    def topic(self, folder: Path, name: str) -> EmbeddedTopic:
        return EmbeddedTopic(EmbeddedLog(_file(folder)), name)

    def decoder(self, folder: Path, checked: Checked) -> Decoder:
        return Decoder(schema_in_file(str(_file(folder))), checked)


def _file(folder: Path) -> Path:
    return folder / "data" / "log.db"
