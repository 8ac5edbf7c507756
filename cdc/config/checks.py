"""Checks across sections, on the plain values, so that they run beside other faults."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from cdc.config.faults import YamlPath, dotted, nearest
from cdc.config.source import parse_start
from cdc.patterns import TablePatterns, check_table_pattern

Finding = tuple[YamlPath, str]

_NEEDED_BY = {"capture": "source", "translate": "streams", "views": "views"}


def check_sections(data: Any, stages: Collection[str]) -> Iterator[Finding]:
    """Where sections that are right by themselves don't fit together."""
    if not isinstance(data, dict):
        return
    yield from _stages(data, stages)
    yield from _registry(data)
    yield from _coordinates(data)
    yield from _spool(data)
    yield from _streams(data)
    yield from _views(data)
    yield from _unique(data)


def _stages(data: dict[str, Any], stages: Collection[str]) -> Iterator[Finding]:
    for stage, section in _NEEDED_BY.items():
        if stage in stages and not data.get(section):
            yield (section,), f"missing; the stage {stage} needs it"


def _registry(data: dict[str, Any]) -> Iterator[Finding]:
    if _at(data, "log", "kind") != "kafka":
        return
    if data.get("registry") is None:
        yield ("registry",), "missing; a Kafka log needs registry: {url: …} or {kind: embedded, …}"
    elif _at(data, "registry", "kind") == "embedded" and not _at(data, "registry", "path"):
        text = "missing; beside a Kafka log an embedded registry needs a file of its own"
        yield ("registry", "path"), text


def _coordinates(data: dict[str, Any]) -> Iterator[Finding]:
    start, coordinates = _at(data, "source", "start"), _at(data, "source", "coordinates")
    try:
        kind = parse_start(start).kind if isinstance(start, str) else ""
    except ValueError:
        return
    if coordinates == "file" and kind == "gtid":
        text = "a GTID set does not go with coordinates: file; write file:position"
        yield ("source", "start"), text


def _spool(data: dict[str, Any]) -> Iterator[Finding]:
    if data.get("spool") is None:
        return
    if _at(data, "source", "files") is not None:
        yield ("spool",), "binlog files need no spool; leave it out"
    elif _at(data, "source", "reader") == "reference":
        yield ("spool",), "goes with source.reader: cdc only"


def _streams(data: dict[str, Any]) -> Iterator[Finding]:
    """A rule's table must be one that is captured."""
    patterns = _at(data, "source", "tables")
    if not isinstance(patterns, list) or not patterns or not all(map(_is_table, patterns)):
        return
    captured = TablePatterns(tuple(patterns))
    for number, stream in _mappings(data, "streams"):
        for index, event in _mappings(stream, "events"):
            table = event.get("from")
            if isinstance(table, str) and _is_table(table) and not captured.covers(table):
                text = "this table is not captured: source.tables has no pattern that matches it"
                yield ("streams", number, "events", index, "from"), text


def _views(data: dict[str, Any]) -> Iterator[Finding]:
    """A view of a stream of this file takes events that the stream has."""
    names: dict[str, set[str]] = {}
    for _, stream in _mappings(data, "streams"):
        topic = f"{stream.get('stream')}.v{stream.get('major')}"
        events = (event.get("event") for _, event in _mappings(stream, "events"))
        names.setdefault(topic, set()).update(str(name) for name in events)
    for number, view in _mappings(data, "views"):
        topic, handled = str(view.get("topic")), view.get("events")
        if topic not in names or not isinstance(handled, dict):
            continue
        allowed = sorted(names[topic])
        for event in handled:
            if event not in allowed:
                text = f"{topic} has no such event; allowed: {', '.join(allowed)}"
                yield ("views", number, "events", event), text + nearest(event, allowed)


def _unique(data: dict[str, Any]) -> Iterator[Finding]:
    """A stream's major is declared once, and so is a view: two would write the same topic."""
    for section, names in (("streams", ("stream", "major")), ("views", ("view",))):
        seen: dict[tuple[Any, ...], YamlPath] = {}
        for index, entry in _mappings(data, section):
            if not isinstance(entry.get(names[0]), str):
                continue
            identity = tuple(str(entry.get(name)) for name in names)
            path: YamlPath = (section, index)
            if identity in seen:
                yield (*path, names[0]), f"declared already at {dotted(seen[identity])}"
            seen.setdefault(identity, path)


def _mappings(data: dict[str, Any], section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a list that are mappings, with their indexes."""
    entries = data.get(section)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _is_table(value: Any) -> bool:
    try:
        return isinstance(value, str) and check_table_pattern(value) == value
    except ValueError:
        return False


def _at(data: dict[str, Any], *path: str) -> Any:
    value: Any = data
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
