"""Official schemas: the files schemas/<stream>/v<N>/<Event>.avsc, and what is derived of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cdc.codec.avro import AvroSchema
from cdc.errors import SchemaError

_NAMESPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")


class EventName(NamedTuple):
    """An official event and its version; the major belongs to the stream."""

    stream: str
    major: int
    event: str

    @property
    def topic(self) -> str:
        return f"{self.stream}.v{self.major}"

    @property
    def file(self) -> str:
        """The schema's path inside the schemas' folder."""
        return f"{self.stream}/v{self.major}/{self.event}.avsc"


@dataclass(frozen=True, slots=True)
class OfficialSchemas:
    """Schemas of official events as JSON values; a file that is there but wrong is a fault."""

    by_event: Mapping[EventName, Mapping[str, Any]]
    faults: Mapping[EventName, str] = field(default_factory=dict)
    folder: str = "schemas"


def load_official(folder: Path, events: Iterable[EventName]) -> OfficialSchemas:
    """Read the schemas of these events; missing ones are left out, wrong ones are faults."""
    schemas: dict[EventName, Mapping[str, Any]] = {}
    faults: dict[EventName, str] = {}
    for event in events:
        path = folder / event.file
        if not path.is_file():
            continue
        try:
            definition = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as fault:
            faults[event] = f"can't be read as JSON: {fault}"
            continue
        if fault_text := schema_fault(definition, event.event):
            faults[event] = fault_text
        else:
            schemas[event] = definition
    return OfficialSchemas(schemas, faults, str(folder))


def schema_fault(definition: Any, event: str) -> str:
    """Why a JSON value is no schema of this event; empty if it is one."""
    if not isinstance(definition, dict) or definition.get("type") != "record":
        return "isn't an Avro record"
    name = str(definition.get("name", "")).rpartition(".")[2]
    if name != event:
        return f"names its record {name!r}, not {event!r}"
    namespace = definition.get("namespace")
    if namespace and not _NAMESPACE.match(str(namespace)):
        # Registries refuse it, and say only that this is no schema.
        return f"has the namespace {namespace!r}; allowed: A-Z, a-z, 0-9 and _, joined by dots"
    try:
        AvroSchema(definition)
    except SchemaError as fault:
        return fault.message
    return ""


def key_schema(topic: str, names: Iterable[str], event: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a topic's key: these fields with the types that the event gives them.

    Its name follows from the topic alone, `orders.v1` → `orders.v1.Key`, so that the key's
    schema stays as it is when events are added."""
    types = {one["name"]: one["type"] for one in event["fields"]}
    named: dict[str, Any] = {}
    outer = str(event.get("namespace", ""))
    for definition in types.values():
        _collect_named(definition, outer, named)
    fields = [{"name": name, "type": _key_type(types[name], outer, named)} for name in names]
    namespace = topic.replace("-", "_")
    return {"type": "record", "name": "Key", "namespace": namespace, "fields": fields}


def _key_type(definition: Any, outer: str, named: Mapping[str, Any]) -> Any:
    """A field's type without null, documentation and outside names."""
    if isinstance(definition, list):
        values = [branch for branch in definition if branch != "null"]
        return _key_type(values[0], outer, named) if len(values) == 1 else values
    if isinstance(definition, str):
        return named.get(definition) or named.get(f"{outer}.{definition}") or definition
    bare = {name: part for name, part in definition.items() if name not in ("doc", "aliases")}
    return {**bare, **_named(bare, outer)}


def _collect_named(definition: Any, outer: str, named: dict[str, Any]) -> None:
    for one in definition if isinstance(definition, list) else [definition]:
        if isinstance(one, Mapping) and one.get("type") in ("enum", "fixed"):
            bare = _key_type(one, outer, {})
            named[f"{bare['namespace']}.{bare['name']}" if bare["namespace"] else bare["name"]] = (
                bare
            )


def _named(definition: Mapping[str, Any], outer: str) -> dict[str, str]:
    if definition.get("type") not in ("enum", "fixed"):
        return {}
    inner, _, name = str(definition["name"]).rpartition(".")
    return {"name": name, "namespace": inner or str(definition.get("namespace", outer))}
