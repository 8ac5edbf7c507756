"""Topic names and Avro names, adjusted as Debezium does (mode `avro`)."""

from __future__ import annotations

import re

TOPIC_MAX = 249
"""Characters of a Kafka topic's name."""


def topic_of(connector: str, database: str, table: str) -> str:
    """The change topic of a table: what a topic's name can't hold becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{connector}.{database}.{table}")[:TOPIC_MAX]


def avro_name(name: str) -> str:
    """A field or simple record name: other characters become `_`, a leading digit gets one."""
    adjusted = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{adjusted}" if adjusted[:1].isdigit() else adjusted


def avro_namespace(topic: str) -> str:
    """A topic's name as a full name: each part adjusted between its dots."""
    adjusted = re.sub(r"[^A-Za-z0-9_.]", "_", topic)
    return f"_{adjusted}" if adjusted[:1].isdigit() else adjusted
