"""Change events of a key that has a dead letter wait behind it; those of other keys pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import TypeAdapter

from cdc.dead_letters import (
    HELD,
    KINDS,
    RAW_BYTES_MAX,
    DeadLetter,
    DeadLetters,
    Policy,
    held_keys_of,
)
from cdc.errors import RuleError
from cdc.model import Record
from cdc.testing import MemoryRegistry
from cdc.translate.dead_messages import DeadMessages
from cdc.translate.settings import StreamSettings
from cdc.translate.translator import Translator
from tests.changes import Batch, History, Table
from tests.events import official

ORDERS = Table("shop.orders", {"id": "bigint", "region": "varchar null", "status": "varchar"})
LINES = Table("shop.lines", {"id": "bigint", "order_id": "bigint", "sku": "varchar null"})
SCHEMAS = {"orders/v1/OrderPlaced": {"order_id": "long", "region": "string"},
           "orders/v1/OrderGone": {"order_id": "long"},
           "orders/v1/LineAdded": {"order_id": "long", "sku": "string"}}  # fmt: skip
EVENTS = [
    {"event": "OrderPlaced", "from": "shop.orders", "on": ["insert", "update"],
     "fields": {"region": "region"}, "key": {"order_id": "id"}},
    {"event": "OrderGone", "from": "shop.orders", "on": "delete", "key": {"order_id": "id"}},
    {"event": "LineAdded", "from": "shop.lines", "on": "insert", "fields": {"sku": "sku"}},
]  # fmt: skip
TOPIC = "shop.dead_letters"


def holding(kept: Sequence[DeadLetter] = (), **more: int) -> DeadLetters:
    held_count = sum(one.kind == HELD for one in kept)
    return DeadLetters(
        Policy(frozenset(KINDS), is_holding=True, **more),
        len(kept) - held_count,
        held_count=held_count,
        held_keys=held_keys_of(kept),
    )


def translator(registry: MemoryRegistry, dead_letters: DeadLetters) -> Translator:
    given = {"stream": "orders", "major": 1, "key": {"order_id": "order_id"}, "events": EVENTS}
    streams: Sequence[StreamSettings] = TypeAdapter(list[StreamSettings]).validate_python([given])
    return Translator(
        connector="shop",
        streams=streams,
        official=official(SCHEMAS),
        registry=registry,
        dead_messages=DeadMessages("shop", dead_letters, lambda: 10**18),
    )


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def history(registry: MemoryRegistry) -> History:
    """Two orders, of which the second has no region."""
    made = History(registry)
    for number, region in ((1, "n"), (2, None)):
        made.insert(ORDERS, order(number, region))
    return made


def order(number: int, region: str | None = "n") -> dict[str, object]:
    return {"id": number, "region": region, "status": "new"}


def letters(records: Sequence[Record]) -> list[DeadLetter]:
    return [DeadLetter.from_bytes(one.value or b"") for one in records if one.topic == TOPIC]


def told(records: Sequence[Record]) -> list[str]:
    """The keys of events, of dead letters `+` and their number in the history."""
    return [
        f"+{letters([one])[0].id.split('/')[1]}" if one.topic == TOPIC
        else dict(one.headers)["ce_subject"].decode()
        for one in records
    ]  # fmt: skip


def test_later_changes_of_the_key_wait_and_others_pass(
    registry: MemoryRegistry, history: History
) -> None:
    history.update(ORDERS, order(2), order(2, "s"))
    history.insert(ORDERS, order(3))
    history.delete(ORDERS, order(2, "s"))
    step = translator(registry, holding())
    output = step(history.batch())
    assert told(output.records) == ["1", "+tx-2", "+tx-3", "3", "+tx-5"]
    assert [one.kind for one in letters(output.records)] == ["rule", HELD, HELD]
    assert letters(output.records)[2].reason.endswith(
        "held behind dead letter shop/tx-2/0/translate"
    )
    assert sum(step.published.values()) == 2


def test_events_of_the_same_key_from_another_table_wait_too(
    registry: MemoryRegistry, history: History
) -> None:
    """The rule that doesn't fit knows the key of the event all the same."""
    for number in (1, 2):
        history.insert(LINES, {"id": number, "order_id": number, "sku": "x"})
    history.insert(LINES, {"id": 3, "order_id": 1, "sku": None})
    history.update(ORDERS, order(1), order(1))
    output = translator(registry, holding())(history.batch())
    assert told(output.records) == ["1", "+tx-2", "1", "+tx-4", "+tx-5", "+tx-6"]


