"""The section `dead_letters:`: what becomes of changes that can't go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cdc.config.section import Section
from cdc.dead_letters import Policy, SkipRule
from cdc.patterns import TablePatterns, check_table_pattern

Choice = Literal["fail", "dead_letter"]
Kind = Literal[
    "invalid_text",
    "substitution",
    "unreadable_value",
    "left_out_columns",
    "oversized_record",
    "statement_rows",
    "rule",
    "unreadable_event",
]
TablePattern = Annotated[str, AfterValidator(check_table_pattern)]


class SkipSection(Section):
    """Changes that are dropped, and counted under the rule's name."""

    rule: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Kind
    tables: Annotated[tuple[TablePattern, ...], Field(min_length=1)]


class DeadLettersSection(Section):
    """By kind of fault; `change_events` has those of invalid text and of substitutions."""

    unreadable_value: Choice = "fail"
    left_out_columns: Choice = "fail"
    oversized_record: Choice = "fail"
    statement_rows: Choice = "fail"
    rule: Choice = "fail"
    unreadable_event: Choice = "fail"
    skip: tuple[SkipSection, ...] = ()
    later_records: Literal["hold", "pass"] = "hold"
    """Those of a key that has a dead letter wait behind it. `pass`: they go out, and the order of
    that key is given up, which nothing but this word does (invariant 3)."""
    count_max: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Dead letters of a stage that are kept at a time; one more stops it."""
    held_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Records of a stage that wait at a time; one more stops it."""

    def policy(self, kinds: Collection[str], further: Iterable[str] = ()) -> Policy:
        """Of a stage whose changes have faults of these kinds; `further` are those that other
        sections make dead letters of."""
        chosen = {name for name, value in self if value == "dead_letter" and name in kinds}
        rules = tuple(
            SkipRule(one.rule, one.kind, TablePatterns(one.tables))
            for one in self.skip
            if one.kind in kinds
        )
        return Policy(
            frozenset(chosen).union(further),
            rules,
            self.count_max,
            is_holding=self.later_records == "hold",
            held_max=self.held_max,
        )
