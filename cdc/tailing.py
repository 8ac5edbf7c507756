"""`cdc tail`: the events of any topic, readable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from cdc.codec.avro import SchemaCache
from cdc.errors import CdcError, RegistryError, SchemaError
from cdc.findings import nearest
from cdc.model import REVISION_HEADER, Message, Offsets, Revision
from cdc.ports import Log, Registry
from cdc.rendering import readable


def tail(
    log: Log, registry: Registry, topic: str, *, last: int | None, wait_seconds: float
) -> Iterator[dict[str, Any]]:
    """Events of a topic as JSON values: the `last` ones of each partition, then what comes.

    Ends when nothing new came for `wait_seconds`."""
    topics = log.topics()
    if topic not in topics:
        raise CdcError(f"there is no topic {topic}", hint=nearest(topic, topics))
    ends = log.end_offsets(topic)
    start: Offsets = {}
    if last is not None:
        start = {place: max(0, end - last) for place, end in ends.items()}
    schemas = SchemaCache(registry)
    for message in log.follow(topic, start, wait_seconds=wait_seconds):
        yield shown(message, schemas)


def shown(message: Message, schemas: SchemaCache) -> dict[str, Any]:
    """One message, decoded where it can be."""
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "headers": {name: _header(name, value) for name, value in message.headers},
        "key": _decoded(message.key, schemas),
        "value": _decoded(message.value, schemas),
    }


def _decoded(data: bytes | None, schemas: SchemaCache) -> Any:
    if data is None:
        return None
    try:
        return readable(schemas.decode(data))
    except (SchemaError, RegistryError):
        # Not Avro: a checkpoint, or another producer's record.
        return data.decode("utf-8", "backslashreplace")


def _header(name: str, value: bytes) -> str:
    if name == REVISION_HEADER and len(value) == 8:
        revision = Revision.from_bytes(value)
        return f"{revision.epoch}.{revision.sequence}.{revision.ordinal}"
    return value.decode("utf-8", "backslashreplace")


def show(event: dict[str, Any], console: Console) -> None:
    """One event as two lines: place and key, then the value."""
    headers = event["headers"]
    name = headers.get("ce_type", "tombstone" if event["value"] is None else "")
    place = f"{event['topic']}[{event['partition']}]@{event['offset']}"
    console.print(Text(place, style="dim"), Text(name, style="bold green"), _json(event["key"]))
    if event["value"] is not None:
        console.print(Text("  "), _json(event["value"]))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
