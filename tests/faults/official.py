"""Official events of the workload's tables: the rules, and by hand what has to come of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from cdc.errors import SchemaError
from cdc.model import Message, Revision
from tests.connectors import Project, Section
from tests.faults.decoding import LEDGER, Change, Decoder
from tests.faults.evidence import Evidence, Place, by_partition
from tests.faults.report import Report

COLUMNS = ("ver", "tx", "h")
"""Of every table of rows; no DDL of the workload touches them."""
ENTRY: Mapping[str, Any] = {
    "seq": "long",
    **dict.fromkeys(("tx", "tbl", "pk", "op", "row_hash"), "string"),
    "ver": "int",
}
ROW: Mapping[str, Any] = {"ver": "int", "tx": "string", "h": "string"}
SECOND = 2
"""The version whose update is told twice."""


def topic_of(connector: str, table: str) -> str:
    """The event topic of a table's stream."""
    return f"{connector}_{table}.v1"


def event_of(act: str, table: str) -> str:
    """An event's name; no two streams have one of the same."""
    return f"{act}_{table}"


def streams(
    project: Project, connector: str, database: str, keys: Mapping[str, str]
) -> list[Section]:
    """The section `streams:` over these tables, by the Avro type of their key; the schemas."""
    found = []
    for table, key in keys.items():
        name, source = f"{connector}_{table}", f"{database}.{table}"
        events = _entry_rules() if table == LEDGER else _row_rules()
        schemas = {"Noted": ENTRY} if table == LEDGER else _row_schemas(key)
        for act, fields in schemas.items():
            project.write_schema(name, event_of(act, table), fields)
        column = "seq" if table == LEDGER else "id"
        rules = [{**one, "event": event_of(one["event"], table), "from": source} for one in events]
        found.append({"stream": name, "major": 1, "key": {column: column}, "events": rules})
    return found


def views(connector: str, tables: Sequence[str], path: str) -> list[Section]:
    """A view of each table that is equal to it in `COLUMNS`."""
    upsert = {"upsert": list(COLUMNS)}
    return [
        {
            "view": table,
            "store": {"kind": "sqlite", "path": path},
            "topic": topic_of(connector, table),
            "key": ["id"],
            "events": {
                event_of("Removed", table): "delete",
                **{event_of(act, table): upsert for act in ("Added", "Changed", "Moved")},
            },
        }
        for table in tables
    ]


def _entry_rules() -> list[Section]:
    return [{"event": "Noted", "on": "insert", "fields": {name: name for name in ENTRY}}]


def _row_rules() -> list[Section]:
    fields = {name: name for name in COLUMNS}
    return [
        {"event": "Added", "on": "insert", "fields": fields},
        {"event": "Changed", "on": "update", "fields": fields},
        {"event": "Second", "on": "update", "when": {"ver": SECOND}, "fields": {"h": "h"}},
        {"event": "Removed", "on": "key_change", "key": {"id": {"before": "id"}}},
        {"event": "Moved", "on": "key_change", "fields": {**fields, "former": {"before": "id"}}},
        {"event": "Removed", "on": "delete"},
    ]


def _row_schemas(key: str) -> Mapping[str, Mapping[str, Any]]:
    return {
        "Added": {"id": key, **ROW},
        "Changed": {"id": key, **ROW},
        "Second": {"id": key, "h": "string"},
        "Moved": {"id": key, **ROW, "former": key},
        "Removed": {"id": key},
    }


class Event(NamedTuple):
    """One official event."""

    topic: str
    id: str
    name: str
    revision: Revision
    key: Any
    fields: Any


def events_of(connector: str, change: Change) -> Iterator[Event]:
    """What the rules make of a change, done by hand."""
    for ordinal, (act, fields) in enumerate(_told(change)):
        name = event_of(act, change.table)
        column = "seq" if change.table == LEDGER else "id"
        yield Event(
            topic=topic_of(connector, change.table),
            id=f"{change.id}/{name}.v1",
            name=name,
            revision=replace(change.revision, ordinal=ordinal),
            key={column: fields[column]},
            fields=fields,
        )


