"""`cdc tail`: the events of any topic, readable."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from cdc.codec.avro import SchemaCache
from cdc.errors import CdcError, LogError, RegistryError, SchemaError
from cdc.findings import nearest
from cdc.model import REVISION_HEADER, Message, Offsets, Revision
from cdc.ports import Log, Registry
from cdc.rendering import readable

LAST_STEP_OFFSETS = 64
LAST_STEP_FACTOR = 8
"""How far before the end `--last` looks first, and how much further each time."""


def tail(
    log: Log, registry: Registry, topic: str, *, last: int | None, wait_seconds: float
) -> Iterator[dict[str, Any]]:
    """Events of a topic as JSON values: the `last` ones of each partition, then what comes.

    Ends when nothing new came for `wait_seconds`."""
    try:
        ends = log.end_offsets(topic)
    except LogError as missing:
        topics = log.topics()
        if topic in topics:
            raise
        hint = nearest(topic, topics) or "the log has no topics yet: `cdc run` creates them"
        raise CdcError(f"there is no topic {topic}", hint=hint) from missing
    schemas = SchemaCache(registry)
    start: Offsets = {}
    if last is not None:
        tails = _last(log, topic, ends, last)
        for place in sorted(tails):
            for message in tails[place]:
                yield shown(message, schemas)
        start = {**ends, **{place: kept[-1].offset + 1 for place, kept in tails.items() if kept}}
    for message in log.follow(topic, start, wait_seconds=wait_seconds):
        yield shown(message, schemas)


def _last(
    log: Log, topic: str, ends: Offsets, count: int
) -> Mapping[tuple[str, int], deque[Message]]:
    """The last `count` messages of each partition.

    Offsets have gaps (transactions' markers, compaction), so it looks further and further back."""
    back = count + LAST_STEP_OFFSETS
    while True:
        tails: dict[tuple[str, int], deque[Message]] = {at: deque(maxlen=count) for at in ends}
        start = {at: max(0, end - back) for at, end in ends.items()}
        try:
            for message in log.follow(topic, start if any(start.values()) else {}, wait_seconds=0):
                tails[message.topic, message.partition].append(message)
        except LogError:  # retention took the place to start at
            if not any(start.values()):
                raise
            back = max(ends.values())
            continue
        if all(len(tails[at]) == count or not start[at] for at in ends):
            return tails
        back *= LAST_STEP_FACTOR


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
    # As Text: what is in square brackets would be taken for markup.
    parts = [(place, "dim"), (name, "bold green"), (_json(event["key"]), "")]
    console.print(Text(" ").join(Text(text, style) for text, style in parts if text))
    if event["value"] is not None:
        console.print(Text(f"  {_json(event['value'])}"))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