def test_a_change_that_gives_no_event_is_dropped_and_does_not_wait(
    registry: MemoryRegistry, history: History
) -> None:
    history.update(LINES, {"id": 2, "order_id": 2}, {"id": 2, "order_id": 2, "sku": "x"})
    history.delete(LINES, {"id": 2, "order_id": 2, "sku": "x"})
    step = translator(registry, holding())
    assert told(step(history.batch()).records) == ["1", "+tx-2"]
    assert sum(step.dropped.values()) == 3


def test_a_changed_key_is_held_with_the_old_one(registry: MemoryRegistry, history: History) -> None:
    history.key_change(ORDERS, order(2), order(5))
    lines = {"event": "OrderPlaced", "from": "shop.orders", "on": "key_change",
             "fields": {"region": "region"}, "key": {"order_id": "id"}}  # fmt: skip
    history.update(ORDERS, order(5), order(5))
    EVENTS.append(lines)
    try:
        output = translator(registry, holding())(history.batch())
    finally:
        EVENTS.remove(lines)
    assert told(output.records) == ["1", "+tx-2", "+tx-4", "+tx-5"]


def test_a_change_event_that_cannot_be_read_holds_its_own_key(
    registry: MemoryRegistry, history: History
) -> None:
    history.update(ORDERS, order(1), order(1))
    history.insert(ORDERS, order(3))
    broken = history.messages[0]
    messages = [broken._replace(value=(broken.value or b"")[:6]), *history.messages[2:]]
    output = translator(registry, holding())(Batch(messages, {}))
    assert [one.kind for one in letters(output.records)] == ["unreadable_event", HELD]
    assert told(output.records) == ["+tx-1", "+tx-3", "3"]


def test_what_is_held_is_the_same_after_a_restart(
    registry: MemoryRegistry, history: History
) -> None:
    kept = letters(translator(registry, holding())(history.batch()).records)
    kept = [DeadLetter.from_bytes(one.to_bytes()) for one in kept]
    later = History(registry, sequence=10)
    later.update(ORDERS, order(2), order(2))
    later.update(ORDERS, order(1), order(1))
    output = translator(registry, holding(kept))(later.batch())
    assert told(output.records) == ["+tx-11", "1"]
    assert told(translator(registry, holding())(later.batch()).records) == ["2", "1"]


def test_one_more_than_may_wait_stops_it(registry: MemoryRegistry, history: History) -> None:
    for _ in range(2):
        history.update(ORDERS, order(2), order(2))
    assert len(translator(registry, holding(held_max=2))(history.batch()).records) == 4
    with pytest.raises(RuleError, match=r"1 records .*held_max\).*behind dead letter shop/tx-2"):
        translator(registry, holding(held_max=1))(history.batch())


def test_where_they_pass_nothing_waits(registry: MemoryRegistry, history: History) -> None:
    history.update(ORDERS, order(2), order(2))
    dead_letters = DeadLetters(Policy(frozenset(KINDS)))
    output = translator(registry, dead_letters)(history.batch())
    assert told(output.records) == ["1", "+tx-2", "2"]
    assert letters(output.records)[0].holds == ()


def test_what_is_too_large_to_be_kept_stops_instead_of_waiting(
    registry: MemoryRegistry, history: History
) -> None:
    history.update(ORDERS, order(2), order(2, "x" * RAW_BYTES_MAX))
    with pytest.raises(RuleError, match="can't wait: it has"):
        translator(registry, holding())(history.batch())
