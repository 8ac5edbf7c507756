"""A change event that the rules don't fit becomes a dead letter, with none of its events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import TypeAdapter

from cdc.dead_letters import KINDS, RAW_BYTES_MAX, DeadLetter, DeadLetters, Policy, SkipRule
from cdc.errors import CdcError, RuleError
from cdc.model import Record
from cdc.patterns import TablePatterns
from cdc.testing import MemoryRegistry
from cdc.translate.dead_messages import DeadMessages, message_of
from cdc.translate.settings import StreamSettings
from cdc.translate.translator import Translator
from tests.changes import Batch, History, Table
from tests.events import official

ORDERS = Table("shop.orders", {"id": "bigint", "region": "varchar null", "status": "varchar"})
SCHEMAS = {"orders/v1/OrderPlaced": {"order_id": "long", "region": "string"},
           "orders/v1/OrderSeen": {"order_id": "long"}}  # fmt: skip
SEEN = {"event": "OrderSeen", "from": "shop.orders", "on": "insert"}
PLACED = {
    "event": "OrderPlaced", "from": "shop.orders", "on": "insert", "fields": {"region": "region"},
}  # fmt: skip
TOPIC = "shop.dead_letters"


def wanted(*kinds: str, count_max: int = 100, skip: tuple[SkipRule, ...] = ()) -> DeadLetters:
    return DeadLetters(Policy(frozenset(kinds or KINDS), skip, count_max))


def translator(registry: MemoryRegistry, dead_letters: DeadLetters) -> Translator:
    """The first rule fits every row, the second none without a region."""
    given = {"stream": "orders", "major": 1, "key": {"order_id": "id"}, "events": [SEEN, PLACED]}
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
    """Three orders, of which the second has no region."""
    made = History(registry)
    for number, region in ((1, "n"), (2, None), (3, "s")):
        made.insert(ORDERS, {"id": number, "region": region, "status": "new"})
    return made


def letters(records: Sequence[Record]) -> list[DeadLetter]:
    return [DeadLetter.from_bytes(one.value or b"") for one in records if one.topic == TOPIC]


def test_the_neighbours_are_translated_and_nothing_of_the_change_is(
    registry: MemoryRegistry, history: History
) -> None:
    step = translator(registry, wanted("rule"))
    output = step(history.batch())
    subjects = [dict(one.headers).get("ce_subject", b"+").decode() for one in output.records]
    assert subjects == ["1", "1", "+", "3", "3"]
    (letter,) = letters(output.records)
    assert (letter.stage, letter.kind, letter.table) == ("translate", "rule", "shop.orders")
    assert "can't translate a change of shop.orders" in letter.reason
    assert letter.id == "shop/tx-2/0/translate"
    message = history.messages[1]
    assert letter.coordinates == {
        "topic": message.topic, "partition": message.partition, "offset": message.offset,
        "revision": [1, 2, 0],
    }  # fmt: skip
    assert (letter.raw["key"], letter.raw["value"]) == (message.key, message.value)
    again = message_of(letter)
    assert again[:5] == message[:5]
    assert list(again.headers) == list(message.headers)
    assert sum(step.dropped.values()) == 0
    assert sum(step.published.values()) == 4


def test_without_a_word_on_it_the_rule_stops(registry: MemoryRegistry, history: History) -> None:
    with pytest.raises(RuleError, match="can't translate"):
        translator(registry, wanted("unreadable_event"))(history.batch())


def test_a_change_without_the_headers_of_capture_is_of_its_own_kind(
    registry: MemoryRegistry, history: History
) -> None:
    message = history.messages[0]._replace(headers=())
    with pytest.raises(RuleError, match="has no header"):
        translator(registry, wanted("rule"))(Batch([message], {}))
    output = translator(registry, wanted("unreadable_event"))(Batch([message], {}))
    (letter,) = letters(output.records)
    assert letter.id == f"{message.topic}[{message.partition}]@{message.offset}"


def test_a_value_that_is_no_avro_is_kept(registry: MemoryRegistry, history: History) -> None:
    message = history.messages[0]
    broken = message._replace(value=(message.value or b"")[:6])
    output = translator(registry, wanted("unreadable_event"))(Batch([broken], {}))
    (letter,) = letters(output.records)
    assert letter.raw["value"] == broken.value


def test_the_limit_stops_it(registry: MemoryRegistry, history: History) -> None:
    history.insert(ORDERS, {"id": 4, "region": None, "status": "new"})
    with pytest.raises(RuleError, match="count_max"):
        translator(registry, wanted("rule", count_max=1))(history.batch())


def test_a_named_rule_drops_and_is_counted(registry: MemoryRegistry, history: History) -> None:
    rule = SkipRule("no region", "rule", TablePatterns(("shop.*",)))
    step = translator(registry, wanted("rule", skip=(rule,)))
    assert not letters(step(history.batch()).records)
    assert step.dropped == {("shop.orders", "change", "no region is in dead_letters.skip"): 1}


def test_what_is_too_large_is_not_kept(registry: MemoryRegistry, history: History) -> None:
    message = history.messages[0]
    large = message._replace(value=(message.value or b"")[:5] + b"\xff" * RAW_BYTES_MAX)
    output = translator(registry, wanted("unreadable_event"))(Batch([large], {}))
    (letter,) = letters(output.records)
    assert (letter.raw, letter.length > RAW_BYTES_MAX) == ({}, True)
    with pytest.raises(CdcError, match="isn't kept"):
        message_of(letter)


def test_rules_that_do_not_fit_the_table_stop_whatever_the_policy(
    registry: MemoryRegistry, history: History
) -> None:
    """Each change would be at fault; what is to be mended is the rule."""
    history.insert(Table("shop.orders", {"id": "bigint"}), {"id": 2})
    with pytest.raises(RuleError, match="don't fit"):
        translator(registry, wanted())(history.batch())
