"""`when`: a condition on a column, compiled to a test of the row before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cdc.codec.types import ValueType
from cdc.findings import nearest
from cdc.translate.literals import comparable, comparable_literal
from cdc.translate.settings import Condition

Row = Mapping[str, Any]

Test = Callable[[Row | None, Row | None], bool]
"""Whether a change matches, by the rows before and after; one of them may be missing."""


class UnfitLiteralError(ValueError):
    """A constant of a condition that can't be a value of its column."""

    def __init__(self, test: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.test, self.message, self.hint = test, message, hint


class _Absent:
    """The value of a column in a row that doesn't exist: different from every value."""


ABSENT: Final = _Absent()


def compile_condition(column: str, condition: Condition, type_: ValueType) -> Test:
    """The test of one column; UnfitLiteralError names a constant that doesn't fit it."""
    normal = comparable(type_)
    row_tests, before_values, after_values = _constants(condition, type_)
    transitions, changed = condition.looks_before, condition.changed is not False

    def value_in(row: Row | None) -> Any:
        if row is None:
            return ABSENT
        value = row.get(column, ABSENT)
        return value if normal is None or value is None or value is ABSENT else normal(value)

    def test(before: Row | None, after: Row | None) -> bool:
        new = value_in(after)
        row = value_in(before) if after is None else new
        for values, is_in in row_tests:
            if (row in values) is not is_in:
                return False
        if not transitions:
            return True
        old = value_in(before)
        return (
            (old != new) is changed
            and (before_values is None or old in before_values)
            and (after_values is None or new in after_values)
        )

    return test


def excludes_null(condition: Condition | None) -> bool:
    """Whether a row that fulfils the condition can't have null in the column."""
    if condition is None:
        return False
    if condition.has("not_") and None in _several(condition.not_):
        return True
    wanted = [test for test in ("equals", "in_", "to") if condition.has(test)]
    return any(None not in _several(getattr(condition, test)) for test in wanted)


def _constants(
    condition: Condition, type_: ValueType
) -> tuple[list[tuple[frozenset[Any], bool]], frozenset[Any] | None, frozenset[Any] | None]:
    """(tests of the row with what they ask for, values before, values after)."""
    row_tests = [
        (_values(condition, test, type_), test != "not_")
        for test in ("equals", "in_", "not_")
        if condition.has(test)
    ]
    before = _values(condition, "from_", type_) if condition.has("from_") else None
    after = _values(condition, "to", type_) if condition.has("to") else None
    return row_tests, before, after


def _values(condition: Condition, test: str, type_: ValueType) -> frozenset[Any]:
    name = test.rstrip("_")
    return frozenset(_constant(value, name, type_) for value in _several(getattr(condition, test)))


def _constant(value: Any, test: str, type_: ValueType) -> Any:
    try:
        return comparable_literal(value, type_)
    except ValueError as fault:
        hint = str(fault)
        if type_.kind == "enum" and isinstance(value, str):
            hint = nearest(value, type_.symbols)
        raise UnfitLiteralError(test, f"{value!r} can't be a value of {type_}", hint) from None


def _several(values: Any) -> Iterator[Any]:
    yield from values if isinstance(values, tuple) else (values,)
