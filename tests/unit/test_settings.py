"""Options of change events: Debezium's names and values, refused with the fix where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdc.capture.deviations import DEVIATIONS
from cdc.capture.settings import OPTIONS, ChangeEventSettings, parse_settings
from cdc.errors import DecodeError

DOCS = Path(__file__).parents[2] / "docs" / "change-events.md"


def parsed(options: dict[str, Any]) -> ChangeEventSettings:
    settings, faults = parse_settings(options)
    assert not faults
    return settings


def fault(options: dict[str, Any]) -> str:
    _, faults = parse_settings(options)
    ((name, text),) = faults
    return f"{name} {text}"


def test_the_defaults_are_debeziums_but_for_those_that_the_docs_name() -> None:
    settings = parsed({})
    assert settings == ChangeEventSettings()
    # Documented deviations: a truncate has to reach the views, Avro can't do without adjustment,
    # headers cost more than they give most.
    assert settings.skipped_operations == frozenset()
    assert settings.schema_name_adjustment_mode == settings.field_name_adjustment_mode == "avro"
    assert not settings.extended_headers_enabled
    assert settings.include_schema_changes


@pytest.mark.parametrize(
    ("option", "value", "field", "expected"),
    [
        ("decimal.handling.mode", "String", "decimal_handling_mode", "string"),
        ("skipped.operations", "t, d", "skipped_operations", {"t", "d"}),
        ("skipped.operations", ["c"], "skipped_operations", {"c"}),
        ("skipped.operations", "none", "skipped_operations", set()),
        ("tombstones.on.delete", "FALSE", "tombstones_on_delete", False),
        ("heartbeat.interval.ms", "5000", "heartbeat_interval_ms", 5000),
        ("topic.delimiter", "_", "topic_delimiter", "_"),
    ],
)
def test_values_are_taken_as_yaml_and_command_line_give_them(
    option: str, value: Any, field: str, expected: Any
) -> None:
    assert getattr(parsed({option: value}), field) == expected


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("decimal.handling.mode", "exact", "precise, double, string"),
        ("bigint.unsigned.handling.mode", "double", "long, precise"),
        ("time.precision.mode", "adaptive", "Debezium refuses it for MySQL too"),
        ("time.precision.mode", "structured", "not yet settled"),
        ("on_substitution", "skip", "count, fail, dead_letter"),
        ("tombstones.on.delete", "maybe", "true or false"),
        ("heartbeat.interval.ms", "-1", "milliseconds"),
        ("topic.transaction", "a b", "letters, digits"),
        ("column.exclude.list", "a(", "regular expressions"),
        ("column.include.list", "", "regular expressions"),
        ("message.key.columns", "shop.orders", "database.table:column"),
        ("column.mask.hash.CRC.with.salt.s", ".*", "hash algorithm, MD5"),
        ("decimal.handling.mod", "string", "did you mean decimal.handling.mode?"),
        ("column.mask.with.12", ".*", "did you mean column.mask.with.<n>.chars?"),
    ],
)
def test_a_wrong_option_or_value_is_refused_with_what_is_allowed(
    option: str, value: str, says: str
) -> None:
    assert says in fault({option: value})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("topic.prefix", "connector"),
        ("topic.naming.strategy", "topic.delimiter"),
        ("table.include.list", "source.tables"),
        ("database.hostname", "under source"),
        ("database.ssl.mode", "under source"),
        ("schema.history.internal.kafka.topic", "no schema history"),
        ("snapshot.mode", "snapshots"),
        ("signal.data.collection", "no signal"),
        ("notification.enabled.channels", "no signal or notification"),
        ("event.processing.failure.handling.mode", "lose changes unseen"),
        ("inconsistent.schema.handling.mode", "lose changes unseen"),
        ("heartbeat.action.query", "never writes to the source"),
        ("max.batch.size", "limits"),
        ("max.queue.size.in.bytes", "limits"),
        ("errors.max.retries", "outage_seconds_max"),
        ("errors.tolerance", "Kafka Connect's"),
        ("converters", "rules under streams"),
        ("transforms.unwrap.type", "rules under streams"),
        ("connector.class", "Kafka Connect's"),
        ("enable.time.adjuster", "as they are stored"),
    ],
)
def test_an_option_of_debezium_that_is_left_out_says_why_and_what_stands_for_it(
    option: str, says: str
) -> None:
    text = fault({option: "x"})
    assert "is left out on purpose" in text
    assert says.lower() in text.lower()


def test_a_salt_is_in_no_fault_and_no_representation() -> None:
    """Invariant 9: the salt is a secret, though it stands in the option's name."""
    for options in (
        {"column.mask.hash.SHA-256.with.salt.hush": "a("},
        {"column.mask.hash.CRC.with.salt.hush": ".*"},
        {"column.mask.hash.with.salt.hush": ".*"},
    ):
        assert "hush" not in fault(options)
    for value in (
        {"salt": "hush", "columns": "a("},
        {"salt": "hush", "column": ".*"},
        {"salt": "hush"},
    ):
        assert "hush" not in fault({"column.mask.hash.v2.MD5": value})
    assert "hush" not in fault({"column.mask.hash.v2.CRC": {"salt": "hush", "columns": ".*"}})
    assert "hush" not in repr(parsed({"column.mask.hash.v2.MD5.with.salt.hush": ".*"}))


