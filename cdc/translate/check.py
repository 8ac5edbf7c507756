"""Rules against schemas and real columns, before anything runs: every fault with its fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from cdc.codec.official import EventName, OfficialSchemas
from cdc.codec.types import ValueType, record_fields
from cdc.errors import SchemaError
from cdc.findings import Finding, listed, nearest
from cdc.translate.rule import KEY_KINDS, OfficialEvent, RuleCompiler, official_event
from cdc.translate.settings import EVENTS_PER_ROW_MAX, EventRule, StreamSettings
from cdc.translate.table import ChangeSchemas, TableTypes, table_types


def check_rules(
    streams: Sequence[StreamSettings],
    official: OfficialSchemas,
    changes: Mapping[str, ChangeSchemas] | None = None,
) -> list[Finding]:
    """All findings, in the order of the configuration.

    `changes` holds the schemas of change events by `database.table`; without them only what
    the official schemas say is checked."""
    findings = [*_duplicates(streams), *_too_many(streams)]
    tables = None if changes is None else _tables(changes, findings)
    for index, stream in enumerate(streams):
        findings += _stream_findings(f"streams[{index}]", stream, official, tables)
    return findings


def find_event(
    path: str, stream: StreamSettings, rule: EventRule, official: OfficialSchemas
) -> tuple[OfficialEvent | None, list[Finding]]:
    """The event of a rule, or why there is none."""
    name = stream.name_of(rule)
    file = f"{official.folder}/{name.file}"
    if name in official.faults:
        return None, [Finding("error", f"{path}.event", f"{file} {official.faults[name]}")]
    if name not in official.by_event:
        known = [one.event for one in official.by_event if one[:2] == name[:2]]
        hint = nearest(rule.event, known) if known else "write the event's Avro schema there"
        return None, [Finding("error", f"{path}.event", f"there is no schema {file}", hint)]
    definition = official.by_event[name]
    findings = _key_findings(path, stream, file, record_fields(definition))
    if findings:
        return None, findings
    return official_event(stream, rule, definition), []


def rules_of(
    streams: Sequence[StreamSettings],
) -> Iterator[tuple[str, StreamSettings, EventRule]]:
    """Every rule with its place in the configuration, in order."""
    for index, stream in enumerate(streams):
        for number, rule in enumerate(stream.events):
            yield f"streams[{index}].events[{number}]", stream, rule


def event_names(streams: Sequence[StreamSettings]) -> list[EventName]:
    """The official events that rules make, each once, in order."""
    return list(dict.fromkeys(stream.name_of(rule) for _, stream, rule in rules_of(streams)))


def _tables(changes: Mapping[str, ChangeSchemas], findings: list[Finding]) -> dict[str, TableTypes]:
    tables = {}
    for table, schemas in changes.items():
        try:
            tables[table] = table_types(schemas)
        except SchemaError as fault:
            findings.append(Finding("error", "streams", f"{table}: {fault.message}", fault.hint))
    return tables


def _stream_findings(
    path: str,
    stream: StreamSettings,
    official: OfficialSchemas,
    tables: Mapping[str, TableTypes] | None,
) -> Iterator[Finding]:
    key_types: dict[str, tuple[str, ValueType]] = {}
    for number, rule in enumerate(stream.events):
        rule_path = f"{path}.events[{number}]"
        event, findings = find_event(rule_path, stream, rule, official)
        yield from findings
        types = None if tables is None else tables.get(rule.from_)
        if tables is not None and types is None:
            yield Finding(
                "error",
                f"{rule_path}.from",
                f"there is no table {rule.from_!r} among those that are captured",
                nearest(rule.from_, tables),
            )
        if event is None:
            continue
        compiler = RuleCompiler(rule_path, stream, rule, event)
        compiler.compile(types)
        yield from compiler.findings
        yield from _key_type_findings(rule_path, event, key_types)
        if types is not None:
            yield from _order_findings(rule_path, stream, rule, types)
    yield from _several_tables(path, stream)


def _key_findings(
    path: str, stream: StreamSettings, file: str, fields: Mapping[str, object]
) -> list[Finding]:
    return [
        Finding(
            "error",
            f"{path.partition('.')[0]}.key.{name}",
            f"{file} has no field {name!r}, which is part of the stream's key",
            "every event of a stream has the key's fields",
        )
        for name in stream.key
        if name not in fields
    ]


def _key_type_findings(
    path: str, event: OfficialEvent, known: dict[str, tuple[str, ValueType]]
) -> Iterator[Finding]:
    """One topic has one key schema: the key's types are the same in all its events."""
    for name in event.key_fields:
        type_ = event.fields[name].type
        first, wanted = known.setdefault(name, (event.name.file, type_))
        if type_.kind not in KEY_KINDS:
            yield Finding(
                "error",
                f"{path}.event",
                f"{event.name.file} has {name!r} as {type_}, which can't be part of a key",
                f"allowed: {listed(sorted(KEY_KINDS))}",
            )
        elif str(type_) != str(wanted):
            yield Finding(
                "error",
                f"{path}.event",
                f"{event.name.file} has the key's field {name!r} as {type_}, {first} as {wanted}",
                "give it the same type in all events of the stream",
            )


