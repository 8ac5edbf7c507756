"""Records as they leave the decoder: bytes in one piece, and where each record lies in them.

The log's fast hand-over reads the two buffers as they are; everybody else sees a sequence of
`Record`s, which are made when they are looked at."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar, overload

from cdc.model import ID_HEADER, REVISION_HEADER, Headers, Record

ENTRY = struct.Struct("=9q")
"""Of one record: topic's index; place; begin and size of key; of value (size -1: null); begin of
its revision (8 bytes; -1: no revision, no id); size of the id behind that; index of further
headers (-1: none)."""
REVISION_BYTES = 8

R = TypeVar("R")


class RecordBlock(Sequence[Record]):
    """The records of one batch, in order; immutable."""

    __slots__ = ("data", "entries", "further", "topics")

    def __init__(
        self,
        data: bytearray,
        entries: bytearray,
        count: int,
        topics: Sequence[str],
        further: Sequence[Headers],
    ) -> None:
        """`entries` holds `count` times ENTRY; both buffers may be longer than what is used."""
        self.data = data
        self.entries = memoryview(entries)[: count * ENTRY.size]
        self.topics = topics
        self.further = further

    def __len__(self) -> int:
        return len(self.entries) // ENTRY.size

    def __iter__(self) -> Iterator[Record]:
        for entry in ENTRY.iter_unpack(self.entries):
            yield self._record(*entry)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return self._record(*ENTRY.unpack_from(self.entries, at * ENTRY.size))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as any other list of records

    def __repr__(self) -> str:
        return f"RecordBlock({len(self)} records)"

    def _record(
        self,
        topic: int,
        place: int,
        key_at: int,
        key_size: int,
        value_at: int,
        value_size: int,
        revision_at: int,
        id_size: int,
        further: int,
    ) -> Record:
        data = self.data
        headers: Headers = ()
        if revision_at >= 0:
            id_at = revision_at + REVISION_BYTES
            headers = [
                (REVISION_HEADER, bytes(data[revision_at:id_at])),
                (ID_HEADER, bytes(data[id_at : id_at + id_size])),
            ]
        if further >= 0:
            headers = [*headers, *self.further[further]]
        return Record(
            self.topics[topic],
            place,
            None if key_size < 0 else bytes(data[key_at : key_at + key_size]),
            None if value_size < 0 else bytes(data[value_at : value_at + value_size]),
            headers,
        )


class Joined(Sequence[R]):
    """Sequences one after the other, as one; `parts` are those that were given."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Sequence[R]]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[R]:
        return chain.from_iterable(self.parts)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        if isinstance(index, slice):
            return list(self)[index]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return next(islice(self, at, None))


def bytes_held(records: Sequence[Any]) -> int:
    """What a block holds in memory; of other records 0, they aren't looked at one by one."""
    return len(records.data) + len(records.entries) if isinstance(records, RecordBlock) else 0
