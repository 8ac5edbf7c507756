"""A naive second translator agrees with the real one over histories that hypothesis makes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cdc.testing import MemoryRegistry
from cdc.translate.settings import StreamSettings
from cdc.translate.translator import Translator
from tests.changes import Batch, History, Table
from tests.events import official, readable

STATES = ("placed", "paid", "shipped", "lost")
ORDERS = Table(
    "shop.orders",
    {"id": "int", "state": f"enum({','.join(STATES)})", "total": "decimal(8,2)",
     "note": "varchar null"},
)  # fmt: skip
AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
SCHEMAS = official(
    {
        "orders/v1/Placed": {"id": "long", "total": AMOUNT, "kind": "string"},
        "orders/v1/Shipped": {"id": "long", "was": "string", "note": ["null", "string"]},
        "orders/v1/Noted": {"id": "long", "note": ["null", "string"]},
        "orders/v1/Gone": {"id": "long", "total": AMOUNT},
        "orders/v1/Moved": {"id": "long", "former": "long"},
        "orders/v1/Imported": {"id": "long"},
    }
)
RULES: list[dict[str, Any]] = [
    {"event": "Placed", "on": "insert", "when": {"state": ["placed", "paid"]},
     "fields": {"total": "total", "kind": {"value": "web"}}},
    {"event": "Shipped", "on": "update", "when": {"state": {"to": "shipped"}},
     "fields": {"was": {"before": "state"}, "note": "note"}},
    {"event": "Noted", "on": ["update"], "when": {"note": {"changed": True}, "total": {"not": 0}},
     "fields": {"note": "note"}},
    {"event": "Gone", "on": "delete", "when": {"state": {"not": ["shipped", "lost"]}},
     "fields": {"total": "total"}},
    {"event": "Moved", "on": "key_change", "fields": {"former": {"before": "id"}}},
    {"event": "Imported", "on": "snapshot", "when": {"note": None}},
]  # fmt: skip
STREAMS = TypeAdapter(list[StreamSettings]).validate_python(
    [{"stream": "orders", "major": 1, "key": {"id": "id"},
      "events": [{"from": "shop.orders", **rule} for rule in RULES]}]
)  # fmt: skip


def naive(operation: str, before: Any, after: Any) -> list[tuple[str, dict[str, Any]]]:
    """The rules above, once more, by hand."""
    row = after or before
    id_, total = {"id": row["id"]}, {"total": str(Decimal(row["total"]).quantize(Decimal("1.000")))}
    events: list[tuple[str, dict[str, Any]]] = []
    if operation == "insert" and row["state"] in ("placed", "paid"):
        events.append(("Placed", {**id_, **total, "kind": "web"}))
    if operation == "update":
        if before["state"] != "shipped" and after["state"] == "shipped":
            events.append(("Shipped", {**id_, "was": before["state"], "note": after["note"]}))
        if before["note"] != after["note"] and Decimal(after["total"]) != 0:
            events.append(("Noted", {**id_, "note": after["note"]}))
    if operation == "delete" and row["state"] not in ("shipped", "lost"):
        events.append(("Gone", {**id_, **total}))
    if operation == "key_change":
        events.append(("Moved", {**id_, "former": before["id"]}))
    if operation == "snapshot" and row["note"] is None:
        events.append(("Imported", id_))
    return events


rows = st.fixed_dictionaries(
    {
        "id": st.integers(1, 5),
        "state": st.sampled_from(STATES),
        "total": st.integers(-99999, 99999).map(lambda cents: f"{Decimal(cents).scaleb(-2):f}"),
        "note": st.none() | st.sampled_from(["", "a", "b"]),
    }
)
steps = st.lists(
    st.tuples(st.sampled_from(("insert", "update", "delete", "key_change", "snapshot")), rows, rows)
)


@given(steps, st.data())
def test_the_naive_translator_agrees(steps: list[Any], data: st.DataObject) -> None:
    registry = MemoryRegistry()
    history = History(registry)
    expected = []
    for operation, before, after in steps:
        if operation in ("update", "key_change"):
            if operation == "update":
                after = {**after, "id": before["id"]}
            getattr(history, operation)(ORDERS, before, after)
        else:
            before, after = (None, after) if operation != "delete" else (before, None)
            getattr(history, operation)(ORDERS, after or before)
        expected += naive(operation, before, after)

    step = Translator(connector="shop", streams=STREAMS, official=SCHEMAS, registry=registry)
    cut = data.draw(st.integers(0, len(history.messages)))
    records = [
        *step(Batch(history.messages[:cut], {})).records,
        *step(Batch(history.messages[cut:], {})).records,
    ]

    found = readable(records, registry)
    assert [(one["event"], one["fields"]) for one in found] == expected
    assert [one["key"] for one in found] == [{"id": fields["id"]} for _, fields in expected]
    ids = [one["headers"]["ce_id"] for one in found]
    revisions = [one["headers"]["ce_revision"] for one in found]
    assert len(set(ids)) == len(ids)
    assert revisions == sorted(set(revisions))