def _told(change: Change) -> Iterator[tuple[str, Mapping[str, Any]]]:
    row = change.after
    if change.table == LEDGER:
        assert row is not None
        yield "Noted", {name: row[name] for name in ENTRY}
    elif row is None:
        assert change.before is not None
        if not change.is_half:  # else it is told at the new key
            yield "Removed", {"id": change.before["id"]}
    else:
        told = {name: row[name] for name in ("id", *COLUMNS)}
        if change.old_key is not None:
            yield "Removed", change.old_key
            yield "Moved", {**told, "former": change.old_key["id"]}
        elif change.op == "c":
            yield "Added", told
        else:
            yield "Changed", told
            if row["ver"] == SECOND:
                yield "Second", {"id": row["id"], "h": row["h"]}


@dataclass
class Officials:
    """Check 10: the event topics hold what the changes give, once, in their order."""

    evidence: Evidence
    decoder: Decoder
    report: Report
    _expected: dict[str, Event] = field(default_factory=dict)
    _order: dict[Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Partition of changes → ids of its events in their order."""

    def expect(self, change: Change) -> None:
        """One change event, of any copy."""
        for event in events_of(self.evidence.connector, change):
            self._expected[event.id] = event
            self._order[change.place].append(event.id)

    def check(self) -> None:
        """Hold what came against all that is expected."""
        found: dict[Place, list[str]] = {}
        for place, messages in by_partition(self.evidence.official):
            found[place] = [one.id for one in self._read(messages)]
        self.report.records += sum(map(len, found.values()))
        wanted = Counter(one for ids in self._order.values() for one in ids)
        counts = Counter(one for ids in found.values() for one in ids)
        for id_, count in (wanted - counts).items():
            self._add("lost", f"{count} × {self._expected[id_]}")
        for id_, count in (counts - wanted).items():
            is_copy = id_ in self._expected
            self._add("doubled" if is_copy else "wrong_content", f"{count} × {id_} too often")
        self._check_order(found)

    def _read(self, messages: Sequence[Message]) -> Iterator[Event]:
        for message in messages:
            where = f"{message.topic}[{message.partition}]@{message.offset}"
            try:
                event = self._decoded(message)
            except (SchemaError, KeyError, ValueError, TypeError) as fault:
                self._add("wrong_content", f"{where}: {fault!r}")
                continue
            if event != self._expected.get(event.id, event):
                self._add("wrong_content", f"{where}: {event}, not {self._expected[event.id]}")
            yield event

    def _decoded(self, message: Message) -> Event:
        assert message.key is not None and message.value is not None
        headers = dict(message.headers)
        namespace, name, major = headers["ce_type"].decode().rsplit(".", 2)
        record = f"{message.topic}-{namespace}.{major}.{name}"
        number = int(headers["ce_revision"])
        return Event(
            topic=message.topic,
            id=headers["ce_id"].decode(),
            name=name,
            revision=Revision.from_bytes(number.to_bytes(8, "big")),
            key=self.decoder.decoded(f"{message.topic}-key", message.key),
            fields=self.decoder.decoded(record, message.value),
        )

    def _check_order(self, found: Mapping[Place, Sequence[str]]) -> None:
        """Events of one partition of changes keep its order in each partition that they are in;
        those of one key are in one."""
        places: dict[tuple[str, str], Place] = {}
        place_of: dict[str, Place] = {}
        for place, ids in found.items():
            for id_ in ids:
                place_of[id_] = place
                if event := self._expected.get(id_):
                    at = places.setdefault((event.topic, str(event.key)), place)
                    if at != place:
                        self._add("out_of_order", f"{id_} is in {place}, its key in {at}")
        for origin, wanted in self._order.items():
            here, topic = set(wanted), self._expected[wanted[0]].topic
            for place, ids in found.items():
                if place[0] != topic:
                    continue
                came = [one for one in ids if one in here]
                due = [one for one in wanted if place_of.get(one) == place]
                if came != due and Counter(came) == Counter(due):
                    pairs = zip(came, due, strict=True)
                    early, late = next((one, other) for one, other in pairs if one != other)
                    self._add("out_of_order", f"{early} of {origin} comes before {late}")

    def _add(self, fault: Any, text: str) -> None:
        self.report.add(fault, 10, text)
