"""Checks 5 and 6: transactions are whole, and lie in the order of the source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.faults.decoding import LEDGER, Change, Record
from tests.faults.evidence import Evidence
from tests.faults.histories import MARKER, STATEMENT
from tests.faults.report import Report

MADE_BEFORE = 1
"""Transactions that the workload writes before the captured ones: its own beginning."""
FIRST_ROW = 1
"""Of a transaction, in an event's id."""


@dataclass(frozen=True)
class Transactions:
    """Holds the changes of all partitions against the ledger's transactions."""

    evidence: Evidence
    report: Report
    changes: Sequence[Change]
    """By revision."""
    records: Sequence[Sequence[Record]]
    """BEGIN and END, by partition."""

    def check(self) -> None:
        self._check_places()
        by_id: dict[str, list[Change]] = defaultdict(list)
        for change in self.changes:
            block = change.transaction
            if block is None:
                self._add("wrong_content", 5, f"{change.id} is of no transaction")
            else:
                by_id[block["id"]].append(change)
        self.report.transactions = len(by_id)
        for id_, changes in by_id.items():
            self._check_numbers(id_, changes)
        self._check_entries(by_id)
        others = self._check_bounds(by_id)
        self._check_executed(by_id, others)

    def _check_places(self) -> None:
        """Revisions without a gap, places that rise, ids that name both."""
        last: Change | None = None
        missing = 0
        for change in self.changes:
            if last is not None:
                missing += max(0, change.revision.sequence - last.revision.sequence - 1)
                if change.revision == last.revision:
                    self._add("doubled", 6, f"{change.id} and {last.id} are {change.revision}")
                if not self._rises(last, change):
                    text = f"{change.id} at {change.coordinates} comes after {last.coordinates}"
                    self._add("out_of_order", 6, text)
                if change.revision.epoch != last.revision.epoch:
                    self._add("wrong_content", 6, f"{change.id} is of another epoch")
            last = change
        lost = 2 * sum(one.op not in (MARKER, STATEMENT) for one in self.evidence.ledger)
        lost += sum(one.op in (MARKER, STATEMENT) for one in self.evidence.ledger)
        lost -= len(self.changes)
        if missing != lost and missing:
            self._add("wrong_content", 6, f"{missing} revisions are missing, {lost} changes")

    def _rises(self, last: Change, change: Change) -> bool:
        """Whether the place is behind the last one's.

        The events of a compressed transaction all stand at its own place, each counting its rows
        anew: the order in it is that of the transaction's numbers."""
        at, row = change.coordinates[:2], change.coordinates[2:]
        if at != last.coordinates[:2] or at not in self.evidence.payloads:
            return change.coordinates > last.coordinates
        last_row, is_new_key = last.coordinates[2:]
        following = {(0, 0), (last_row + 1, 0)}
        if last.is_half and not is_new_key:
            following = {(last_row, 1)}
        return change.gtid == last.gtid and row in following

    def _check_numbers(self, id_: str, changes: Sequence[Change]) -> None:
        """1 to n in the transaction and in each table, and the id of each."""
        of_table: Counter[str] = Counter()
        row = FIRST_ROW - 1
        for number, change in enumerate(changes, 1):
            assert change.transaction is not None
            of_table[change.table] += 1
            orders = change.transaction["total_order"], change.transaction["data_collection_order"]
            if orders != (number, of_table[change.table]):
                text = f"{change.id} is number {orders}, not {(number, of_table[change.table])}"
                self._add("wrong_content", 5, text)
            if change.gtid not in (None, id_):
                self._add("wrong_content", 5, f"{change.id} is of {change.gtid} and of {id_}")
            # Both parts of a changed key are of one row; all rows of the workload are captured.
            row += not (change.is_half and change.op == "c")
            if change.id != f"{self.evidence.connector}/{id_}/{row}":
                self._add("wrong_content", 6, f"{change.id} is row {row} of {id_}")

    def _check_entries(self, by_id: Mapping[str, Sequence[Change]]) -> None:
        """One transaction of the ledger each, all of it."""
        wanted: Counter[str] = Counter()
        for entry in self.evidence.ledger:
            wanted[entry.tx] += 1 if entry.op in (MARKER, STATEMENT) else 2
        ids: dict[str, str] = {}
        for id_, changes in by_id.items():
            entries = [one.after for one in changes if one.table == LEDGER and one.after]
            names = {entry["tx"] for entry in entries}
            for before, after in pairwise(entries):
                if after["seq"] <= before["seq"]:
                    text = f"entry {after['seq']} of {id_} comes after {before['seq']}"
                    self._add("out_of_order", 5, text)
            for name in names:
                if len(names) > 1 or ids.setdefault(name, id_) != id_:
                    self._add("wrong_content", 5, f"{id_} is {sorted(names)} and {ids.get(name)}")
            count = sum(wanted[name] for name in names)
            if count < len(changes):
                self._add("wrong_content", 5, f"{id_} has {len(changes)} changes of {count}")

    def _check_bounds(self, by_id: Mapping[str, Sequence[Change]]) -> Set[str]:
        """BEGIN and END of each, in the transactions' order, with the right counts; the ids of
        others' transactions, which have no captured row and are told of, too."""
        first = {id_: changes[0].revision for id_, changes in by_id.items()}
        bounds: Counter[tuple[str, str]] = Counter()
        for records in self.records:
            before: Record | None = None
            for record in records:
                bounds[record.value["id"], record.value["status"]] += 1
                self._check_bound(record, by_id, before, first)
                before = record
        others = {id_ for id_, _ in bounds} - by_id.keys()
        if len(others) > self.evidence.strangers:
            self._add("wrong_content", 5, f"{sorted(others)} have no row")
        for id_ in by_id.keys() | others:
            for status in ("BEGIN", "END"):
                if not bounds[id_, status]:
                    self._add("lost", 5, f"{status} of {id_}")
        return others

    def _check_bound(
        self,
        record: Record,
        by_id: Mapping[str, Sequence[Change]],
        before: Record | None,
        first: Mapping[str, Any],
    ) -> None:
        value = record.value
        id_, status = value["id"], value["status"]
        changes = by_id.get(id_, ())
        tables = Counter(f"{self.evidence.database}.{one.table}" for one in changes)
        if record.key != {"id": id_} or status not in ("BEGIN", "END"):
            self._add("wrong_content", 5, f"{status} of {id_}, with the key {record.key}")
        elif status == "END":
            told = {one["data_collection"]: one["event_count"] for one in value["data_collections"]}
            if value["event_count"] != len(changes) or told != tables:
                # Which of both, the lost changes themselves tell.
                text = f"END of {id_} counts {told}, there are {dict(tables)}"
                self._add("wrong_content", 5, text)
            if before is None or (before.value["id"], before.value["status"]) != (id_, "BEGIN"):
                self._add("out_of_order", 5, f"END of {id_} is not behind its BEGIN")
        elif before is not None:
            last, own = first.get(before.value["id"]), first.get(id_)
            is_behind = last is None or own is None or last < own
            if before.value["status"] != "END" or not is_behind:
                self._add("out_of_order", 5, f"BEGIN of {id_} is behind {before.value}")

    def _check_executed(self, by_id: Iterable[str], without_rows: Set[str]) -> None:
        """All that the source executed is here, but for what changes no captured row."""
        if not self.evidence.gtids:
            return
        executed = set(self.evidence.gtids)
        ids = set(by_id)
        for id_ in (ids | without_rows) - executed:
            self._add("wrong_content", 6, f"the source never executed {id_}")
        others = MADE_BEFORE + self.evidence.strangers
        others += sum(one.op == STATEMENT for one in self.evidence.ledger)
        missing = len(executed - ids) - others
        for _ in range(missing):
            self._add("lost", 6, f"one of {len(executed - ids)} executed transactions")

    def _add(self, fault: Any, check: int, text: str) -> None:
        self.report.add(fault, check, text)
