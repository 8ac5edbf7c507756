"""A connector file, read and checked: the configuration of one connector."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cdc.config.dead_letters import DeadLettersSection
from cdc.config.log import EmbeddedLog, EmbeddedRegistry, Log, Registry
from cdc.config.section import PROJECT, ConfigPath, Section
from cdc.config.source import ServerSource, Source, derived_server_id
from cdc.config.spool import SpoolSection
from cdc.config.topics import TopicsSection
from cdc.translate.settings import StreamSettings
from cdc.views.settings import ViewSettings

Stage = Literal["capture", "translate", "views"]
STAGES: tuple[Stage, ...] = ("capture", "translate", "views")


class HttpSettings(Section):
    """Where the process answers about itself; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8710
    ready_within_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """`/ready` needs an event or a heartbeat of every stage within this time."""

    @property
    def is_port_fixed(self) -> bool:
        """Whether the file asks for this port; the default gives way if it is taken."""
        return "port" in self.model_fields_set and self.port != 0


class Limits(Section):
    """Bounds of batches and of retries."""

    batch_rows_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    batch_bytes_max: Annotated[int, Field(ge=1024, le=2**30)] = 2**20
    """Of binlog; the events made of it take some times as much memory."""
    retry_wait_seconds_max: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """The longest pause between two tries."""
    outage_seconds_max: Annotated[float, Field(ge=0)] = 3600.0
    """How long a server may be away in the middle of a run before the run fails."""


def _check_name(text: str) -> str:
    if not re.match(r"[a-z0-9][a-z0-9_-]{0,62}\Z", text):
        raise ValueError("allowed: up to 63 of a-z, 0-9, _ and -; a letter or digit first")
    return text


class ConnectorConfig(Section):
    """One connector: what it captures, where to, what official events and views come of it."""

    connector: Annotated[str, AfterValidator(_check_name)]
    source: Source | None = None
    # Plain values, not an EmbeddedLog: only what is validated learns the file's folder.
    log: Log = Field(default={"kind": "embedded"}, validate_default=True)
    registry: Registry = EmbeddedRegistry()
    spool: SpoolSection | None = None
    """Keeps the binlog on disk while the log is away."""
    topics: TopicsSection = TopicsSection()
    change_events: dict[str, Any] = Field(default_factory=dict)
    """Settings of the change events' form, checked by capture."""
    dead_letters: DeadLettersSection = DeadLettersSection()
    """What becomes of changes that can't be published or translated."""
    streams: tuple[StreamSettings, ...] = ()
    views: tuple[ViewSettings, ...] = ()
    schemas: Annotated[ConfigPath, Field(validate_default=True)] = Path(f"{PROJECT}/schemas")
    """The folder of `<stream>/v<N>/<Event>.avsc`."""
    http: HttpSettings = HttpSettings()
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """Of capture; `at_least_once` repeats the last batches after a crash."""
    limits: Limits = Limits()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have a section in the file."""
        present = (self.source is not None, bool(self.streams), bool(self.views))
        return tuple(stage for stage, is_there in zip(STAGES, present, strict=True) if is_there)

    @property
    def server_id(self) -> int:
        """The replica id under which this connector asks for the binlog."""
        if isinstance(self.source, ServerSource) and self.source.server_id is not None:
            return self.source.server_id
        return derived_server_id(self.connector)

    @property
    def registry_path(self) -> Path:
        """The file of an embedded registry."""
        assert isinstance(self.registry, EmbeddedRegistry)
        if self.registry.path is not None:
            return self.registry.path
        assert isinstance(self.log, EmbeddedLog)  # kept by checks.py
        return self.log.path


def json_schema() -> dict[str, Any]:
    """The JSON schema of a connector file, for editors."""
    return ConnectorConfig.model_json_schema(by_alias=True)
