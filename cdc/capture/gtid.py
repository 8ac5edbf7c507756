"""Sets of transactions by GTID: MySQL's with tags and gaps, MariaDB's by domain.

Text is as the servers write it, without their line breaks. The binary form is what
COM_BINLOG_DUMP_GTID takes: `Gtid_set::encode` of MySQL 5.6 and, with tags, of 8.3.
"""

from __future__ import annotations

import re
import struct
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

NUMBER_MAX = (1 << 63) - 2
"""The last transaction number that MySQL gives."""

Interval = tuple[int, int]
"""First and last transaction, both included."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}\Z")
_INTERVAL = re.compile(r"(\d+)(?:\s*-\s*(\d+))?\Z")
_TAGGED_FORMAT = 1


class MysqlGtidSet:
    """Transactions by source (`uuid` or `uuid:tag`), as sorted intervals that don't touch."""

    __slots__ = ("_intervals",)

    def __init__(self) -> None:
        # Firsts and lasts stand in turns, so that the common `add` changes one number in place.
        self._intervals: dict[str, list[int]] = {}

    @classmethod
    def parse(cls, text: str) -> MysqlGtidSet:
        """The set in `text` (`uuid:1-3:7:tag:1-2, uuid:…`); ValueError if it isn't one."""
        result = cls()
        for part in text.lower().split(","):
            words = [word.strip() for word in part.split(":")]
            if words == [""]:
                continue
            if not _UUID.match(words[0]) or len(words) < 2:
                raise ValueError(f"{part.strip()!r} is no GTID set of MySQL: uuid:1-3:tag:1-2")
            source = words[0]
            for word in words[1:]:
                if interval := _INTERVAL.match(word):
                    first = int(interval[1])
                    result.add(source, first, int(interval[2] or first))
                elif _TAG.match(word):
                    source = f"{words[0]}:{word}"
                else:
                    raise ValueError(f"{word!r} in {part.strip()!r} is neither interval nor tag")
        return result

    def add(self, source: str, first: int, last: int) -> None:
        """Put in the transactions `first` to `last` of `source` (`uuid` or `uuid:tag`)."""
        if not 1 <= first <= last <= NUMBER_MAX:
            raise ValueError(f"{source}:{first}-{last} is no interval of transactions")
        bounds = self._intervals.get(source)
        if bounds is None:
            self._intervals[source] = [first, last]
        elif first == bounds[-1] + 1:
            bounds[-1] = last
        else:
            # Everything that overlaps or touches melts into one interval.
            left = right = bisect_left(bounds, first - 1) // 2 * 2
            while right < len(bounds) and bounds[right] <= last + 1:
                first, last = min(first, bounds[right]), max(last, bounds[right + 1])
                right += 2
            bounds[left:right] = [first, last]

    def intervals(self) -> Iterator[tuple[str, Interval]]:
        """Each source with each of its intervals, in the order of the text."""
        for source in sorted(self._intervals, key=_order):
            for interval in _pairs(self._intervals[source]):
                yield source, interval

    def has(self, source: str, number: int) -> bool:
        """Whether the transaction is in the set."""
        bounds = self._intervals.get(source, [])
        left = bisect_right(bounds, number)
        return left % 2 == 1 or (left > 0 and bounds[left - 1] == number)

    def contains(self, other: MysqlGtidSet) -> bool:
        """Whether every transaction of `other` is in this set."""
        return not other.subtract(self)

    def union(self, other: MysqlGtidSet) -> MysqlGtidSet:
        """The transactions of either."""
        result = MysqlGtidSet()
        result._intervals = {source: list(bounds) for source, bounds in self._intervals.items()}
        for source, (first, last) in other.intervals():
            result.add(source, first, last)
        return result

    def subtract(self, other: MysqlGtidSet) -> MysqlGtidSet:
        """The transactions of this set that are not in `other`."""
        result = MysqlGtidSet()
        for source, bounds in self._intervals.items():
            for first, last in _without(bounds, other._intervals.get(source, [])):
                result.add(source, first, last)
        return result

    def intersect(self, other: MysqlGtidSet) -> MysqlGtidSet:
        """The transactions that are in both."""
        return self.subtract(self.subtract(other))

    def count(self) -> int:
        """How many transactions are in the set."""
        return sum(last - first + 1 for _, (first, last) in self.intervals())

    def to_bytes(self) -> bytes:
        """The set as COM_BINLOG_DUMP_GTID takes it."""
        sources = sorted(self._intervals, key=_order)
        is_tagged = any(":" in source for source in sources)
        head = len(sources)
        if is_tagged:  # the format stands in the first byte and in the last one
            head = _TAGGED_FORMAT << 56 | len(sources) << 8 | _TAGGED_FORMAT
        parts = [struct.pack("<Q", head)]
        for source in sources:
            name, _, tag = source.partition(":")
            parts.append(uuid.UUID(name).bytes)
            if is_tagged:  # its length is a varint; below 64 that is one byte, shifted by one
                parts.append(bytes([len(tag) << 1]) + tag.encode("ascii"))
            bounds = self._intervals[source]
            parts.append(struct.pack("<Q", len(bounds) // 2))
            for first, last in _pairs(bounds):
                parts.append(struct.pack("<QQ", first, last + 1))
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> MysqlGtidSet:
        """The set in the binary form, as a PREVIOUS_GTIDS event has it; ValueError if damaged."""
        result = cls()
        try:
            (head,) = struct.unpack_from("<Q", data)
            is_tagged = head >> 56 == _TAGGED_FORMAT
            at = 8
            for _ in range(head >> 8 & (1 << 48) - 1 if is_tagged else head):
                source = str(uuid.UUID(bytes=data[at : at + 16]))
                at += 16
                if is_tagged:
                    tag_end = at + 1 + (data[at] >> 1)
                    tag = data[at + 1 : tag_end].decode("ascii")
                    source = f"{source}:{tag}" if tag else source
                    at = tag_end
                (count,) = struct.unpack_from("<Q", data, at)
                at += 8
                end = 0
                for _ in range(count):
                    before = end
                    first, end = struct.unpack_from("<QQ", data, at)
                    if first < before:  # each would move all others: work beyond bounds
                        raise ValueError(f"interval {first} of {source} stands behind {before}")
                    result.add(source, first, end - 1)
                    at += 16
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError("the bytes end inside a GTID set") from error
        return result

    def __str__(self) -> str:
        texts: list[str] = []
        before = ("", "")
        for source, (first, last) in self.intervals():
            name, _, tag = source.partition(":")
            if name != before[0]:
                texts.append(f",{name}")
                before = (name, "")
            if tag != before[1]:
                texts.append(f":{tag}")
                before = (name, tag)
            texts.append(f":{first}" if first == last else f":{first}-{last}")
        return "".join(texts)[1:]

    def __repr__(self) -> str:
        return f"MysqlGtidSet.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MysqlGtidSet) and self._intervals == other._intervals

    __hash__ = None  # type: ignore[assignment]  # it changes in place

    def __bool__(self) -> bool:
        return bool(self._intervals)


def _order(source: str) -> tuple[str, str]:
    name, _, tag = source.partition(":")
    return name, tag


def _pairs(bounds: list[int]) -> Iterator[Interval]:
    return zip(bounds[::2], bounds[1::2], strict=True)


def _without(bounds: list[int], taken: list[int]) -> Iterator[Interval]:
    """The parts of the intervals `bounds` that no interval of `taken` covers."""
    at = 0
    for first, last in _pairs(bounds):
        while at < len(taken) and taken[at + 1] < first:
            at += 2
        inside = at
        while first <= last and inside < len(taken) and taken[inside] <= last:
            if first < taken[inside]:
                yield first, taken[inside] - 1
            first = taken[inside + 1] + 1
            inside += 2
        if first <= last:
            yield first, last


_MARIADB_GTID = re.compile(r"(\d+)-(\d+)-(\d+)\Z")


class MariadbGtidList:
    """The last transaction of each domain; it stands for everything up to them."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> MariadbGtidList:
        """The list in `text` (`0-1-17,1-2-5`); ValueError if it isn't one."""
        result = cls()
        for part in filter(None, (part.strip() for part in text.split(","))):
            gtid = _MARIADB_GTID.match(part)
            if gtid is None:
                raise ValueError(f"{part!r} is no GTID of MariaDB: domain-server-sequence")
            domain, server_id, number = map(int, gtid.groups())
            if domain in result._last:
                raise ValueError(f"domain {domain} comes twice in {text!r}")
            result.advance(domain, server_id, number)
        return result

    def advance(self, domain: int, server_id: int, number: int) -> None:
        """`domain-server_id-number` is the last transaction of its domain now."""
        self._last[domain] = (server_id, number)

    def has(self, domain: int, number: int) -> bool:
        """Whether the domain has come so far."""
        return domain in self._last and self._last[domain][1] >= number

    def contains(self, other: MariadbGtidList) -> bool:
        """Whether every domain of `other` ends at or before its end here."""
        return not other.subtract(self)

    def union(self, other: MariadbGtidList) -> MariadbGtidList:
        """The later transaction of each domain."""
        result = MariadbGtidList()
        result._last = dict(self._last)
        for domain, last in other.subtract(self)._last.items():
            result._last[domain] = last
        return result

    def subtract(self, other: MariadbGtidList) -> MariadbGtidList:
        """The domains that go further here than in `other`."""
        result = MariadbGtidList()
        for domain, (server_id, number) in self._last.items():
            known = other._last.get(domain)
            if known is None or known[1] < number:
                result._last[domain] = (server_id, number)
        return result

    def __str__(self) -> str:
        return ",".join(f"{domain}-{last[0]}-{last[1]}" for domain, last in self._sorted())

    def _sorted(self) -> list[tuple[int, tuple[int, int]]]:
        return sorted(self._last.items())

    def __repr__(self) -> str:
        return f"MariadbGtidList.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MariadbGtidList) and self._last == other._last

    __hash__ = None  # type: ignore[assignment]  # it changes in place

    def __bool__(self) -> bool:
        return bool(self._last)