def _order_findings(
    path: str, stream: StreamSettings, rule: EventRule, types: TableTypes
) -> Iterator[Finding]:
    """Invariant 3 holds where equal event keys come from equal change keys.

    Change events lie in partitions by the table's key. Two rows of one event key with different
    table keys may lie in different partitions, and then nothing orders them."""
    key = stream.key if rule.key is None else rule.key
    columns = {source.column for source in key.values() if source.column}
    if not types.key_columns or not types.key_columns <= columns:
        table_key = listed(sorted(types.key_columns)) or "nothing"
        yield Finding(
            "warning",
            f"{path}.key" if rule.key else f"{path.partition('.')[0]}.key",
            f"rows of {rule.from_} are ordered by {table_key}, the stream by"
            f" {listed(sorted(columns))}: events of one key keep their order only while the"
            " change topic has one partition",
            "take all columns of the table's key into the stream's, or keep one partition",
        )
    elif "key_change" in rule.on and any(source.is_before for source in key.values()):
        yield Finding(
            "warning",
            f"{path}.key",
            f"{rule.event} goes to the old key, and a changed key is told at the new one: it keeps"
            " its order with the old key's events only while the change topic has one partition",
            f"keep one partition for the change topic of {rule.from_}",
        )


def _several_tables(path: str, stream: StreamSettings) -> Iterator[Finding]:
    tables = sorted({rule.from_ for rule in stream.events})
    if len(tables) > 1:
        yield Finding(
            "warning",
            path,
            f"the stream is fed by {listed(tables)}: changes of"
            " different tables are read side by side, so events of different tables may"
            " come in another order than their changes",
        )


def _duplicates(streams: Sequence[StreamSettings]) -> Iterator[Finding]:
    topics: dict[str, int] = {}
    events: dict[tuple[str, int], StreamSettings] = {}
    for index, stream in enumerate(streams):
        first = topics.setdefault(stream.topic, index)
        if first != index:
            yield Finding(
                "error",
                f"streams[{index}]",
                f"{stream.topic} is streams[{first}] too",
                "put the events of one stream and major together",
            )
        for number, rule in enumerate(stream.events):
            owner = events.setdefault((rule.event, stream.major), stream)
            if owner.stream != stream.stream:
                # An event's id names event and major; it has to be unique in the connector.
                yield Finding(
                    "error",
                    f"streams[{index}].events[{number}].event",
                    f"{rule.event}.v{stream.major} is an event of {owner.stream} too",
                    "give one of them another name",
                )


def _too_many(streams: Sequence[StreamSettings]) -> Iterator[Finding]:
    rules = Counter(rule.from_ for _, _, rule in rules_of(streams))
    for table, count in rules.items():
        if count > EVENTS_PER_ROW_MAX:
            yield Finding(
                "error",
                "streams",
                f"{count} rules read {table}; the most is {EVENTS_PER_ROW_MAX}",
                "a revision can't number more events of one row",
            )
