"""Damages to a good run, each of which the checker has to find."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from cdc.codec.avro import AvroSchema
from cdc.codec.wire import FRAME_BYTES, schema_id_of
from cdc.model import ID_HEADER, ORDINAL_BITS, REVISION_HEADER, Message
from tests.faults.evidence import Evidence, Place, by_partition

Messages = list[Message]
Mutation = Callable[["Mutator"], Messages]
Path = tuple[Any, ...]
CHANGE_PARTS = ("before", "after", "op", "transaction")
"""Of a change event, what is held against the ledger; `source.gtid` too."""
RECORD_PARTS = ("status", "id", "event_count", "data_collections")
EVENT_ID, EVENT_REVISION = "ce_id", "ce_revision"
HEADERS = (REVISION_HEADER, ID_HEADER, EVENT_ID, EVENT_REVISION)
TRIES_MAX = 1_000


class Mutator:
    """Damages one run again and again, each time from the good one."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence, self.dice = evidence, Random(0)
        self._partitions = dict(by_partition(evidence.messages))
        self.messages = [one for part in self._partitions.values() for one in part]
        self._schemas: dict[int, AvroSchema] = {}
        self._of_transaction: dict[str, list[int]] = {}
        for index, one in enumerate(self.messages):
            if one.value is not None:
                self._of_transaction.setdefault(self._transaction(one), []).append(index)
        self._origins = {
            int.from_bytes(revision) >> ORDINAL_BITS: one[:2]
            for one in self.messages
            if (revision := dict(one.headers).get(REVISION_HEADER))
        }
        """Sequence of a change → its partition."""

    def damaged(self, mutation: Mutation) -> Evidence:
        """The run with one more damage; offsets are given anew."""
        ends: dict[Place, int] = {}
        renumbered = []
        for one in mutation(self):
            place = one.topic, one.partition
            ends[place] = ends.get(place, -1) + 1
            renumbered.append(one._replace(offset=ends[place]))
        return replace(self._evidence, messages=renumbered)

    def schema(self, framed: bytes) -> AvroSchema:
        number = schema_id_of(framed)
        if number not in self._schemas:
            self._schemas[number] = AvroSchema(self._evidence.schemas[number])
        return self._schemas[number]

    def decoded(self, framed: bytes) -> Any:
        return self.schema(framed).decode(framed[FRAME_BYTES:])

    def encoded(self, framed: bytes, value: Any) -> bytes:
        """The value in the form that the bytes have."""
        return framed[:FRAME_BYTES] + self.schema(framed).encode(value)

    def any_index(self) -> int:
        return self.dice.randrange(len(self.messages))

    def any_partition(self) -> list[int]:
        """Indexes of all records of one partition with two at least."""
        for _ in range(TRIES_MAX):
            one = self.messages[self.any_index()]
            found = [
                index
                for index, other in enumerate(self.messages)
                if other[:2] == one[:2]
            ]  # fmt: skip
            if len(found) > 1:
                return found
        raise AssertionError("the run is too small")

    def is_official(self, message: Message) -> bool:
        return not self._evidence.is_captured(message)

    def is_order_told(self, one: Message, other: Message) -> bool:
        """Whether these two of a partition have an order; official events only where they are of
        one key, and their changes of one partition: a row that gets another key leaves its own."""
        if not self.is_official(one):
            return True
        return one.key == other.key and self._origin(one) == self._origin(other)

    def _origin(self, event: Message) -> Any:
        return self._origins[int(dict(event.headers)[EVENT_REVISION]) >> ORDINAL_BITS]

    def _transaction(self, message: Message) -> str:
        if self.is_official(message):
            return dict(message.headers)[EVENT_ID].decode().split("/")[1]
        value = self.decoded(message.value or b"")
        return str(value["transaction"]["id"] if "transaction" in value else value["id"])

    def any_transaction(self) -> list[int]:
        """Indexes of the records of one transaction, in their order: its END is the last."""
        found = self._of_transaction[self.dice.choice(list(self._of_transaction))]
        return sorted(found, key=self._order)

    def any_two_keys(self) -> tuple[int, int]:
        """Two changes of one table, or their events, with different keys."""
        for _ in range(TRIES_MAX):
            first, second = self.any_index(), self.any_index()
            one, other = self.messages[first], self.messages[second]
            is_row = one.value is not None and "status" not in self.decoded(one.value)
            if is_row and one.topic == other.topic and other.value and one.key != other.key:
                return first, second
        raise AssertionError("the run is too small")

    def _order(self, index: int) -> tuple[int, bytes]:
        message = self.messages[index]
        assert message.value is not None
        status = self.decoded(message.value).get("status")
        headers = dict(message.headers)
        revision = headers.get(REVISION_HEADER, headers.get(EVENT_REVISION, b""))
        return {"BEGIN": 0, None: 1, "END": 2}[status], revision


