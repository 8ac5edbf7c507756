"""All that a check needs of a run, in one piece that can be kept and checked again."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from cdc.model import Message

Place = tuple[str, int]
"""Topic and partition."""
FORMAT = 3


class Entry(NamedTuple):
    """One row of the ledger."""

    seq: int
    tx: str
    table: str
    pk: str
    version: int
    op: str
    """c, u, d; s: a statement that changed columns; m: the marker at the end."""
    row_hash: str


@dataclass(frozen=True)
class Evidence:
    """What the source says of itself, and what the topics hold."""

    connector: str
    database: str
    ledger: Sequence[Entry]
    rows: Mapping[str, Mapping[str, Mapping[str, str]]]
    """Table → key → column → value as `rows.spelled`, as the source holds them in the end."""
    gtids: Sequence[str]
    """Of all transactions that the source executed meanwhile; empty if it has none."""
    counted: Mapping[str, Sequence[int]] | None
    """Table → rows inserted, updated and deleted, as mysqlbinlog counts them; None: not asked."""
    schemas: Mapping[int, Any]
    subjects: Mapping[str, Sequence[int]]
    """Subject → ids of its schemas, oldest first."""
    restarts: Sequence[Mapping[Place, int]]
    """The ends of the topics before each restart: what is behind them was written after it."""
    is_translated: bool
    """Whether there have to be official events."""
    strangers: int
    """Transactions of others that the source executed meanwhile, without a captured row."""
    payloads: Set[tuple[int, int]]
    """Where the source's binlog holds a transaction as one compressed event: file's number,
    position."""
    messages: Sequence[Message] = field(repr=False)
    """Of all change topics, of the transaction topic and of the event topics, by topic, partition
    and offset."""

    @property
    def captured(self) -> Iterator[Message]:
        """What capture wrote."""
        return (one for one in self.messages if self.is_captured(one))

    @property
    def official(self) -> Iterator[Message]:
        """What translate wrote."""
        return (one for one in self.messages if not self.is_captured(one))

    def is_captured(self, message: Message) -> bool:
        return message.topic.startswith(f"{self.connector}.")

    def save(self, path: Path) -> None:
        """Write all of it, compressed: a line of JSON for the source, one for each record."""
        head = {one.name: getattr(self, one.name) for one in fields(self)}
        del head["messages"]
        head["restarts"] = [[[*at, end] for at, end in one.items()] for one in self.restarts]
        head["payloads"] = sorted(self.payloads)
        with gzip.open(path, "wt", compresslevel=3) as file:
            file.write(json.dumps({"format": FORMAT, **head}) + "\n")
            for one in self.messages:
                file.write(json.dumps(_packed(one)) + "\n")

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """What `save` wrote."""
        with gzip.open(path, "rt") as file:
            head = json.loads(file.readline())
            assert head.pop("format") == FORMAT, f"{path} is of another version"
            messages = [_unpacked(json.loads(line)) for line in file]
        head["ledger"] = [Entry(*one) for one in head["ledger"]]
        head["schemas"] = {int(number): schema for number, schema in head["schemas"].items()}
        head["restarts"] = [
            {(topic, partition): end for topic, partition, end in one} for one in head["restarts"]
        ]
        head["payloads"] = {(file, position) for file, position in head["payloads"]}
        return cls(**head, messages=messages)


def by_partition(messages: Iterable[Message]) -> Iterator[tuple[Place, list[Message]]]:
    """The records of each partition, by offset."""
    found: dict[Place, list[Message]] = {}
    for one in messages:
        found.setdefault((one.topic, one.partition), []).append(one)
    for place in sorted(found):
        yield place, sorted(found[place], key=lambda one: one.offset)


def _packed(message: Message) -> list[Any]:
    headers = [[name, _text(value)] for name, value in message.headers]
    key, value = _text(message.key), _text(message.value)
    return [*message[:3], key, value, headers, message.timestamp_ms]


def _unpacked(line: list[Any]) -> Message:
    topic, partition, offset, key, value, headers, timestamp_ms = line
    given = tuple((name, _bytes(text) or b"") for name, text in headers)
    return Message(topic, partition, offset, _bytes(key), _bytes(value), given, timestamp_ms)


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
