"""Which settings of an existing topic aren't what the configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.model import TopicDifference, TopicSpec


def compare(spec: TopicSpec, found: Mapping[str, str]) -> list[TopicDifference]:
    """What of an existing topic differs from its spec; what the spec leaves open can't differ."""
    wanted = {"partitions": str(spec.partitions), "compacted": str(spec.compacted)}
    if spec.replication > 0:
        wanted["replication"] = str(spec.replication)
    if spec.retention_ms is not None:
        wanted["retention_ms"] = str(spec.retention_ms)
    return [
        TopicDifference(spec.name, setting, value, found[setting])
        for setting, value in sorted(wanted.items())
        if setting in found and found[setting] != value
    ]