def drop(run: Mutator) -> Messages:
    """A record is missing."""
    messages = list(run.messages)
    del messages[run.any_index()]
    return messages


def double(run: Mutator) -> Messages:
    """A record comes again: at once, later, or at the partition's end."""
    messages, places = list(run.messages), run.any_partition()
    index = run.dice.choice(places)
    where = run.dice.choice([index, run.dice.choice(places), places[-1]])
    messages.insert(max(index, where) + 1, messages[index])
    return messages


def swap(run: Mutator) -> Messages:
    """Two records of a partition, neighbours or not, change places."""
    messages = list(run.messages)
    for _ in range(TRIES_MAX):
        places = run.any_partition()
        at = run.dice.randrange(len(places) - 1)
        first = places[at]
        second = run.dice.choice([places[at + 1], run.dice.choice(places)])
        if not run.is_order_told(messages[first], messages[second]):
            continue
        if messages[first][3:6] != messages[second][3:6]:
            messages[first], messages[second] = messages[second], messages[first]
            return messages
    raise AssertionError("all records are alike")


def alter(run: Mutator) -> Messages:
    """One value of a record is another: of key, row, operation, transaction or header."""
    messages, index = list(run.messages), run.any_index()
    message = messages[index]
    parts = ["key"] * (message.key is not None) + ["value"] * 3 * (message.value is not None)
    parts += ["header"] * any(name in HEADERS for name, _ in message.headers)
    part = run.dice.choice(parts)
    if part == "header":
        messages[index] = _with_other_header(run, message)
    else:
        framed = getattr(message, part)
        messages[index] = message._replace(**{part: _with_other_value(run, framed)})
    return messages


def cut(run: Mutator) -> Messages:
    """A transaction ends somewhere, or never began."""
    places = run.any_transaction()
    gone = set(places[run.dice.randrange(len(places)) :])
    return [one for index, one in enumerate(run.messages) if index not in gone]


def cross(run: Mutator) -> Messages:
    """Two records of a table take each other's key: the record's alone, or the row's as well."""
    messages = list(run.messages)
    first, second = run.any_two_keys()
    one, other = messages[first], messages[second]
    values = one.value, other.value
    if run.dice.random() < 0.5:
        values = _keyed(run, one, other), _keyed(run, other, one)
    messages[first] = one._replace(key=other.key, value=values[0])
    messages[second] = other._replace(key=one.key, value=values[1])
    return messages


MUTATIONS: Mapping[str, Mutation] = {
    one.__name__: one for one in (drop, double, swap, alter, cut, cross)
}


def _keyed(run: Mutator, message: Message, like: Message) -> bytes:
    """The value of a change whose row has the other's key."""
    assert message.value is not None and like.key is not None
    value = copy.deepcopy(run.decoded(message.value))
    images = [value] if run.is_official(message) else [value["before"], value["after"]]
    for image in filter(None, images):
        image.update(run.decoded(like.key))
    return run.encoded(message.value, value)


def _with_other_header(run: Mutator, message: Message) -> Message:
    name = run.dice.choice([name for name, _ in message.headers if name in HEADERS])
    at = run.dice.randrange(7)  # not the ordinal, which is of later stages

    def other(value: bytes) -> bytes:
        if name != REVISION_HEADER:
            return value + b"1"
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]

    return message._replace(
        headers=tuple(
            (one, other(value) if one == name else value) for one, value in message.headers
        )
    )


def _with_other_value(run: Mutator, framed: bytes) -> bytes:
    value = copy.deepcopy(run.decoded(framed))
    leaves = list(_leaves(value, ()))
    if "source" in value:
        leaves = [path for path in leaves if path[0] in CHANGE_PARTS or path[-1] == "gtid"]
    elif "status" in value:
        leaves = [path for path in leaves if path[0] in RECORD_PARTS]
    path = run.dice.choice(leaves)
    within = value
    for name in path[:-1]:
        within = within[name]
    within[path[-1]] = _other(run.dice, within[path[-1]])
    return run.encoded(framed, value)


def _leaves(value: Any, path: Path) -> Any:
    """Paths to all values but nulls."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, (*path, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, (*path, index))
    elif value is not None:
        yield path


def _other(dice: Random, value: Any) -> Any:
    if isinstance(value, Decimal):
        return value + Decimal(1).scaleb(-4)
    if isinstance(value, int):
        return value - 1 if value > 0 and dice.random() < 0.5 else value + 1
    return value + (b"\0" if isinstance(value, bytes) else "0")
