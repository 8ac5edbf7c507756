"""`cdc dead redrive`: dead letters tried again, while the connector stands still.

A change whose key has had a newer one since stays a dead letter, for order (invariant 3); what was
held behind it goes out with it, or stays as it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.dead_changes import change_of
from cdc.capture.decoder import Decoder
from cdc.capture.lock import ConnectorLock
from cdc.config import ConnectorConfig, ServerSource
from cdc.console import discovery
from cdc.dead import together
from cdc.dead_letters import (
    HELD,
    LEFT_OUT_COLUMNS,
    DeadLetter,
    DeadLetters,
    Policy,
    dead_letters_topic,
    first_of,
)
from cdc.errors import CdcError, DecodeError, Unreachable
from cdc.held_keys import HeldKeys, Key
from cdc.log.source import MessageBatch
from cdc.model import EPOCH_BITS, REVISION_HEADER, Headers, Record, Revision
from cdc.ports import Log, LogWriter, Registry
from cdc.translate.dead_messages import message_of
from cdc.translate.headers import REVISION_NAME
from cdc.wiring.capture import announcer, event_settings, server_settings
from cdc.wiring.dead_letters import read_dead_letters
from cdc.wiring.ends import reached_registry
from cdc.wiring.translate import translator_of

ORDER_HEADER = "cdc_redriven"
"""Of a change event that was a dead letter: the revision that it would have had, 8 bytes."""

NOTHING_LEFT = Revision(1 << EPOCH_BITS, 0)
"""Behind all places in order."""


@dataclass(frozen=True, slots=True)
class GoneOut:
    """What the topics still show of the keys that are asked for."""

    newest: dict[Key, Revision]
    """The last place in order that a record of the key has; of records without one: the last
    TRUNCATE, which is of all keys."""
    begins: dict[tuple[str, int], Revision]
    """By partition the first place that is there, where records before it are gone."""
    partitions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one dead letter."""

    letter: DeadLetter
    records: int = 0
    refusal: str = ""
    """Why it stays; empty: it was redriven."""


class Again(Protocol):
    """A stage's way to try a dead letter again."""

    def records(self, letter: DeadLetter) -> Sequence[Record]:
        """What comes of it now; CdcError if still nothing does."""
        ...

    def checkpoint(self) -> bytes | None:
        """What is to be written with the records that were made last."""
        ...

    def order_of(self, headers: Headers) -> Revision | None:
        """Where a record stands among those of its key."""
        ...

    def written(self) -> None:
        """The records made last are in the log."""
        ...


