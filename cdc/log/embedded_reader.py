"""Reading the embedded log: as a member of a group, and outside any."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from cdc.embedded_file import OFFSET_BITS, OFFSET_MASK, EmbeddedFile
from cdc.errors import LogError, Unreachable
from cdc.log.headers import unpack
from cdc.log.membership import Membership
from cdc.model import Message, Offsets

POLL_BYTES_MAX = 16 * 1024 * 1024
FOLLOW_RECORDS_MAX = 2_000
PAUSE_SECONDS_MIN = 0.001
PAUSE_SECONDS_MAX = 0.008
"""Between two looks for news by an idle reader; a look costs some 10 µs."""


class EmbeddedReader:
    """Reads topics as a member of a group."""

    def __init__(self, file: EmbeddedFile, group: str, membership: Membership) -> None:
        self._file = file
        self._group = group
        self._membership = membership
        self._member = 0
        self._after: Offsets = {}
        self._held: dict[int, tuple[str, int]] = {}
        self._next: dict[int, int] = {}
        self._had: set[int] = set()
        self._polled: set[int] = set()
        self._turn = 0

    def start(self, after: Offsets | None) -> None:
        self._after = dict(after or {})
        self._settle()

    def poll(self, records_max: int, wait_seconds: float) -> Sequence[Message]:
        deadline = time.monotonic() + wait_seconds
        pause = PAUSE_SECONDS_MIN
        has_news = True
        while True:
            if self._membership.is_renewal_due() or (has_news and self._membership.has_changed()):
                self._settle()
                has_news = True
            if has_news and (messages := self._fetch(records_max)):
                return messages
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            time.sleep(min(pause, left))
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
            has_news = self._file.has_changed()

    def offsets(self) -> Offsets:
        return {self._held[partition]: self._next[partition] for partition in self._polled}

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Offsets that compaction emptied count too."""
        ends = dict(self._file.rows("reading the lag", "select id, next from partitions"))
        return {place: ends[held] - self._next[held] for held, place in self._held.items()}

    def commit_offsets(self, connection: sqlite3.Connection) -> None:
        """Keep the group's offsets, in the writer's transaction."""
        offsets = {partition: self._next[partition] for partition in self._polled}
        self._membership.commit_offsets(connection, offsets)

    def close(self) -> None:
        self._membership.leave()
        self._file.close()

    def _settle(self) -> None:
        """Take part in the group; partitions come and go here alone."""
        claimed = self._membership.settle()
        kept = claimed.keys() if self._membership.member == self._member else set[int]()
        self._member = self._membership.member
        for partition in self._held.keys() - kept:
            del self._held[partition], self._next[partition]
            self._polled.discard(partition)
        for partition in sorted(claimed.keys() - self._held.keys()):
            self._next[partition] = self._first_offset(partition, claimed[partition])
            self._held[partition] = claimed[partition]
            self._had.add(partition)

    def _first_offset(self, partition: int, place: tuple[str, int]) -> int:
        if place in self._after:
            if partition in self._had:
                raise Unreachable(
                    f"reading as {self._group}: {place} came back from another member, where to"
                    " go on is no longer known",
                    hint="read the offsets again and open a new reader",
                )
            return self._after[place]
        rows = self._file.rows(
            f"reading the offsets of group {self._group}",
            "select coalesce(group_offsets.next, first) from partitions"
            " left join group_offsets on partition = id and member_group = ? where id = ?",
            (self._group, partition),
        )
        offset: int = rows[0][0]
        return offset

    def _fetch(self, records_max: int) -> list[Message]:
        """What there is, from each partition in turn."""
        messages: list[Message] = []
        size = 0
        partitions = list(self._held)
        self._turn = (self._turn + 1) % max(1, len(partitions))
        for partition in partitions[self._turn :] + partitions[: self._turn]:
            found = read_partition(
                self._file,
                partition,
                self._held[partition],
                self._next[partition],
                records_max - len(messages),
            )
            if found:
                messages += found
                self._next[partition] = found[-1].offset + 1
                self._polled.add(partition)
            size += sum(map(_size, found))
            if len(messages) >= records_max or size >= POLL_BYTES_MAX:
                break
        return messages


def _size(message: Message) -> int:
    return len(message.value) if message.value else 0


def read_partition(
    file: EmbeddedFile, partition: int, place: tuple[str, int], offset: int, records_max: int
) -> list[Message]:
    """Messages from `offset` on; fewer than `records_max` where they are large."""
    topic, number = place
    doing = f"reading {topic} [{number}]"
    base = partition << OFFSET_BITS
    rows = file.scan(
        doing,
        "select place, timestamp_ms, key, headers, value from records"
        " where place >= ? and place < ? order by place limit ?",
        (base + offset, base + OFFSET_MASK, records_max),
    )
    messages: list[Message] = []
    bytes_left = POLL_BYTES_MAX
    with closing(rows):  # type: ignore[type-var]  # a generator, closed to free the cursor
        for at, timestamp_ms, key, headers, value in rows:
            messages.append(
                Message(
                    topic,
                    number,
                    at & OFFSET_MASK,
                    key,
                    value,
                    unpack(headers) if headers else (),
                    timestamp_ms,
                )
            )
            if value:
                bytes_left -= len(value)
                if bytes_left <= 0:
                    break
    if messages and messages[0].offset > offset:
        _check_not_expired(file, partition, offset, doing)
    return messages


def _check_not_expired(file: EmbeddedFile, partition: int, offset: int, doing: str) -> None:
    """A gap is compaction's, or what retention deleted unread (invariant 2: told, not jumped)."""
    ((first,),) = file.rows(doing, "select first from partitions where id = ?", (partition,))
    if first > offset:
        raise LogError(
            f"{doing}: the next offset is {offset}, but the first that is there is {first}",
            hint="retention deleted what wasn't read yet;"
            " raise its retention, then set the group's offsets to where to go on",
        )


def follow(
    open_file: Callable[[], EmbeddedFile], topic: str, start: Offsets, *, wait_seconds: float
) -> Iterator[Message]:
    """Messages of all partitions from `start`, to their ends and `wait_seconds` beyond."""
    file = open_file()
    try:
        rows = file.rows(
            f"following topic {topic}",
            "select partitions.id, number, first from partitions join topics on topics.id = topic"
            " where name = ? order by number",
            (topic,),
        )
        if not rows:
            raise LogError(
                f"topic {topic} does not exist",
                hint="a connector creates its topics when it first runs",
            )
        offsets = {(partition, number): first for partition, number, first in rows}
        for partition, number in offsets:
            if (topic, number) in start:
                offsets[partition, number] = start[topic, number]
        yield from _follow(file, topic, offsets, wait_seconds)
    finally:
        file.close()


def _follow(
    file: EmbeddedFile, topic: str, offsets: dict[tuple[int, int], int], wait_seconds: float
) -> Iterator[Message]:
    news = time.monotonic()
    pause = PAUSE_SECONDS_MIN
    while True:
        file.has_changed()  # before reading: what is committed meanwhile counts as new
        found = []
        for (partition, number), offset in offsets.items():
            messages = read_partition(file, partition, (topic, number), offset, FOLLOW_RECORDS_MAX)
            if messages:
                offsets[partition, number] = messages[-1].offset + 1
                found = messages
                yield from messages
        if found:
            news, pause = time.monotonic(), PAUSE_SECONDS_MIN
            continue
        while not file.has_changed():
            left = news + wait_seconds - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
