"""Checks 1, 2, 4 and 7: a key's history is the ledger's, its end is what the source holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.decoding import LEDGER, Change, Image
from tests.faults.evidence import Entry, Evidence, Place
from tests.faults.report import Report
from tests.faults.rows import row_hash, spelled

MARKER, STATEMENT = "m", "s"
Key = tuple[str, str]
"""Table, key as text."""


@dataclass
class Life:
    """What the topics tell of one key so far."""

    place: Place
    version: int = 0
    image: Image | None = None


@dataclass
class Histories:
    """Holds the changes of rows, in their partitions' order, against the ledger."""

    evidence: Evidence
    report: Report
    _lives: dict[Key, Life] = field(default_factory=dict)
    _seen: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rows: dict[tuple[str, str, int], Entry] = {}
        self._entries: dict[int, Entry] = {}
        for entry in self.evidence.ledger:
            self._entries[entry.seq] = entry
            if entry.op not in (MARKER, STATEMENT):
                self._rows[entry.table, entry.pk, entry.version] = entry

    def read(self, change: Change) -> None:
        """One change event."""
        row = change.after if change.after is not None else change.before
        if row is None:
            self._wrong(4, change, "has no row")
        elif change.table == LEDGER:
            self._read_entry(change, row)
        else:
            self._read_row(change, row)

    def _read_entry(self, change: Change, row: Image) -> None:
        entry = self._entries.get(row["seq"])
        told = Entry(*(row[name] for name in ("seq", "tx", "tbl", "pk", "ver", "op", "row_hash")))
        if entry != told or change.op != "c" or change.before is not None:
            self._wrong(4, change, f"is not what the ledger holds: {told}")
        elif change.key != {"seq": entry.seq}:
            self._wrong(2, change, f"has the key {change.key}")
        elif entry.seq in self._seen:
            self.report.add("doubled", 3, f"ledger {entry}")
        self._seen.add(row["seq"])

    def _read_row(self, change: Change, row: Image) -> None:
        key, version = (change.table, str(row["id"])), row["ver"] + (change.after is None)
        if change.key != {"id": row["id"]}:
            self._wrong(2, change, f"has the key {change.key}, its row is {row['id']}")
        entry = self._rows.get((*key, version))
        if entry is None:
            self._wrong(1, change, f"version {version} of {key} was never committed")
        elif entry in self._seen:
            self.report.add("doubled", 3, f"{entry}")
        else:
            self._seen.add(entry)
            self._check_content(change, entry, row)
        life = self._lives.setdefault(key, Life(change.place))
        self._check_order(change, life, version)
        life.version, life.image = max(life.version, version), change.after

    def _check_content(self, change: Change, entry: Entry, row: Image) -> None:
        if entry.op != change.op or row["h"] != entry.row_hash:
            self._wrong(4, change, f"{change.op} {row['h']} is in the ledger as {entry}")
        elif change.after is not None and row["tx"] != entry.tx:
            self._wrong(5, change, f"is of transaction {row['tx']}, in the ledger {entry.tx}")
        elif change.after is not None and row_hash(change.after) != row["h"]:
            self._wrong(4, change, "has other values than its hash")

    def _check_order(self, change: Change, life: Life, version: int) -> None:
        if change.place != life.place:
            self.report.add("out_of_order", 2, f"{_told(change)} is not in {life.place}")
        if version <= life.version:
            self.report.add("out_of_order", 2, f"{_told(change)} comes after {life.version}")
        elif version == life.version + 1 and not _goes_on(life.image, change.before):
            self._wrong(2, change, f"has before it {change.before}, not {life.image}")

    def finish(self) -> None:
        """What is missing, and where the topics' end is another than the source's."""
        for entry in self._rows.values():
            if entry not in self._seen:
                self.report.add("lost", 1, f"{entry}")
        for entry in self.evidence.ledger:
            if entry.seq not in self._seen:
                self.report.add("lost", 1, f"ledger {entry}")
        self._check_state()

    def _check_state(self) -> None:
        ended: dict[str, dict[str, Image]] = {table: {} for table in self.evidence.rows}
        for (table, _), life in self._lives.items():
            if life.image is not None:
                ended.setdefault(table, {})[spelled(life.image["id"])] = life.image
        for table, images in ended.items():
            rows = self.evidence.rows.get(table, {})
            for key in images.keys() | rows.keys():
                image, row = images.get(key), rows.get(key)
                if image is None or row is None or not _is_equal(image, row):
                    text = f"{table} {key} ends as {image}, the source has {row}"
                    self.report.add("wrong_content", 7, text)

    def _wrong(self, check: int, change: Change, text: str) -> None:
        self.report.add("wrong_content", check, f"{_told(change)} {text}")


def check_counts(evidence: Evidence, changes: list[Change], report: Report) -> None:
    """Check 8: so many rows inserted, updated and deleted as mysqlbinlog counts."""
    if evidence.counted is None:
        return
    report.witnessed = True
    ours: dict[str, Counter[str]] = {}
    for change in changes:
        # A changed key is one update that comes in two parts.
        op = ("" if change.op == "c" else "u") if change.is_half else change.op
        ours.setdefault(change.table, Counter())[op] += 1
    for table in sorted(ours.keys() | evidence.counted.keys()):
        counts = [ours.get(table, Counter())[op] for op in "cud"]
        theirs = list(evidence.counted.get(table, (0, 0, 0)))
        if counts != theirs:
            text = f"{table}: {counts} inserts, updates, deletes; mysqlbinlog counts {theirs}"
            report.add("lost" if sum(counts) < sum(theirs) else "wrong_content", 8, text)


def _goes_on(image: Image | None, before: Image | None) -> bool:
    """Whether a change begins where the last one ended; columns may have come and gone."""
    if image is None or before is None:
        return image is before
    return all(image.get(name) == value for name, value in before.items())


def _is_equal(image: Image, row: dict[str, str] | Any) -> bool:
    return all(spelled(image.get(name)) == text for name, text in row.items())


def _told(change: Change) -> str:
    return f"{change.table} {change.id} in {change.place[0]}[{change.place[1]}]@{change.offset}:"
