"""The section `topics:`: how topics are created."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field

from cdc.config.section import Section
from cdc.model import TopicSpec

FOREVER = "forever"
_RETENTION = re.compile(r"(?P<number>[1-9]\d{0,5})(?P<unit>[smhd])\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def retention_ms(text: str) -> int:
    """`7d`, `12h`, `30m`, `90s` in milliseconds; -1 for `forever`; ValueError otherwise."""
    if text == FOREVER:
        return -1
    match = _RETENTION.match(text)
    if match is None:
        raise ValueError(f"allowed: a number with s, m, h or d, such as 7d; or {FOREVER}")
    return int(match["number"]) * _UNIT_SECONDS[match["unit"]] * 1000


def _check_retention(text: str) -> str:
    retention_ms(text)
    return text


Retention = Annotated[str, AfterValidator(_check_retention)]
Partitions = Annotated[int, Field(ge=1, le=10_000)]
Replication = Annotated[int, Field(ge=1, le=100)]


class TopicSettings(Section):
    """Settings of new topics; retention left out is the broker's default."""

    partitions: Partitions = 1
    replication: Replication = 1
    retention: Retention | None = None
    compacted: bool = False


class EventTopicSettings(TopicSettings):
    """Official events stay, so that a view can be built from the beginning."""

    retention: Retention | None = FOREVER


class TopicOverride(Section):
    """Settings for the topics whose names match; what is left out stays as it is."""

    topics: Annotated[str, Field(min_length=1)]
    partitions: Partitions | None = None
    replication: Replication | None = None
    retention: Retention | None = None
    compacted: bool | None = None


class TopicsSection(Section):
    """Change topics, event topics, and exceptions by name (the last match wins)."""

    changes: TopicSettings = TopicSettings()
    events: EventTopicSettings = EventTopicSettings()
    overrides: tuple[TopicOverride, ...] = ()

    def change_topic(self, name: str) -> TopicSpec:
        """How the change topic of this name is created."""
        return self._spec(name, self.changes)

    def event_topic(self, name: str) -> TopicSpec:
        """How the event topic of this name is created."""
        return self._spec(name, self.events)

    def schema_topic(self, name: str) -> TopicSpec:
        """How the topic of schema changes is created: in one order, and nothing is replaced."""
        return replace(self.change_topic(name), partitions=1, compacted=False)

    def internal_topic(self, name: str) -> TopicSpec:
        """How a topic is created that the connector keeps its own knowledge in."""
        replication = self._spec(name, self.changes).replication
        return TopicSpec(name, 1, replication, retention_ms=-1, compacted=True)

    def _spec(self, name: str, settings: TopicSettings) -> TopicSpec:
        values = settings.model_dump()
        for override in self.overrides:
            if fnmatchcase(name, override.topics):
                values.update(override.model_dump(exclude_none=True, exclude={"topics"}))
        retention = values["retention"]
        return TopicSpec(
            name,
            partitions=values["partitions"],
            replication=values["replication"],
            retention_ms=None if retention is None else retention_ms(retention),
            compacted=values["compacted"],
        )
