"""What all measures work with, and what they note while they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.services import DatabaseAddress
from tests.bench import binlog_copy
from tests.bench.command import Capture
from tests.bench.connect import Worker
from tests.bench.debezium import Debezium
from tests.bench.shop import Shop
from tests.bench.sizes import Sizes
from tests.bench.targets import EmbeddedTarget, KafkaTarget, Target
from tests.bench.verify import Verdict

MB = 10**6


class Wrong(Exception):
    """What arrived is not what was written; there is no figure for that."""


@dataclass
class Lab:
    """Servers, sizes, and the rates so far."""

    sizes: Sizes
    folder: Path
    address: DatabaseAddress
    shop: Shop
    kafka: KafkaTarget
    worker: Worker | None
    """For Debezium, if it is to run beside us."""
    embedded: EmbeddedTarget = field(default_factory=EmbeddedTarget)
    rates: dict[str, float] = field(default_factory=dict)
    """What was measured of ours, by name, to set others against it."""
    _peak_rss_bytes: int = 0

    def capture(
        self,
        target: Target | None = None,
        sections: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Capture:
        """Ours, into Kafka if nothing else is said."""
        return Capture(
            self.folder, target or self.kafka, self.address, sections or {}, variables or {}
        )

    def debezium(self, options: Mapping[str, str] | None = None) -> Debezium | None:
        """The peer, if it is to run."""
        if self.worker is None:
            return None
        return Debezium(self.worker, self.kafka, self.address, options or {})

    def files(self, names: Sequence[str]) -> list[Path]:
        """Copies of the server's binlog files."""
        return binlog_copy.copy(self.shop.address, names, self.folder / "binlogs")

    def accept(self, label: str, verdict: Verdict) -> None:
        """Raises Wrong for what isn't right."""
        if not verdict.is_right:
            raise Wrong(f"{label}: " + "; ".join(verdict.faults))

    def note_rss(self, peaks: Sequence[int]) -> float:
        """The highest of ours, in MB."""
        self._peak_rss_bytes = max(self._peak_rss_bytes, *peaks)
        return max(peaks) / MB

    @property
    def peak_rss(self) -> float:
        """The highest of all of ours that were noted, in MB."""
        return self._peak_rss_bytes / MB
