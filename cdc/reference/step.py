"""Changes to records: the reference's step of the capture stage, by fastavro."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.envelope import TRANSACTION_KEY_SCHEMA, TRANSACTION_VALUE_SCHEMA
from cdc.capture.settings import ChangeEventSettings
from cdc.codec.avro import AvroSchema
from cdc.codec.partition import place
from cdc.model import ID_HEADER, REVISION_HEADER, Headers, Output, Record, Revision
from cdc.reference.changes import Changes
from cdc.reference.reads import ReferenceBatch
from cdc.reference.tables import Tables
from cdc.reference.told import Beside, Boundary, Change, Gap, Told

_TRANSACTION_KEY = AvroSchema(TRANSACTION_KEY_SCHEMA, plain=True)
_TRANSACTION_VALUE = AvroSchema(TRANSACTION_VALUE_SCHEMA, plain=True)


class ReferenceStep:
    """Implements `ports.Step[ReferenceBatch, Record, Checkpoint]`; refuses what isn't sure."""

    def __init__(
        self,
        tables: Tables,
        settings: ChangeEventSettings,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._changes = Changes(tables)
        self._tables, self._settings, self._clock = tables, settings, clock
        self._now = self._epoch = self._sequence = self._total = 0
        self._collections: Counter[str] = Counter()
        self._skipped: Counter[tuple[str, str]] = Counter()

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """(table, reason) → changes that were dropped by a named rule (invariant 2)."""
        return self._changes.dropped + self._skipped

    def __call__(self, batch: ReferenceBatch) -> Output[Record, Checkpoint]:
        """The change events of a batch and the checkpoint after them."""
        if batch.start is not None:
            self._epoch, self._sequence = batch.start.epoch, batch.start.sequence
        self._now = self._clock()
        self._changes.now_millis = self._now // 1_000_000
        records = [record for one in self._changes.of(batch) for record in self._records(one)]
        return Output(records, self._changes.checkpoint(self._sequence))

    def _records(self, one: Told) -> Iterator[Record]:
        assert not isinstance(one, Gap), "they are errors here"
        if isinstance(one, Beside):
            yield one.record
        elif isinstance(one, Boundary):
            yield from self._boundary(one)
        elif one.operation in self._settings.skipped_operations:
            reason = f"operation {one.operation} is in skipped.operations"
            self._skipped[one.table.name, reason] += 1
        else:
            yield from self._change(one)

    def _change(self, change: Change) -> Iterator[Record]:
        with_transactions = self._settings.provide_transaction_metadata and change.operation != "t"
        if with_transactions:
            self._total += 1
            self._collections[change.table.name] += 1
        if change.is_published:
            return
        block = {
            "id": change.transaction,
            "total_order": self._total,
            "data_collection_order": self._collections[change.table.name],
        }
        envelope = {
            "before": change.before,
            "after": change.after,
            "source": change.source,
            "transaction": block if with_transactions else None,
            "op": change.operation,
            "ts_ms": self._now // 1_000_000,
            "ts_us": self._now // 1_000,
            "ts_ns": self._now,
        }
        table = change.table
        value = table.value_frame + table.value_schema.encode(envelope)
        key = self._key(change, change.key)
        yield self._record(table.plan.topic, key, value, self._headers(change))
        is_deletion = change.operation == "d" and self._settings.tombstones_on_delete
        if is_deletion and "d" not in self._settings.skipped_operations:
            yield self._record(table.plan.topic, key, None, ())

    def _key(self, change: Change, key: dict[str, Any] | None) -> bytes | None:
        schema = change.table.key_schema
        if schema is None or key is None:
            return None
        return change.table.key_frame + schema.encode(key)

    def _headers(self, change: Change) -> Headers:
        self._sequence += 1
        name = f"{self._tables.connector}/{change.transaction}/{change.ordinal}"
        headers = [
            (REVISION_HEADER, Revision(self._epoch, self._sequence).to_bytes()),
            (ID_HEADER, name.encode()),
        ]
        other = self._key(change, change.other_key)
        if other is not None:
            which = "newkey" if change.operation == "d" else "oldkey"
            headers.append((f"__debezium.{which}", other))
        return headers

    def _boundary(self, boundary: Boundary) -> Iterator[Record]:
        """BEGIN or END on the transaction topic, if they are wanted."""
        if not self._settings.provide_transaction_metadata:
            return
        value: dict[str, Any] = {
            "status": boundary.status,
            "id": boundary.transaction,
            "event_count": None,
            "data_collections": None,
            "ts_ms": boundary.micros // 1000,
        }
        if boundary.status == "BEGIN":
            self._total = 0
            self._collections.clear()
        else:
            value["event_count"] = self._total
            value["data_collections"] = [
                {"data_collection": name, "event_count": count}
                for name, count in self._collections.items()
            ]
        if boundary.is_published:
            return
        key_frame, value_frame = self._tables.transactions()
        key = key_frame + _TRANSACTION_KEY.encode({"id": boundary.transaction})
        body = value_frame + _TRANSACTION_VALUE.encode(value)
        yield self._record(self._tables.transaction_topic, key, body, ())

    def _record(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Record:
        return Record(topic, 0 if key is None else place(key[5:]), key, value, headers)
