"""The step from change events to official events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from cdc.codec.avro import AvroSchema, SchemaCache, full_name
from cdc.codec.official import EventName, OfficialSchemas
from cdc.codec.partition import place
from cdc.codec.wire import FRAME_BYTES, frame, schema_id_of
from cdc.dead_letters import RULE, UNREADABLE_EVENT
from cdc.errors import RuleError, SchemaError
from cdc.findings import Finding, errors_of
from cdc.held_keys import HeldKeys, Key
from cdc.model import (
    ID_HEADER,
    REVISION_HEADER,
    Message,
    Offsets,
    Output,
    Record,
    Revision,
)
from cdc.ports import Registry
from cdc.translate.check import check_rules, find_event, rules_of
from cdc.translate.conditions import Row
from cdc.translate.dead_messages import DeadMessages, change_keys
from cdc.translate.headers import (
    CONTENT_TYPE,
    REVISION_NAME,
    VERSION,
    event_source,
    event_type,
    revision_text,
    rfc3339,
)
from cdc.translate.plan import TablePlan, Translated, TranslatedChange
from cdc.translate.rule import CompiledRule, OfficialEvent, RuleCompiler, UnfitValueError
from cdc.translate.settings import EVENTS_PER_ROW_MAX, EventRule, StreamSettings
from cdc.translate.table import ChangeSchemas, change_topic, table_types

NEW_KEY_HEADER = "__debezium.newkey"
OLD_KEY_HEADER = "__debezium.oldkey"

NO_RULE_MATCHED = "no rule matched"
NO_RULE_FOR_TABLE = "no rule names this table"
TOLD_AT_NEW_KEY = "the key's change is told at its new key"
TOMBSTONE = "tombstone"

PLANS_KEPT_MAX = 10_000
"""Compiled plans that a translator keeps, one for each schema of a table."""


class Messages(Protocol):
    """A batch of change events and the offsets that stand after it."""

    @property
    def messages(self) -> Sequence[Message]: ...

    @property
    def offsets(self) -> Offsets: ...


class _Rule(NamedTuple):
    """A rule with its place in the configuration and its event."""

    path: str
    stream: StreamSettings
    rule: EventRule
    event: OfficialEvent


class _Wire(NamedTuple):
    """What all records of one official event have in common."""

    topic: str
    key_frame: bytes
    value_frame: bytes
    id_end: str
    type: tuple[str, bytes]


class Translator:
    """Maps change events to official events; the same input gives the same bytes.

    All schemas that it writes are registered when it is made, before the first record. A change
    that a rule can't be applied to raises `RuleError` with its coordinates, and nothing of its
    batch is written; or it becomes a dead letter, and none of its own events is written.

    `dropped` counts by (table, operation, reason) what gave no event (invariant 2), `published`
    by rule what did. Both only grow; a batch that failed half-way isn't counted."""

    def __init__(
        self,
        *,
        connector: str,
        streams: Sequence[StreamSettings],
        official: OfficialSchemas,
        registry: Registry,
        topic_delimiter: str = ".",
        dead_messages: DeadMessages | None = None,
    ) -> None:
        """`dead_messages` says what becomes of a change that can't be translated; None: it
        stops."""
        _refuse(errors_of(check_rules(streams, official)), "the rules can't be used")
        self.dropped: Counter[tuple[str, str, str]] = Counter()
        self.published: Counter[str] = Counter()
        self._connector = connector
        self._registry = registry
        self._dead_messages = dead_messages
        self._held = dead_messages.held if dead_messages is not None else HeldKeys()
        self._schemas = SchemaCache(registry, plain=True)
        self._source = ("ce_source", event_source(connector).encode())
        self._tables: dict[str, str] = {}
        self._rules: dict[str, list[_Rule]] = {}
        self._wires: dict[EventName, _Wire] = {}
        self._plans: dict[tuple[str, bytes, bytes], TablePlan] = {}
        for path, stream, rule in rules_of(streams):
            event, _ = find_event(path, stream, rule, official)
            assert event is not None  # checked above
            topic = change_topic(connector, rule.from_, topic_delimiter)
            self._tables[topic] = rule.from_
            self._rules.setdefault(topic, []).append(_Rule(path, stream, rule, event))
            if event.name not in self._wires:
                self._wires[event.name] = self._register(event)
        self.input_topics: Sequence[str] = tuple(self._rules)
        self.output_topics: Sequence[str] = tuple(dict.fromkeys(one.topic for one in streams))

    def __call__(self, batch: Messages) -> Output[Record, Offsets]:
        """The official events of a batch of change events, in the batch's order."""
        records: list[Record] = []
        dropped: Counter[tuple[str, str, str]] = Counter()
        published: Counter[str] = Counter()
        for message in batch.messages:
            reason = self._settled(message, records, published)
            if reason is not None:
                dropped[reason] += 1
        self.dropped.update(dropped)
        self.published.update(published)
        return Output(records, batch.offsets)

    def _settled(
        self, message: Message, records: list[Record], published: Counter[str]
    ) -> tuple[str, str, str] | None:
        """Append the events of one message or its dead letter, or say as what it is dropped."""
        try:
            return self._translate(message, records, published)
        except RuleError as error:
            if self._dead_messages is None:
                raise
            table = self._tables[message.topic]
            headers = dict(message.headers)
            # None of its events is there; what follows waits for it, or doesn't, as is chosen.
            settled = self._dead_messages.settle(
                table, message, headers, error, partial(self._keys, table, message, headers)
            )
            if isinstance(settled, str):
                return table, "change", settled
            records.append(settled)
            return None

    def _translate(
        self, message: Message, records: list[Record], published: Counter[str]
    ) -> tuple[str, str, str] | None:
        """Append the events of one message, or say as what it is dropped."""
        table = self._tables.get(message.topic)
        if table is None:
            name = message.topic.removeprefix(f"{self._connector}.")
            return name, "unknown", NO_RULE_FOR_TABLE
        if message.value is None:
            return table, "delete", TOMBSTONE
        headers = dict(message.headers)
        if NEW_KEY_HEADER in headers:
            return table, "key_change", TOLD_AT_NEW_KEY
        change = self._change(table, message, message.value, headers)
        if not change.events:
            return table, change.operation, NO_RULE_MATCHED
        made = self._records(table, message, headers, change)
        if self._held.by_topic and self._dead_messages is not None:  # Invariant 3.
            keys = change_keys(message, headers.get(OLD_KEY_HEADER))
            keys += [(one.topic, (one.key or b"")[FRAME_BYTES:]) for one in made]
            place = f"a change of {table} at {_coordinates(message)}"
            self._dead_messages.check_held(place, keys)
        records += made
        published.update(event.rule.name for event in change.events)
        return None

    def _keys(self, table: str, message: Message, headers: Mapping[str, bytes]) -> list[Key]:
        """The change event's own keys, and those of its events where they can be told."""
        old_key = headers.get(OLD_KEY_HEADER)
        keys = change_keys(message, old_key)
        assert message.value is not None, "a tombstone has no events"
        try:
            plan = self._plan(table, message, message.value)
            old: Row | None = None if old_key is None else self._schemas.decode(old_key)
            found = plan.keys(message.value[FRAME_BYTES:], old)
        except SchemaError:  # it can't be read: later changes of its row wait all the same
            return keys
        return keys + [(rule.event.name.topic, key) for rule, key in found]

    def _change(
        self, table: str, message: Message, value: bytes, headers: Mapping[str, bytes]
    ) -> TranslatedChange:
        try:
            plan = self._plan(table, message, value)
            old_key = headers.get(OLD_KEY_HEADER)
            old: Row | None = None if old_key is None else self._schemas.decode(old_key)
            return plan.apply(value[FRAME_BYTES:], old)
        except UnfitValueError as fault:
            raise RuleError(
                f"rule {fault.rule} can't translate a change of {table} at"
                f" {_coordinates(message)}: {fault.message}",
                hint=fault.hint,
                kind=RULE,
            ) from None
        except SchemaError as fault:
            raise RuleError(
                f"a change of {table} at {_coordinates(message)} can't be read: {fault.message}",
                hint=fault.hint or "look at it with `cdc tail`; was it written by capture?",
                kind=UNREADABLE_EVENT,
            ) from fault

    def _plan(self, table: str, message: Message, value: bytes) -> TablePlan:
        """The plan for the schemas that wrote this message, compiled at the first one."""
        key = message.key[:FRAME_BYTES] if message.key is not None else b""
        known = message.topic, value[:FRAME_BYTES], key
        plan = self._plans.get(known)
        if plan is None:
            plan = self._compile(table, message, value)
            if len(self._plans) >= PLANS_KEPT_MAX:  # Invariant 7: bounded.
                self._plans.clear()
            self._plans[known] = plan
        return plan

    def _compile(self, table: str, message: Message, value: bytes) -> TablePlan:
        envelope = self._schemas.get(schema_id_of(value))
        key = None if message.key is None else self._schemas.get(schema_id_of(message.key))
        types = table_types(ChangeSchemas(envelope.definition, key.definition if key else None))
        compiled: list[CompiledRule] = []
        errors: list[Finding] = []
        for path, stream, rule, event in self._rules[message.topic]:
            compiler = RuleCompiler(path, stream, rule, event)
            if one := compiler.compile(types):
                compiled.append(one)
            errors += errors_of(compiler.findings)
        _refuse(errors, f"the rules don't fit {table} as it is at {_coordinates(message)}")
        return TablePlan(envelope, compiled)

    def _records(
        self,
        table: str,
        message: Message,
        headers: Mapping[str, bytes],
        change: TranslatedChange,
    ) -> list[Record]:
        revision, change_id = _identity(table, message, headers)
        if revision.ordinal + len(change.events) - 1 >= EVENTS_PER_ROW_MAX:
            raise RuleError(
                f"a change of {table} at {_coordinates(message)} gives"
                f" {len(change.events)} events; a revision can't number them",
                hint="let fewer rules match one row",
                kind=RULE,
            )
        time = ("ce_time", rfc3339(change.committed_ns, 10**9).encode())
        seen: Counter[str] = Counter()
        records = []
        for number, event in enumerate(change.events):
            wire = self._wires[event.rule.event.name]
            id_end = wire.id_end
            again = seen[id_end]
            seen[id_end] += 1
            if again:  # two rules made the same event of this row: ids stay unique
                id_end = f"{id_end}/{again}"
            ordinal = Revision(revision.epoch, revision.sequence, revision.ordinal + number)
            records.append(self._record(wire, event, f"{change_id}{id_end}", ordinal, time))
        return records

    def _record(
        self,
        wire: _Wire,
        event: Translated,
        event_id: str,
        revision: Revision,
        time: tuple[str, bytes],
    ) -> Record:
        headers = [VERSION, ("ce_id", event_id.encode()), wire.type, self._source]
        if event.subject:
            headers.append(("ce_subject", event.subject.encode()))
        headers += [time, (REVISION_NAME, revision_text(revision)), CONTENT_TYPE]
        return Record(
            topic=wire.topic,
            # Invariant 3: the key's bare body alone decides the partition.
            place=place(event.key),
            key=wire.key_frame + event.key,
            value=wire.value_frame + event.value,
            headers=headers,
        )

    def _register(self, event: OfficialEvent) -> _Wire:
        topic, name = event.name.topic, full_name(event.value.definition)
        return _Wire(
            topic=topic,
            key_frame=self._frame(f"{topic}-key", event.key),
            value_frame=self._frame(f"{topic}-{name}", event.value),
            id_end=f"/{event.name.event}.v{event.name.major}",
            type=("ce_type", event_type(event.name, name.rpartition(".")[0]).encode()),
        )

    def _frame(self, subject: str, schema: AvroSchema) -> bytes:
        definition: Any = schema.definition
        return frame(self._registry.register(subject, definition))


def _refuse(errors: Sequence[Finding], what: str) -> None:
    if errors:
        lines = [f"{what}:", *(f"  {error}" for error in errors)]
        raise RuleError("\n".join(lines), hint="mend the rules or the schemas; see `cdc check`")


def _identity(table: str, message: Message, headers: Mapping[str, bytes]) -> tuple[Revision, str]:
    """The change's revision and id, which capture wrote (invariant 4)."""
    try:
        return Revision.from_bytes(headers[REVISION_HEADER]), headers[ID_HEADER].decode("ascii")
    except KeyError as missing:
        raise RuleError(
            f"a change of {table} at {_coordinates(message)} has no header {missing.args[0]!r}",
            hint="translate reads what this project's capture wrote; Debezium's own topics lack"
            " the headers that order events",
            kind=UNREADABLE_EVENT,
        ) from None


def _coordinates(message: Message) -> str:
    return f"{message.topic}[{message.partition}]@{message.offset}"
