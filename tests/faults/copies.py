"""Checks 2, 3 and 9: each record once and readable, or again only as a replay after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cdc.errors import SchemaError
from cdc.model import Message
from tests.faults.decoding import TOMBSTONE, Change, Decoder, Record
from tests.faults.evidence import Evidence, Place, by_partition
from tests.faults.report import Report

Identity = tuple[Any, ...]


def first_copies(
    evidence: Evidence,
    decoder: Decoder,
    report: Report,
    *,
    is_exact: bool,
    each: Callable[[Change], None] = lambda change: None,
) -> Iterator[tuple[Place, list[Change | Record]]]:
    """The records of each partition without their copies; `each` gets all changes.

    A partition's records have an order, that of their first copies. After a restart it may go
    back in it, and has to go on from there without a gap."""
    for place, messages in by_partition(evidence.captured):
        report.records += len(messages)
        partition = _Partition(evidence, decoder, report, place, is_exact, each)
        yield place, partition.read(messages)


class _Partition:
    def __init__(
        self,
        evidence: Evidence,
        decoder: Decoder,
        report: Report,
        place: Place,
        is_exact: bool,
        each: Callable[[Change], None],
    ) -> None:
        self._each = each
        self._decoder, self._report, self._place, self._is_exact = decoder, report, place, is_exact
        self._starts = sorted(one.get(place, 0) for one in evidence.restarts)
        self._found: list[Change | Record] = []
        self._messages: list[Message] = []
        self._index: dict[Identity, int] = {}
        self._identity_before: Identity = ()
        self._last = -1
        """Index of the record before this one."""

    def read(self, messages: list[Message]) -> list[Change | Record]:
        before: Change | Record | None = None
        begun = 0
        for message in messages:
            is_first = False
            while begun < len(self._starts) and message.offset >= self._starts[begun]:
                begun += 1
                is_first = True
            record = self._decoded(message)
            if record is not None:
                self._note(message, record, before, is_first)
                before = record
                if isinstance(record, Change):
                    self._each(record)
        self._check_tombstones()
        return self._found

    def _decoded(self, message: Message) -> Change | Record | None:
        try:
            return self._decoder(message)
        except (SchemaError, KeyError, ValueError, TypeError) as fault:
            self._report.add("wrong_content", 9, f"{_at(message)}: {fault!r}")
            return None

    def _note(
        self,
        message: Message,
        record: Change | Record,
        before: Change | Record | None,
        is_first: bool,
    ) -> None:
        identity = self._identity_before = self._identity(message, record, before)
        index = self._index.get(identity)
        if index is None:
            index = self._index[identity] = len(self._found)
            self._found.append(record)
            self._messages.append(message)
            if index != self._last + 1:
                self._report.add("out_of_order", 3, f"{_at(message)}: a replay that stops early")
        elif self._is_exact or not (is_first or index == self._last + 1):
            self._report.add("doubled", 3, f"{_at(message)}: {_told(record)} again")
            return
        else:
            self._report.replayed += 1
            if self._decoder.fixed(message) != self._decoder.fixed(self._messages[index]):
                text = f"{_at(message)}: a copy of {_told(record)} that differs"
                self._report.add("wrong_content", 3, text)
        self._last = index

    def _identity(
        self, message: Message, record: Change | Record, before: Change | Record | None
    ) -> Identity:
        if isinstance(record, Change):
            return ("change", record.revision)
        if record.kind == TOMBSTONE:
            if isinstance(before, Change) and before.op == "d" and before.key == record.key:
                return (TOMBSTONE, before.revision)
            if isinstance(before, Record) and before == record:
                return self._identity_before
            text = f"{_at(message)}: a tombstone that is not behind its delete"
            self._report.add("out_of_order", 2, text)
            return (TOMBSTONE, message.offset)
        return (record.kind, record.value["id"], record.value["status"])

    def _check_tombstones(self) -> None:
        for record in self._found:
            is_delete = isinstance(record, Change) and record.op == "d"
            if is_delete and (TOMBSTONE, record.revision) not in self._index:
                self._report.add("lost", 1, f"the tombstone of {_told(record)}")


def _at(message: Message) -> str:
    return f"{message.topic}[{message.partition}]@{message.offset}"


def _told(record: Change | Record) -> str:
    if isinstance(record, Change):
        return f"{record.op} {record.id} ({record.revision})"
    return f"{record.kind} {record.key} {record.value and record.value['status']}"
