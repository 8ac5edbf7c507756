"""Two tellings of one binlog are joined by place; each way to differ is told, each gap is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cdc.reference.comparison import GAPS_MAX, HIDDEN, Comparison, Line, is_same, place_of
from cdc.reference.told import Gap

FILE = "binlog.000009"


def line(position: int, row: int = 0, **more: Any) -> Line:
    image = {"id": position, "v": "x"}
    known = {
        "file": FILE, "position": position, "row": row, "part": 0, "table": "d.t",
        "operation": "c", "gtid": "u:1", "key": {"id": position}, "before": None, "after": image,
        "source": {"gtid": "u:1", "pos": position},
    }  # fmt: skip
    return Line(**{**known, **more})


class Fixed(Comparison):
    """Takes lines for the reference as well."""

    def theirs(self, *lines: Line) -> Fixed:
        self._reference.extend(lines)
        return self

    def passed(self, ours: int, reference: int) -> Mapping[str, tuple[str, str]]:
        self.join(place_of(FILE, ours), place_of(FILE, reference))
        return {one.what: (one.ours, one.reference) for one in self.differences}


def test_equal_lines_are_compared_and_forgotten() -> None:
    made = Fixed().theirs(line(1), line(1, 1), line(5))
    made.ours([line(1), line(1, 1), line(5)])
    assert made.passed(9, 9) == {}
    assert made.compared == {"d.t": 3}
    assert not made._ours
    assert not made._reference


@pytest.mark.parametrize(
    ("more", "what", "values"),
    [
        ({"after": {"id": 1, "v": "y"}}, "after.v", ("'x'", "'y'")),
        ({"after": {"id": 1}}, "after.v", ("'x'", "no such field")),
        ({"after": None}, "after", ("a row", "none")),
        ({"after": {"id": 1.0, "v": "x"}}, "after.id", ("1", "1.0")),
        ({"before": {"id": 1}}, "before", ("none", "a row")),
        ({"key": {"id": 2}}, "key.id", ("1", "2")),
        ({"operation": "u"}, "operation", ("c", "u")),
        ({"table": "d.u"}, "table", ("d.t", "d.u")),
        ({"source": {"gtid": "u:2", "pos": 1}}, "source.gtid", ("'u:1'", "'u:2'")),
    ],
)
def test_whatever_differs_is_told_by_name(
    more: Mapping[str, Any], what: str, values: tuple[str, str]
) -> None:
    made = Fixed().theirs(replace(line(1), **more))
    made.ours([line(1)])
    assert made.passed(9, 9) == {what: values}


def test_what_one_reader_lacks_differs_once_the_other_has_passed() -> None:
    made = Fixed().theirs(line(5), line(7))
    made.ours([line(3), line(5)])
    assert made.passed(6, 2) == {"presence": ("c of a row", "nothing")}
    assert made.compared_count == 1
    assert made.passed(7, 8) == {"presence": ("c of a row", "nothing")}
    assert made.passed(8, 8)
    assert [(one.position, one.ours) for one in made.differences] == [
        (3, "c of a row"),
        (7, "nothing"),
    ]


def test_an_order_within_a_statement_that_differs_is_told() -> None:
    made = Fixed().theirs(line(1, 0, after={"id": 2}), line(1, 1, after={"id": 1}))
    made.ours([line(1, 0, after={"id": 1}), line(1, 1, after={"id": 2})])
    made.passed(9, 9)
    assert made.difference_count == 2


def test_a_gap_of_the_reference_is_a_weakness_not_a_difference() -> None:
    made = Fixed()
    made.ours([line(10), line(10, table="d.u"), line(30)])
    made.reference([Gap(FILE, 10, 20, "d.t", "why")])
    made.passed(99, 99)
    assert made.weaknesses == {("d.t", "", "why"): 1}
    assert [(one.table, one.position) for one in made.differences] == [("d.u", 10), ("d.t", 30)]


def test_what_capture_alone_has_between_two_gaps_differs() -> None:
    made = Fixed()
    made.ours([line(10), line(25), line(30)])
    made.reference([Gap(FILE, 10, 20, "d.t", "why"), Gap(FILE, 30, 40, "d.t", "why")])
    made.passed(99, 99)
    assert made.weaknesses == {("d.t", "", "why"): 2}
    assert [one.position for one in made.differences] == [25]


def test_gaps_of_a_long_transaction_are_known_however_many_they_are() -> None:
    """Neither reader's checkpoint moves meanwhile; what they told must be enough."""
    made = Fixed()
    for begin in range(0, 10 * GAPS_MAX, GAPS_MAX // 2):
        places = range(10 * begin, 10 * (begin + GAPS_MAX // 2), 10)
        made.reference(Gap(FILE, at, at + 5, "d.t", "why") for at in places)
        made.ours(line(at) for at in places)
        made.passed(0, 0)
        assert len(made._ours) == 1, "only the last one may still be told"
    made.passed(10**9, 10**9)
    assert made.difference_count == 0
    assert made.weaknesses == {("d.t", "", "why"): 10 * GAPS_MAX}


def test_gaps_side_by_side_are_one() -> None:
    made = Fixed()
    made.reference(Gap(FILE, at, at + 10, "d.t", "why") for at in range(0, 10 * GAPS_MAX, 10))
    made.ours([line(0), line(10 * GAPS_MAX - 10)])
    made.passed(10**9, 10**9)
    assert made.difference_count == 0


def test_the_side_that_lags_is_asked_for_more() -> None:
    made = Fixed()
    assert made.waits_for is None
    made.ours([line(5)])
    made.passed(0, 0)
    assert made.waits_for == 1
    made.theirs(line(5), line(6)).passed(0, 0)
    assert made.waits_for == 0


def test_values_that_the_reference_cannot_tell_are_weaknesses() -> None:
    made = Fixed().theirs(line(1, after={"id": 1}, untold={"v": "why"}))
    made.ours([line(1)])
    assert made.passed(9, 9) == {}
    assert made.weaknesses == {("d.t", "v", "why"): 1}


def test_values_of_hidden_columns_are_never_shown() -> None:
    made = Fixed(lambda table, column: (table, column) == ("d.t", "v"))
    made.theirs(line(1, after={"id": 1, "v": "secret-2"}))
    made.ours([line(1, after={"id": 1, "v": "secret-1"})])
    assert made.passed(9, 9) == {"after.v": (HIDDEN, HIDDEN)}


def test_files_follow_one_another_also_where_their_numbers_grow_longer() -> None:
    assert place_of("binlog.999999", 99) < place_of("binlog.1000000", 4)
    assert place_of("binlog.000001", 99) < place_of("binlog.000002", 4)


def test_equal_is_equal_in_type_and_in_sign() -> None:
    assert not is_same(0.0, -0.0)
    assert not is_same(1, 1.0)
    assert not is_same({"wkb": b"a"}, {"wkb": b"b"})
    assert is_same({"x": float("nan")}, {"x": float("nan")})