@contextmanager
def alone(config: ConnectorConfig, environment: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """While the block runs nobody else runs the connector; what is given checks that again."""
    found = discovery.find(config.connector, environment)
    if found:
        raise _runs(config, f"process {found[0].pid} on this machine")
    source = config.source
    if not isinstance(source, ServerSource) or not source.standby:
        yield lambda: None
        return
    lock, stop = ConnectorLock(server_settings(config)), threading.Event()
    holders: list[str] = []

    def taken(holder: str) -> None:
        holders.append(holder)
        stop.set()

    try:
        if not lock.queue(stop, taken):
            raise _runs(config, holders[0])
        yield lock.check
    finally:
        lock.release()


def _runs(config: ConnectorConfig, who: str) -> CdcError:
    return CdcError(
        f"connector {config.connector} runs: {who}",
        hint="stop all its instances first; a redriven change takes the next number of the"
        " connector, which only one can give",
    )


def redrive(
    config: ConnectorConfig,
    log: Log,
    registry: Registry,
    letters: Sequence[DeadLetter],
    check: Callable[[], None],
) -> Iterator[Outcome]:
    """Try dead letters again, in the order of their changes."""
    for stage, make in (("capture", _capture), ("translate", _translate)):
        mine = (one for one in letters if one.stage == stage)
        of_stage = sorted(mine, key=lambda one: one.revision)
        if of_stage:
            name = config.connector if stage == "capture" else f"{config.connector}.translate"
            with closing(log.writer(name)) as writer:
                again = make(config, log, registry, writer)
                yield from _redrive(config, log, writer, again, of_stage, check)


def _redrive(
    config: ConnectorConfig,
    log: Log,
    writer: LogWriter,
    again: Again,
    letters: Sequence[DeadLetter],
    check: Callable[[], None],
) -> Iterator[Outcome]:
    topic = dead_letters_topic(config.connector)
    gone_out = _gone_out(log, again, letters)
    stay = HeldKeys()
    for letter in letters:
        # Invariant 3: what is held goes out behind what it waits for, or not at all.
        behind = next(stay.firsts(letter.holds), None)
        if behind is not None:
            stay.add(letter.holds, first_of(letter))
            yield Outcome(letter, refusal=f"held behind dead letter {behind.id}, which stays")
            continue
        try:
            records = again.records(letter)
            _refuse_late(letter, records, gone_out, again)
        except Unreachable:
            raise
        except CdcError as error:
            tried = replace(letter, attempt=letter.attempt + 1)
            check()
            writer.write([Record(topic, 0, tried.key, tried.to_bytes())])
            stay.add(letter.holds, first_of(letter))
            yield Outcome(tried, refusal=str(error))
            continue
        check()
        # Invariants 1 and 2: it is published and no longer a dead letter, both or neither.
        gone = Record(topic, 0, letter.key, None)
        writer.write([*records, gone], checkpoint=again.checkpoint())
        again.written()
        _note(gone_out, again, records)
        yield Outcome(letter, len(records))


def redriven(
    config: ConnectorConfig, log: Log, letters: Sequence[DeadLetter], environment: Mapping[str, str]
) -> list[Outcome]:
    """`redrive` with all that it needs, and with what shares a key that is held."""
    with alone(config, environment) as check, closing(reached_registry(config)) as registry:
        # The connector may have added some before it was stopped.
        now = read_dead_letters(config, log, is_whole=True)
        found = together(now.values(), [now[one.id] for one in letters if one.id in now])
        return list(redrive(config, log, registry, found, check))


def to_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The outcomes for scripts."""
    return {
        "redriven": [one.letter.id for one in outcomes if not one.refusal],
        "refused": [
            {"id": one.letter.id, "reason": one.refusal} for one in outcomes if one.refusal
        ],
    }


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The outcomes for people."""
    for one in outcomes:
        if one.refusal:
            yield f"kept {one.letter.id}: {one.refusal}"
        else:
            yield f"redriven {one.letter.id}: {one.records} records"


def _gone_out(log: Log, again: Again, letters: Sequence[DeadLetter]) -> GoneOut:
    """Of the keys that the dead letters have; reads each topic once."""
    newest: dict[Key, Revision] = {}
    begins: dict[tuple[str, int], Revision] = {}
    for letter in letters:
        try:
            records = again.records(letter)
        except Unreachable:
            raise
        except CdcError:
            continue  # said when its turn comes
        for record in records:
            if record.key is not None:
                newest[record.topic, record.key] = newest[record.topic, None] = Revision(0, 0)
    for topic in dict.fromkeys(topic for topic, _ in newest):
        offsets: dict[int, int] = {}
        for message in log.follow(topic, {}, wait_seconds=0, is_whole=True):
            first_offset = offsets.setdefault(message.partition, message.offset)
            order = again.order_of(message.headers)
            if order is None:
                continue
            if first_offset:
                begins.setdefault((topic, message.partition), order)
            at = (topic, message.key)
            if at in newest:
                newest[at] = max(newest[at], order)
        for place, end in log.end_offsets(topic).items():
            if end and place[1] not in offsets:
                begins[place] = NOTHING_LEFT
    return GoneOut(newest, begins, log.topics())


def _note(gone_out: GoneOut, again: Again, records: Sequence[Record]) -> None:
    """These have gone out."""
    for record in records:
        order = again.order_of(record.headers)
        if order is not None and record.key is not None:
            gone_out.newest[record.topic, record.key] = order


def _refuse_late(
    letter: DeadLetter, records: Sequence[Record], gone_out: GoneOut, again: Again
) -> None:
    for record in records:
        order = again.order_of(record.headers)
        if order is None or record.key is None:
            continue
        newest = [gone_out.newest.get((record.topic, key), order) for key in (record.key, None)]
        if max(newest) > order:
            raise CdcError(
                f"a newer change of its key has gone out on {record.topic}",
                hint="readers would take the old state for the new one: compare the row at the"
                " source, then drop the dead letter",
            )
        partition = record.place % gone_out.partitions.get(record.topic, 1)
        # Behind what holds its keys nothing has gone out that could be missing.
        if not letter.holds and gone_out.begins.get((record.topic, partition), order) > order:
            raise CdcError(
                f"a newer change of its key may have gone out on {record.topic}: the records of its"
                " time are no longer there",
                hint="compare the row at the source, then drop the dead letter",
            )


def _capture(config: ConnectorConfig, log: Log, registry: Registry, writer: LogWriter) -> Again:
    found = writer.last_checkpoint()
    if found is None:
        raise CdcError(f"connector {config.connector} has no checkpoint, so no number to go on at")
    return _CaptureAgain(config, log, registry, Checkpoint.from_bytes(found))


class _CaptureAgain:
    """Decodes rows again, as their tables were known when they became dead letters."""

    def __init__(
        self, config: ConnectorConfig, log: Log, registry: Registry, checkpoint: Checkpoint
    ) -> None:
        self._config, self._settings = config, event_settings(config)
        self._announce = announcer(config, log, registry)
        self._before = self._after = checkpoint

    def records(self, letter: DeadLetter) -> Sequence[Record]:
        shape, known, change = change_of(letter)
        assert self._config.source is not None
        binder = Binder(
            self._config.connector,
            self._config.source.patterns,
            self._settings,
            self._announce,
            given={} if known is None else {(shape.database, shape.table): known},
        )
        decoder = Decoder(binder, self._settings)
        try:
            output = decoder.again(shape, change, self._before)
        except DecodeError as error:
            if error.kind == LEFT_OUT_COLUMNS and letter.kind != LEFT_OUT_COLUMNS:
                raise CdcError(
                    f"its record needs what is not kept of {', '.join(letter.hidden)}",
                    hint="hidden columns are cut out of dead letters: compare the row at the"
                    " source, then drop it",
                ) from error
            raise
        if not output.records and letter.kind != HELD:  # what waited may be dropped by a rule
            reasons = "; ".join(reason for _, reason in decoder.dropped)
            raise CdcError(f"nothing is published of it: {reasons}")
        self._after = output.checkpoint
        order = (ORDER_HEADER, Revision(change.epoch, change.sequence).to_bytes())
        return [
            record._replace(headers=[*record.headers, order]) if record.headers else record
            for record in output.records
        ]

    def checkpoint(self) -> bytes | None:
        return self._after.to_bytes()

    def order_of(self, headers: Headers) -> Revision | None:
        found = dict(headers)
        data = found.get(ORDER_HEADER) or found.get(REVISION_HEADER)
        return None if data is None else Revision.from_bytes(data)

    def written(self) -> None:
        self._before = self._after


def _translate(config: ConnectorConfig, log: Log, registry: Registry, writer: LogWriter) -> Again:
    return _TranslateAgain(config, registry)


class _TranslateAgain:
    """Applies the rules again; events keep the revision of their change."""

    def __init__(self, config: ConnectorConfig, registry: Registry) -> None:
        self._translator = translator_of(config, registry, DeadLetters(Policy()))

    def records(self, letter: DeadLetter) -> Sequence[Record]:
        records = self._translator(MessageBatch([message_of(letter)], {})).records
        if not records and letter.kind != HELD:
            raise CdcError(
                "no rule makes an event of it", hint="drop it, or let a rule's `when` match it"
            )
        return records

    def checkpoint(self) -> bytes | None:
        return None

    def order_of(self, headers: Headers) -> Revision | None:
        found = dict(headers).get(REVISION_NAME)
        return None if found is None else Revision.from_bytes(int(found).to_bytes(8, "big"))

    def written(self) -> None:
        """Nothing is numbered here."""
