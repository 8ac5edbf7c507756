"""GTID sets do what sets of transactions do, and read as the servers write them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4d5a1b2c-0000-11ee-8000-00000000000b"
SOURCES = (A, f"{A}:app", f"{A}:zeta", B)

Transactions = set[tuple[str, int]]
Adds = list[tuple[str, int, int]]

adds = st.lists(
    st.builds(
        lambda source, first, more: (source, first, first + more),
        st.sampled_from(SOURCES),
        st.integers(1, 40),
        st.integers(0, 9),
    ),
    max_size=14,
)


def as_set(intervals: Sequence[tuple[str, int, int]]) -> MysqlGtidSet:
    result = MysqlGtidSet()
    for interval in intervals:
        result.add(*interval)
    return result


def _naive(intervals: Sequence[tuple[str, int, int]]) -> Transactions:
    return {(s, n) for s, first, last in intervals for n in range(first, last + 1)}


def _members(gtids: MysqlGtidSet) -> Transactions:
    return {(s, n) for s, (first, last) in gtids.intervals() for n in range(first, last + 1)}


@given(adds, adds)
def test_a_set_of_mysql_does_what_a_set_of_transactions_does(one: Adds, two: Adds) -> None:
    left, right = as_set(one), as_set(two)
    assert _members(left) == _naive(one)
    assert left.count() == len(_naive(one))
    assert bool(left) == bool(one)
    assert _members(left.union(right)) == _naive(one) | _naive(two)
    assert _members(left.subtract(right)) == _naive(one) - _naive(two)
    assert _members(left.intersect(right)) == _naive(one) & _naive(two)
    assert left.contains(right) == (_naive(one) >= _naive(two))
    assert (left == right) == (_naive(one) == _naive(two))


@given(adds)
def test_intervals_never_touch_and_text_reads_back(one: Adds) -> None:
    gtids = as_set(one)
    before: dict[str, int] = {}
    for source, (first, last) in gtids.intervals():
        assert first > before.get(source, -1) + 1
        before[source] = last
    assert MysqlGtidSet.parse(str(gtids)) == gtids
    assert as_set(list(reversed(one))) == gtids


@given(adds)
def test_the_binary_form_reads_back_and_its_parts_do_not(one: Adds) -> None:
    encoded = as_set(one).to_bytes()
    assert MysqlGtidSet.from_bytes(encoded) == as_set(one)
    for size in range(len(encoded)):
        with pytest.raises(ValueError, match=r"GTID|bytes|UUID"):
            MysqlGtidSet.from_bytes(encoded[:size])


def test_a_set_of_mysql_is_written_as_the_server_writes_it() -> None:
    text = f" {A.upper()}:5:1-3:4 , {B}:7,{A}:App:2-2:1,\n{A}:9-9:app:4"
    assert str(MysqlGtidSet.parse(text)) == f"{A}:1-5:9:app:1-2:4,{B}:7"
    assert str(MysqlGtidSet.parse("")) == ""


def test_an_operation_leaves_its_operands_as_they_were() -> None:
    one, two = MysqlGtidSet.parse(f"{A}:1-5"), MysqlGtidSet.parse(f"{A}:6-7")
    both = one.union(two)
    both.add(A, 8, 8)
    assert (str(one), str(two), str(both)) == (f"{A}:1-5", f"{A}:6-7", f"{A}:1-8")


@pytest.mark.parametrize(
    "text", ["x", A, f"{A}:", f"{A}:0", f"{A}:5-3", f"{A}:1-", f"{A}:9tag:1", "0-1-2", f"{A}1:1"]
)
def test_a_text_that_is_no_set_of_mysql_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        MysqlGtidSet.parse(text)


def test_the_binary_form_counts_sources_and_intervals_with_exclusive_ends() -> None:
    encoded = MysqlGtidSet.parse(f"{A}:1-3:7").to_bytes()
    uuid = bytes.fromhex(A.replace("-", ""))
    numbers = (2, 1, 4, 7, 8)
    assert encoded == (1).to_bytes(8, "little") + uuid + b"".join(
        n.to_bytes(8, "little") for n in numbers
    )


def test_the_binary_form_with_tags_says_so_in_its_first_and_eighth_byte() -> None:
    encoded = MysqlGtidSet.parse(f"{A}:1:app:2").to_bytes()
    uuid = bytes.fromhex(A.replace("-", ""))
    assert encoded[:8] == bytes([1, 2, 0, 0, 0, 0, 0, 1])
    assert encoded[8:25] == uuid + b"\x00"
    assert encoded[49:69] == uuid + bytes([6]) + b"app"


gtids_of_mariadb = st.dictionaries(
    st.integers(0, 3), st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=4
)
Lasts = dict[int, tuple[int, int]]


def _list(lasts: Lasts) -> MariadbGtidList:
    result = MariadbGtidList()
    for domain, last in lasts.items():
        result.advance(domain, *last)
    return result


def _up_to(lasts: Lasts) -> set[tuple[int, int]]:
    return {(domain, n) for domain, (_, last) in lasts.items() for n in range(1, last + 1)}


@given(gtids_of_mariadb, gtids_of_mariadb)
def test_a_list_of_mariadb_stands_for_everything_up_to_it(one: Lasts, two: Lasts) -> None:
    left, right = _list(one), _list(two)
    assert left.contains(right) == (_up_to(one) >= _up_to(two))
    ahead = {domain for domain, _ in _up_to(one) - _up_to(two)}
    assert left.subtract(right) == _list({domain: one[domain] for domain in ahead})
    union = left.union(right)
    assert union.contains(left)
    assert union.contains(right)
    assert MariadbGtidList.parse(str(left)) == left


def test_a_list_of_mariadb_moves_with_each_transaction() -> None:
    gtids = MariadbGtidList.parse("1-7-5, 0-1-17")
    gtids.advance(0, 2, 18)
    assert str(gtids) == "0-2-18,1-7-5"


@pytest.mark.parametrize("text", ["x", "0-1", f"{A}:1", "0-1-5,0-2-6"])
def test_a_text_that_is_no_list_of_mariadb_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|twice"):
        MariadbGtidList.parse(text)