def test_a_salt_may_stand_in_the_value_where_it_can_come_from_the_environment() -> None:
    for version in ("", "v2."):
        apart = {f"column.mask.hash.{version}MD5": {"salt": "hush", "columns": ".*pin"}}
        in_name = {f"column.mask.hash.{version}MD5.with.salt.hush": ".*pin"}
        assert parsed(apart) == parsed(in_name)


@pytest.mark.parametrize("hiding", ["column.exclude.list", "column.mask.with.3.chars"])
def test_a_statements_text_is_refused_beside_hidden_columns(hiding: str) -> None:
    assert "hide of columns" in fault({"include.query": True, hiding: ".*"})
    assert "hide of columns" in fault({"include.schema.changes": True, hiding: ".*"})


@pytest.mark.parametrize("hiding", ["column.exclude.list", "column.mask.with.3.chars"])
def test_schema_changes_are_published_unless_columns_are_hidden(hiding: str) -> None:
    assert parsed({}).include_schema_changes
    assert not parsed({hiding: ".*"}).include_schema_changes


def test_columns_are_either_included_or_excluded() -> None:
    assert "column.include.list" in fault(
        {"column.include.list": "a.b.c", "column.exclude.list": "a.b.d"}
    )


def test_expressions_match_whole_names_in_whatever_case_and_commas_part_them() -> None:
    rules = parsed({"column.exclude.list": r"shop\.orders\.note, .*\.pin{1\,2}"}).columns
    assert rules.is_excluded("shop.orders.note")
    assert rules.is_excluded("SHOP.Orders.NOTE")
    assert rules.is_excluded("any.thing.pinn")
    assert not rules.is_excluded("shop.orders.notes")
    assert not rules.is_excluded("eshop.orders.note")


def test_key_columns_come_in_the_order_of_the_expressions() -> None:
    rules = parsed({"message.key.columns": r"shop.lines:no,order_id;(.*)\.log:at"}).columns
    assert rules.key_columns("shop.lines", ["id", "order_id", "no"]) == [2, 1]
    assert rules.key_columns("any.log", ["at"]) == [0]
    assert rules.key_columns("shop.orders", ["id"]) == []


@pytest.mark.parametrize(
    ("columns", "missing", "nearest"),
    [
        (["id", "orderid", "no"], "order_id", "did you mean 'orderid'?"),
        (["id", "a"], "no", "allowed: a, id"),
    ],
)
def test_a_key_column_that_a_table_has_not_is_an_error_never_another_key(
    columns: list[str], missing: str, nearest: str
) -> None:
    rules = parsed({"message.key.columns": r"shop\.lines:no,order_id"}).columns
    with pytest.raises(DecodeError, match=r"message\.key\.columns") as refused:
        rules.key_columns("shop.lines", columns)
    assert f"names {missing} for the key of shop.lines" in refused.value.message
    assert refused.value.hint == nearest


def test_a_renamed_key_column_may_go_by_both_names() -> None:
    rules = parsed({"message.key.columns": "shop.t:a,(b|c)"}).columns
    assert rules.key_columns("shop.t", ["a", "b"]) == [0, 1]
    assert rules.key_columns("shop.t", ["a", "c"]) == [0, 1]
    with pytest.raises(DecodeError, match="names"):
        rules.key_columns("shop.t", ["a", "d"])


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_documented(option: str) -> None:
    assert f"`{option}`" in DOCS.read_text()


def test_every_deviation_from_debezium_is_documented_as_it_stands_in_the_code() -> None:
    text = DOCS.read_text()
    for one in DEVIATIONS:
        assert f"| {one.name} | {one.theirs} | {one.ours} | {one.why} |" in text


DEBEZIUMS = {
    "skipped.operations": "t",
    "extended.headers.enabled": True,
    "schema.name.adjustment.mode": "none",
    "field.name.adjustment.mode": "none",
    "invalid_text": "replace",
}
"""Debezium 3.6.1's defaults where ours differ."""


def test_no_option_has_another_default_without_a_deviation_that_says_so() -> None:
    theirs = parsed(DEBEZIUMS)
    differing = [one for one in ChangeEventSettings.__slots__
                 if getattr(theirs, one) != getattr(parsed({}), one)]  # fmt: skip
    assert len(differing) == len(DEBEZIUMS)
    listed = " ".join(f"{one.theirs} {one.ours}" for one in DEVIATIONS)
    for option in DEBEZIUMS:
        assert option in listed
    described = {line.split("`")[1] for line in DOCS.read_text().splitlines()
                 if line.startswith("| `") and "Debezium: `" in line}  # fmt: skip
    assert described <= DEBEZIUMS.keys() | {"field.name.adjustment.mode"}
